//! libFuzzer's entry to `portcullis_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::configuration(data));
