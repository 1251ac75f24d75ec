use serde::{Deserialize, Deserializer, de};
use tidegate_protocol::Lane;

/// One `[[route]]` of the configuration: what to make of a topic where the default does not fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Pattern: levels of text, `+`, `{device}`, `{measurement}`, and `#` as the last.
    pub topic: String,
    /// The device, where neither login nor topic says it: an id, or `{payload}` for the one that a text or a SenML
    /// base name names.
    pub device: Option<String>,
    /// The measurement's name for payloads that name none.
    pub measurement: Option<String>,
    /// How the payload must be read; unset: whatever it looks like.
    pub format: Option<Format>,
    /// Topic at the output; may hold `{device}` and `{measurement}`.
    pub output_topic: Option<String>,
    /// Tag at the output; may hold `{device}` and `{measurement}`.
    pub tag: Option<String>,
    /// Body at the output.
    pub body: Option<BodyForm>,
    /// Lane of the message.
    #[serde(default, deserialize_with = "lane")]
    pub lane: Option<Lane>,
    /// Numbers are multiplied by this (this key, `offset` and `range` each demand a number: a payload that
    /// holds none is rejected) …
    pub scale: Option<f64>,
    /// … then this is added …
    pub offset: Option<f64>,
    /// … and what is then outside `[min, max]` is rejected.
    pub range: Option<[f64; 2]>,
    /// Unit of the numbers.
    pub unit: Option<String>,
    /// One message a measurement at the output.
    #[serde(default)]
    pub split: bool,
    /// What makes a duplicate recognisable where the device does not number its readings.
    pub id: Option<IdForm>,
}

/// How a route demands its payloads to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One of the JSON shapes.
    Json,
    /// `23.4`, `true`, `open` or `sensor_1,23.4`.
    Text,
    /// A SenML pack (RFC 8428) in JSON or CBOR.
    Senml,
    /// Bytes that are only passed on.
    Raw,
}

/// What stands in a message's body at an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyForm {
    /// `sensor_1,36.12`.
    Text,
    /// A JSON object with the device, the `uid` and the values.
    Json,
    /// The payload as sent.
    Raw,
}

/// What the id of a message is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum IdForm {
    /// The device's own numbers, else the record's.
    #[default]
    #[serde(rename = "record")]
    Record,
    /// Device and time of the device: a reading that is sent again has the same id.
    #[serde(rename = "device-ts")]
    DeviceTs,
}

/// Why routes cannot be used; `route` is the index of the first that is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("route {number}: {problem}", number = .route + 1)]
pub struct RouteError {
    /// Index from 0, in the order of the configuration.
    pub route: usize,
    /// The key that is wrong, as it stands in the configuration.
    pub key: &'static str,
    /// What is wrong, for people.
    pub problem: String,
}

fn lane<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Lane>, D::Error> {
    let word = String::deserialize(deserializer)?;
    let lane = Lane::ALL.into_iter().find(|lane| lane.as_str() == word);
    lane.map(Some).ok_or_else(|| de::Error::unknown_variant(&word, &["event", "telemetry"]))
}
