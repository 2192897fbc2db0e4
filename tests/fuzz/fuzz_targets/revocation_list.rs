//! libFuzzer's entry to `portcullis_fuzz::revocation_list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::revocation_list(data));
