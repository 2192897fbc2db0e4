//! libFuzzer's entry to `portcullis_fuzz::codec_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::codec_decode(data));
