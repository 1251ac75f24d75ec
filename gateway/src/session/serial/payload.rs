//! A reading from the line as the payload that is stored: the JSON that any other device would have sent.

use std::fmt::Write;

use tidegate_protocol::{
    Name, Reading, Unit, Value,
    serial::{Channel, Entry, Sample},
};

/// What came of one entry of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The payload.
    Payload(String),
    /// It can never be a reading, and why.
    Unfit(&'static str),
}

/// The JSON of one entry: `{"boot":7,"seq":42,"ts":…,"values":{…},"units":{…}}`.
pub(super) fn payload(boot: u32, channels: &[Channel<'_>], entry: &Entry<'_>) -> Taken {
    let mut reading = Reading::<{ tidegate_protocol::serial::CHANNELS_MAX }>::new();
    reading.boot = Some(boot);
    reading.sequence = Some(entry.sequence);
    reading.ts = (entry.wall_ms > 0).then_some(entry.wall_ms);
    for (channel, sample) in channels.iter().zip(&entry.samples) {
        let value = match sample {
            Sample::Absent => continue,
            Sample::Number(number) => Value::Number(number.to_f64()),
            Sample::Boolean(flag) => Value::Boolean(*flag),
            Sample::Text(text) => match Value::text(text) {
                Ok(value) => value,
                Err(_) => return Taken::Unfit("a text that holds a control character"),
            },
        };
        let Ok(name) = Name::new(channel.name) else {
            return Taken::Unfit("a measurement's name that is reserved or no name");
        };
        if reading.push(name, value).is_err() {
            return Taken::Unfit("two measurements of one name");
        }
        if let (Some(last), Ok(unit)) = (reading.measurements.last_mut(), Unit::try_from(channel.unit)) {
            let is_unit = !unit.is_empty() && !unit.chars().any(char::is_control);
            last.unit = is_unit.then_some(unit);
        }
    }
    if reading.measurements.is_empty() {
        return Taken::Unfit("no measurement: the sensor does not answer");
    }
    let mut text = String::from("{");
    // Writing into a String does not fail.
    let _infallible = reading.write_members(&mut text);
    text.push('}');
    Taken::Payload(text)
}

/// The JSON of a gap: the ids of the first and the last reading that are gone, and how many that are.
#[must_use]
pub fn gap_payload(device: &str, boot: u32, from: u64, to: u64) -> String {
    let mut text = String::new();
    let count = to.saturating_sub(from).saturating_add(1);
    // Writing into a String does not fail.
    let _infallible = write!(
        text,
        r#"{{"from":"{device}/{boot}/{from}","to":"{device}/{boot}/{to}","count":{count},"reason":"device-full"}}"#
    );
    text
}
