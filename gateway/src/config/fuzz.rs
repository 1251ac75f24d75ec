//! One entry for coverage-guided fuzzing: any text, read as a configuration.

use super::{Config, FAULT_CHARS_MAX, Overrides};

/// Reads `text`; each fault must have a place in it and few enough words.
///
/// # Panics
/// When one has not.
pub fn exercise(text: &str) {
    for lan in [false, true] {
        let Err(faults) = Config::parse(text, Overrides { lan }) else { continue };
        assert!(!faults.is_empty(), "a fault is told");
        for fault in faults {
            let line = fault.line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
            let columns = line.map_or(0, |line| line.chars().count() + 1);
            assert!((1..=columns).contains(&fault.column), "{fault:?} is in the text");
            for said in [&fault.wrong, &fault.instead] {
                assert!((1..=FAULT_CHARS_MAX).contains(&said.chars().count()), "{fault:?} is said");
            }
        }
    }
}
