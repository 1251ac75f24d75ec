//! The bytes of a reading.

use std::iter;

use tidegate_protocol::{Name, Reading, Value};

use crate::{profile::Values, value};

/// Bytes in the longest payload that may be asked for.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// Writes readings of one device, all of the same boot.
#[derive(Clone, Copy, Debug)]
pub struct PayloadWriter {
    /// From what the values are made.
    pub seed: u64,
    /// What is measured.
    pub values: Values,
    /// Which start of the device this is.
    pub boot: u32,
    /// Bytes that each payload has at least; made up with spaces behind the JSON, which JSON allows (RFC 8259
    /// section 2).
    pub bytes_min: usize,
}

impl PayloadWriter {
    /// `{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.41}}`: the same bytes for the same reading,
    /// whenever it is written. `ts` is in Unix milliseconds.
    #[must_use]
    pub fn write(&self, device: &str, sequence: u64, ts: u64) -> String {
        let mut reading = Reading::<1>::new();
        reading.boot = Some(self.boot);
        reading.sequence = Some(sequence);
        reading.ts = Some(ts);
        if let Ok(name) = Name::new(value::MEASUREMENT) {
            let pushed = reading.push(name, Value::Number(self.values.celsius(self.seed, device, sequence)));
            debug_assert!(pushed.is_ok(), "one finite number fits into a reading of one measurement");
        }
        let mut text = String::with_capacity(self.bytes_min.max(96));
        let written = reading.write_json(&mut text);
        debug_assert!(written.is_ok(), "a String takes what is written to it");
        let missing = self.bytes_min.saturating_sub(text.len());
        text.extend(iter::repeat_n(' ', missing));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_says_boot_number_time_and_value() {
        let writer = PayloadWriter { seed: 1, values: Values::Waves, boot: 7, bytes_min: 0 };
        let text = writer.write("sensor_1", 42, 1_700_000_000_000);
        let celsius = Values::Waves.celsius(1, "sensor_1", 42);
        let expected =
            format!(r#"{{"boot":7,"seq":42,"ts":1700000000000,"values":{{"temperature":{celsius}}}}}"#);
        assert_eq!(text, expected);
    }

    #[test]
    fn padding_reaches_the_size_and_stays_json() {
        let writer = PayloadWriter { seed: 1, values: Values::Waves, boot: 7, bytes_min: 256 };
        let text = writer.write("sensor_1", 42, 1_700_000_000_000);
        assert_eq!(text.len(), 256);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["seq"], 42);
    }
}
