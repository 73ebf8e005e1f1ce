#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reelhouse_service::fuzz::signed_url(data));
