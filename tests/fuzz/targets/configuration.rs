//! Any text, as a configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::config::fuzz::exercise;

fuzz_target!(|text: &str| exercise(text));
