#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reelhouse_service::fuzz::name(data));
