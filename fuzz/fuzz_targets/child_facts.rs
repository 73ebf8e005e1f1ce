#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reelhouse_media::fuzz::child_facts(data));
