#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate::session::mqtt::fuzz::exercise(input));
