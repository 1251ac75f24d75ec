//! The text shapes: `23.4`, `true`, `sensor_1,23.4`, and any short text where a route demands text.

use tidegate_protocol::{DeviceId, TEXT_LEN_MAX, Value};

/// What a text says.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// The device that stands in front of the comma.
    pub(super) device: Option<DeviceId>,
    /// What was measured.
    pub(super) value: Value,
}

/// Reads `23.4`, `true` or `sensor_1,23.4`. White space around the fields does not count. What stands in front of
/// the comma and is itself a number is no device: `12,5` is a list of numbers or a decimal comma.
pub(super) fn parse(payload: &[u8]) -> Option<Line> {
    let text = trimmed(payload)?;
    let (device, value) = match text.split_once(',') {
        None => (None, text),
        Some((device, value)) => (Some(device.trim_ascii()), value.trim_ascii()),
    };
    let value = number_or_boolean(value)?;
    match device {
        None => Some(Line { device: None, value }),
        Some(device) if number(device).is_some() => None,
        Some(device) => Some(Line { device: Some(DeviceId::new(device).ok()?), value }),
    }
}

/// As [`parse`], for a route that demands text: what is neither number nor boolean is a text value. A comma then
/// counts only behind `device`, or behind any device id where the route takes the device from the payload.
pub(super) fn parse_any(payload: &[u8], device: Option<&DeviceId>) -> Option<Line> {
    if let Some(line) = parse(payload) {
        return Some(line);
    }
    let text = trimmed(payload)?;
    if let Some((front, value)) = text.split_once(',')
        && let Ok(named) = DeviceId::new(front.trim_ascii())
        && device.is_none_or(|device| *device == named)
    {
        let value = value.trim_ascii();
        return (!value.is_empty())
            .then(|| Value::text(value).ok())
            .flatten()
            .map(|value| Line { device: Some(named), value });
    }
    Value::text(text).ok().map(|value| Line { device: None, value })
}

/// Longest text worth looking at: a device, a comma and a value, with some white space.
pub(super) const LINE_LEN_MAX: usize = tidegate_protocol::DEVICE_ID_LEN_MAX + TEXT_LEN_MAX + 16;

fn trimmed(payload: &[u8]) -> Option<&str> {
    if payload.len() > LINE_LEN_MAX {
        return None;
    }
    let text = std::str::from_utf8(payload.trim_ascii()).ok()?;
    (!text.is_empty()).then_some(text)
}

fn number_or_boolean(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        _ => number(text).map(Value::Number),
    }
}

/// A finite number in decimal digits. Rust would also read `inf` and `nan`.
fn number(text: &str) -> Option<f64> {
    let decimal = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    if text.len() > TEXT_LEN_MAX || !text.bytes().all(decimal) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
