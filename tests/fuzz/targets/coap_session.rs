//! Any bytes, as the datagrams of a few CoAP peers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::session::coap::fuzz::exercise;

fuzz_target!(|data: &[u8]| exercise(data));
