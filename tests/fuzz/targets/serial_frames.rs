//! Any bytes on a serial port, as they are and sealed as a device would.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tidegate::session::serial::fuzz::exercise(data));
