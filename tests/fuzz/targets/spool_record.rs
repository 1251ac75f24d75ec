#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate::spool::fuzz::exercise_record(input));
