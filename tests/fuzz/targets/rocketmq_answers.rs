//! Any bytes, as what a RocketMQ server answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_rocketmq::wire::fuzz::exercise;

fuzz_target!(|data: &[u8]| exercise(data));
