//! Any bytes, as a media type, a topic and a SenML pack or a CBOR payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::normalise::invariants::check_senml;

fuzz_target!(|data: &[u8]| check_senml(data).unwrap());
