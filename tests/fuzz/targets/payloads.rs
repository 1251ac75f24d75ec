//! Any bytes, as a device, a topic and a payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::normalise::invariants::check_bytes;

fuzz_target!(|data: &[u8]| check_bytes(data).unwrap());
