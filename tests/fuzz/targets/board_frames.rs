//! Any bytes, read as a script for a board: what its gateway and others send, what it measures, what is lost.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tidegate_firmware::fuzz::exercise(data));
