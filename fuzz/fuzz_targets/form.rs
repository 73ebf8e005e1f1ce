#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reelhouse_server::fuzz::form(data));
