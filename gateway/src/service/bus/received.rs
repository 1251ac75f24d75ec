//! A message of the bus as a service sees it: whose, what it measured, when. Also of senders that are no gateway.

use serde_json::{Map, Value as Json};
use tidegate_protocol::{DeviceId, Name, Reading, Value};
use tidegate_rocketmq::wire::stored::Stored;

use crate::{
    normalise::LINE_NAME,
    output::rocketmq::mapping::property::{ARRIVAL, DEVICE, LANE, TIME, UID},
};

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `sensor_1,36.12`.
    Text,
    /// JSON with values.
    Json,
    /// Something else.
    Raw,
}

/// A message, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The topic it was sent to.
    pub topic: String,
    /// Its tag.
    pub tag: Option<String>,
    /// The id by which a repeat is known; without a gateway's, the sender's own.
    pub uid: Option<String>,
    /// Whose it is, where it says so.
    pub device: Option<DeviceId>,
    /// What was measured.
    pub readings: Vec<Reading>,
    /// What the body is.
    pub shape: Shape,
    /// The device's time, Unix milliseconds.
    pub ts: Option<u64>,
    /// The gateway's time of arrival, Unix milliseconds.
    pub ts_gw: Option<u64>,
    /// The sender's and the broker's time, Unix milliseconds.
    pub born_ms: u64,
    /// See [`Received::born_ms`].
    pub stored_ms: u64,
    /// The queue it was in.
    pub queue: u32,
    /// Its place there.
    pub offset: u64,
    /// Beside the ones above.
    pub properties: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Received {
    /// Reads `message`, which was sent to `topic`.
    #[must_use]
    pub fn of(message: &Stored, topic: &str) -> Self {
        let property = |name: &str| message.property(name).map(str::to_owned);
        let number = |name: &str| message.property(name).and_then(|text| text.parse().ok());
        let body = message
            .body
            .as_ref()
            .map_or_else(|_| String::new(), |body| String::from_utf8_lossy(body).into_owned());
        let (mut device, readings, shape) = read(&body, message.tag());
        if let Some(named) = message.property(DEVICE).and_then(|id| DeviceId::new(id).ok()) {
            device = Some(named);
        }
        let first_ts = readings.first().and_then(|reading| reading.ts);
        Self {
            topic: topic.to_owned(),
            tag: message.tag().map(str::to_owned),
            uid: property(UID).or_else(|| message.id().map(str::to_owned)),
            device,
            readings,
            shape,
            ts: number(TIME).or(first_ts),
            ts_gw: number(ARRIVAL),
            born_ms: message.born_ms,
            stored_ms: message.stored_ms,
            queue: message.queue_id,
            offset: message.queue_offset,
            properties: message.properties.clone(),
            body,
        }
    }

    /// The lane that a gateway gave it.
    #[must_use]
    pub fn lane(&self) -> &str {
        let lane = self.properties.iter().find(|(name, _)| name == LANE);
        lane.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// Device, readings and shape of a body.
fn read(body: &str, tag: Option<&str>) -> (Option<DeviceId>, Vec<Reading>, Shape) {
    if let Ok(Json::Object(object)) = serde_json::from_str(body) {
        let device = object.get("device").and_then(Json::as_str).and_then(|id| DeviceId::new(id).ok());
        let readings: Vec<Reading> = match object.get("readings") {
            Some(Json::Array(all)) => {
                all.iter().filter_map(Json::as_object).filter_map(json_reading).collect()
            }
            _ => json_reading(&object).into_iter().collect(),
        };
        return (device, readings, Shape::Json);
    }
    let lines: Option<Vec<_>> = body.lines().map(|line| line_reading(line, tag)).collect();
    match lines {
        Some(lines) if !lines.is_empty() => {
            let device = lines.first().map(|(device, _)| device.clone());
            (device, lines.into_iter().map(|(_, reading)| reading).collect(), Shape::Text)
        }
        _ => (None, Vec::new(), Shape::Raw),
    }
}

/// `device,value`, or `device,name,value`.
fn line_reading(line: &str, tag: Option<&str>) -> Option<(DeviceId, Reading)> {
    let (device, rest) = line.split_once(',')?;
    let device = DeviceId::new(device.trim()).ok()?;
    let (name, value) = match rest.split_once(',') {
        Some((name, value)) => (Name::new(name.trim()).ok()?, value),
        None => {
            let name = tag.and_then(|tag| Name::new(tag).ok()).or_else(|| Name::new(LINE_NAME).ok())?;
            (name, rest)
        }
    };
    let mut reading = Reading::new();
    reading.push(name, text_value(value.trim())?).ok()?;
    Some((device, reading))
}

fn text_value(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        text => match text.parse::<f64>() {
            Ok(number) => Some(Value::Number(number)),
            Err(_) => Value::text(text).ok(),
        },
    }
}

/// `{"boot":7,"seq":42,"ts":…,"values":{…}}`; none without a value that could be one.
fn json_reading(object: &Map<String, Json>) -> Option<Reading> {
    let Some(Json::Object(values)) = object.get("values") else { return None };
    let number = |name: &str| object.get(name).and_then(Json::as_u64);
    let mut reading = Reading {
        boot: number("boot").and_then(|boot| boot.try_into().ok()),
        sequence: number("seq"),
        ts: number("ts"),
        ..Reading::new()
    };
    for (name, value) in values {
        let value = match value {
            Json::Number(number) => number.as_f64().map(Value::Number),
            Json::Bool(boolean) => Some(Value::Boolean(*boolean)),
            Json::String(text) => Value::text(text).ok(),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        };
        if let (Ok(name), Some(value)) = (Name::new(name), value) {
            // What does not fit is no value that a gateway has sent.
            let _fits = reading.push(name, value).is_ok();
        }
    }
    (!reading.measurements.is_empty()).then_some(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(body: &str, tag: Option<&str>) -> (Option<String>, Vec<String>, Shape) {
        let (device, readings, shape) = read(body, tag);
        let text = |reading: &Reading| {
            let values = reading.measurements.iter().map(|m| format!("{} {}", m.name, m.value));
            values.collect::<Vec<_>>().join(", ")
        };
        (device.map(|device| device.to_string()), readings.iter().map(text).collect(), shape)
    }

    #[test]
    fn bodies_of_a_gateway_and_of_others_are_read() {
        let device = Some("sensor_1".to_owned());
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(
            seen("sensor_1,36.12", Some("humidity")),
            (device.clone(), one("humidity 36.12"), Shape::Text)
        );
        assert_eq!(seen("sensor_1,36", None), (device.clone(), one("temperature 36"), Shape::Text));
        assert_eq!(seen("sensor_1,36", Some("a b")), (device.clone(), one("temperature 36"), Shape::Text));
        assert_eq!(
            seen("sensor_1,a,1\nsensor_1,b,true", Some("x")),
            (device.clone(), vec!["a 1".to_owned(), "b true".to_owned()], Shape::Text)
        );
        let json = r#"{"uid":"u","device":"sensor_1","boot":7,"seq":1,"values":{"a":1.5,"b":"on","c":null}}"#;
        assert_eq!(seen(json, None), (device.clone(), one("a 1.5, b on"), Shape::Json));
        let array = r#"{"device":"sensor_1","readings":[{"values":{"a":1}},{"values":{"a":2}}]}"#;
        assert_eq!(seen(array, None), (device, vec!["a 1".to_owned(), "a 2".to_owned()], Shape::Json));
    }

    #[test]
    fn what_is_no_reading_is_raw() {
        for body in ["", "hello", "a b,5", "\u{fffd}PNG", "[1,2]"] {
            assert_eq!(seen(body, None).2, Shape::Raw, "{body:?}");
        }
        assert_eq!(seen(r#"{"alarm":"x"}"#, None), (None, Vec::new(), Shape::Json));
    }
}
