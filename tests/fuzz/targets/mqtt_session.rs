//! Any bytes, as one MQTT connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::session::mqtt::fuzz::exercise;

fuzz_target!(|data: &[u8]| exercise(data));
