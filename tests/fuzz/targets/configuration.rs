//! Any text, as a configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::config::{Config, Overrides};

fuzz_target!(|text: &str| {
    for lan in [false, true] {
        if let Err(faults) = Config::parse(text, Overrides { lan }) {
            assert!(!faults.is_empty());
            for fault in faults {
                let lines = text.split('\n').count();
                assert!((1..=lines.max(1)).contains(&fault.line) && fault.column > 0, "{fault:?}");
            }
        }
    }
});
