//! What a record becomes on the bus: topic, tag, key, id, properties and body of each message. Pure.
//!
//! | what the record holds | topic | tag | body |
//! |---|---|---|---|
//! | one number | `iot-topic` | the measurement | `sensor_1,36.12` |
//! | several values, an array, a boolean, a text | `iot-device-topic` | the lane | JSON with `uid` |
//! | what nobody could read, or today's routes refuse | `iot-device-topic` | `raw` | the payload |
//! | a command | `iot-device-topic` | `command` | the payload |
//! | a gap: what was dropped by the owner's choice | `iot-device-topic` | `gap` | JSON with `uid` and `gap` |
//! | what damage has taken | `iot-device-topic` | `lost` | JSON with `uid` and `lost` |
//!
//! Key and sharding key are the device, so that all of a device is in one queue of a topic, in order. See
//! [`unique_key`] for the message id, and [`property`] for the properties.

use std::collections::BTreeMap;

use thiserror::Error;
use tidegate_protocol::Lane;

use super::super::{Item, Part};
use crate::{
    normalise::{self, DEVICE_TOPIC, Message, RAW_TAG, SINGLE_TOPIC},
    spool::{Lost, LostCause, Protocol},
};

pub mod property;
#[cfg(test)]
mod tests;
mod unique_key;

use property::{Labels, Properties};
pub use unique_key::{UNIQUE_KEY_LEN, unique_key};

/// Tag of what stands in place of records that were dropped by the owner's choice.
pub const GAP_TAG: &str = "gap";

/// Tag of what stands in place of records that damage has taken.
pub const LOST_TAG: &str = "lost";

/// Whose the message about damage is: no device can have this name on purpose and be meant.
pub const LOST_DEVICE: &str = "_gateway";

/// Bytes in the longest topic of the bus.
pub const TOPIC_LEN_MAX: usize = 127;

/// A message for the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusMessage {
    /// Where it goes.
    pub topic: String,
    /// `KEYS`: the device.
    pub key: String,
    /// `TAGS`.
    pub tag: String,
    /// `UNIQ_KEY`, always the same for the same `uid`.
    pub id: String,
    /// What chooses the queue: the device.
    pub sharding_key: String,
    /// All properties but `KEYS`, `TAGS`, `UNIQ_KEY` and `__SHARDINGKEY`.
    pub properties: Vec<(String, String)>,
    /// What the message says.
    pub body: Vec<u8>,
}

impl BusMessage {
    /// The value of one of [`BusMessage::properties`].
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What an owner says of the mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingConfig {
    /// Topic of a single number.
    pub topic: String,
    /// Topic of everything else.
    pub device_topic: String,
    /// One message a measurement, also where no route says so.
    pub split: bool,
    /// Properties that every message gets.
    pub labels: BTreeMap<String, String>,
}

impl Default for MappingConfig {
    fn default() -> Self {
        Self {
            topic: SINGLE_TOPIC.to_owned(),
            device_topic: DEVICE_TOPIC.to_owned(),
            split: false,
            labels: BTreeMap::new(),
        }
    }
}

/// What is wrong with a [`MappingConfig`], and in which key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}: {wrong}; {instead}")]
pub struct MappingError {
    /// The key.
    pub key: &'static str,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub instead: &'static str,
}

/// A checked [`MappingConfig`], ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    topic: String,
    device_topic: String,
    split: bool,
    labels: Labels,
}

impl Default for Mapping {
    fn default() -> Self {
        let MappingConfig { topic, device_topic, split, .. } = MappingConfig::default();
        Self { topic, device_topic, split, labels: Labels::default() }
    }
}

impl Mapping {
    /// Checks what an owner says.
    ///
    /// # Errors
    /// [`MappingError`], the first there is.
    pub fn new(config: &MappingConfig) -> Result<Self, MappingError> {
        for (key, topic) in [("topic", &config.topic), ("device_topic", &config.device_topic)] {
            if !is_topic(topic) {
                let wrong = format!("{topic:?} can be no topic of the bus");
                let instead = "write 1 to 127 of A-Z, a-z, 0-9, _, - and %";
                return Err(MappingError { key, wrong, instead });
            }
        }
        Ok(Self {
            topic: config.topic.clone(),
            device_topic: config.device_topic.clone(),
            split: config.split,
            labels: Labels::new(&config.labels)?,
        })
    }

