//! Any bytes, as routes of a configuration, a topic and a payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::normalise::invariants::check_routes;

fuzz_target!(|data: &[u8]| check_routes(data).unwrap());
