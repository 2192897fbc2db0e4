//! libFuzzer's entry to `portcullis_fuzz::websocket_upgrade`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::websocket_upgrade(data));
