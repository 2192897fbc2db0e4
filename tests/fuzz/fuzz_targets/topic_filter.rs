//! libFuzzer's entry to `portcullis_fuzz::topic_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::topic_filter(data));
