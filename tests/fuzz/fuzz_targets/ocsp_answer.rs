//! libFuzzer's entry to `portcullis_fuzz::ocsp_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::ocsp_answer(data));