    /// The topic of the bus for the one that normalising has chosen: a route's own, or the owner's in place of ours.
    /// Routes serve other outputs too, so they may say what is no topic here: `/` and `.` become `-`.
    fn topic(&self, chosen: &str) -> String {
        match chosen {
            SINGLE_TOPIC => self.topic.clone(),
            DEVICE_TOPIC => self.device_topic.clone(),
            other => other.replace(['/', '.'], "-"),
        }
    }
}

/// Whether the bus takes `text` for a topic.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'%');
    !text.is_empty() && text.len() <= TOPIC_LEN_MAX && text.bytes().all(allowed)
}

/// Appends what `item` becomes on the bus to `out`: one message, or one a measurement where it is split.
pub fn map(mapping: &Mapping, item: &Item<'_>, out: &mut Vec<BusMessage>) {
    match &item.part {
        Part::Message(message) => map_message(mapping, item, message, out),
        Part::Unroutable => {
            let device = item.record.envelope.device;
            let uid = item.record.uid_text();
            let mut properties = Properties::of_record(item, device, &uid);
            properties.push_device_time(item.record.envelope.ts_dev);
            properties.push_origin(item, item.record.envelope.topic, true);
            let body = item.record.payload.to_vec();
            out.push(mapping.message(RAW_TAG, device, &uid, properties, body));
        }
        Part::Gap => {
            let device = item.record.envelope.device;
            let uid = format!("{}/gap", item.record.uid_text());
            let properties = Properties::of_record(item, device, &uid);
            let body = gap_body(&uid, device, item.record.payload);
            out.push(mapping.message(GAP_TAG, device, &uid, properties, body));
        }
    }
}

/// Appends the message that stands in place of records that damage has taken. `lane` is theirs.
pub fn map_lost(mapping: &Mapping, lane: Lane, lost: Lost, out: &mut Vec<BusMessage>) {
    let Lost { from, to, cause } = lost;
    let reason = if cause == LostCause::Damaged { "damaged" } else { "expired" };
    let uid = format!("{LOST_DEVICE}/lost/{lane}/{from}-{to}");
    let body = format!(
        r#"{{"uid":"{uid}","lost":{{"lane":"{lane}","from":{from},"to":{to},"reason":"{reason}"}}}}"#
    );
    let properties = Properties::of_damage(&uid, lane);
    let body = body.into_bytes();
    out.push(mapping.message(LOST_TAG, LOST_DEVICE, &uid, properties, body));
}

fn map_message(mapping: &Mapping, item: &Item<'_>, message: &Message<'_>, out: &mut Vec<BusMessage>) {
    let device = message.device.as_str();
    // The record's uid is only made where the reading has no numbers of its own.
    let record_uid = if message.numbers().is_some() { String::new() } else { item.record.uid_text() };
    // What the gateway itself says is one message: nobody wants the words of an alarm one by one.
    let split = mapping.split && item.record.envelope.protocol != Protocol::Gateway;
    for part in message.parts_split(split) {
        let mut uid = String::new();
        // Writing into a String does not fail.
        let _infallible = message.write_uid(&part, &record_uid, &mut uid);
        let mut properties = Properties::of_record(item, device, &uid);
        properties.push_readings(message, &part, item.record.envelope.ts_dev);
        properties.push_origin(item, &message.topic, part.body == normalise::BodyForm::Raw);
        properties.push_labels(&mapping.labels);
        properties.push_values(message, &part);
        let mut body = Vec::new();
        message.write_body(&part, &record_uid, item.record.payload, &mut body);
        let topic = mapping.topic(&part.output_topic);
        out.push(BusMessage::new(topic, &part.tag, device, &uid, properties, body));
    }
}

impl Mapping {
    /// A message to the topic of what is no single number.
    fn message(
        &self,
        tag: &str,
        device: &str,
        uid: &str,
        mut properties: Properties,
        body: Vec<u8>,
    ) -> BusMessage {
        properties.push_labels(&self.labels);
        BusMessage::new(self.device_topic.clone(), tag, device, uid, properties, body)
    }
}

impl BusMessage {
    fn new(topic: String, tag: &str, device: &str, uid: &str, properties: Properties, body: Vec<u8>) -> Self {
        Self {
            topic,
            key: device.to_owned(),
            tag: tag.to_owned(),
            id: unique_key(uid),
            sharding_key: device.to_owned(),
            properties: properties.into_vec(),
            body,
        }
    }
}

/// The spool writes the summary of a gap as JSON, and a device's name has nothing to escape.
fn gap_body(uid: &str, device: &str, summary: &[u8]) -> Vec<u8> {
    let mut body = format!(r#"{{"uid":"{uid}","device":"{device}","gap":"#).into_bytes();
    body.extend_from_slice(summary);
    body.push(b'}');
    body
}
