//! The properties of a message: ours by their prefix, the owner's labels, and the measurements, by which the broker
//! can filter.
//!
//! Names and values come from devices too, so nothing gets in here that could pass for something else: names are
//! [`Name`]s, which the bus and the gateway do not use themselves, and no value holds a control character, with which
//! properties are separated on the wire.

use std::{collections::BTreeMap, fmt::Display};

use tidegate_protocol::{Lane, Name, Reading, Value};

use super::{super::super::Item, MappingError};
use crate::normalise::{Message, Part};

/// The id by which a repeat is known, of this message.
pub const UID: &str = "uid";
/// The device.
pub const DEVICE: &str = "tg_dev";
/// Number of the reading since the device's start, where the message is one reading that has it.
pub const SEQUENCE: &str = "tg_seq";
/// The device's count of its own starts, beside [`SEQUENCE`].
pub const BOOT: &str = "tg_boot";
/// The device's time of the (first) reading, Unix milliseconds.
pub const TIME: &str = "tg_ts";
/// The gateway's time of arrival, Unix milliseconds.
pub const ARRIVAL: &str = "tg_ts_gw";
/// How it came in: `mqtt311`, `mqtt5`, `coap`, … or `gateway`.
pub const PROTOCOL: &str = "tg_proto";
/// `event` or `telemetry`: first in, first out holds within a lane, and so does what follows from it.
pub const LANE: &str = "tg_lane";
/// The topic, where it is not the native one of the lane.
pub const TOPIC: &str = "tg_topic";
/// The media type of a body that is the payload as sent.
pub const CONTENT_TYPE: &str = "tg_type";

/// Labels of one output.
pub const LABELS_MAX: usize = 16;

/// Bytes in the longest value of a label, and in the longest media type that is handed on.
pub const VALUE_LEN_MAX: usize = 255;

/// The owner's own properties, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels(Vec<(String, String)>);

impl Labels {
    pub(super) fn new(labels: &BTreeMap<String, String>) -> Result<Self, MappingError> {
        let fail = |wrong, instead| Err(MappingError { key: "labels", wrong, instead });
        if labels.len() > LABELS_MAX {
            return fail(format!("more than {LABELS_MAX} labels"), "leave some out");
        }
        for (name, value) in labels {
            if let Err(problem) = Name::new(name) {
                let instead = "write a name of your own such as site";
                return fail(format!("{name:?} can be no label: {problem}"), instead);
            }
            if !is_value(value) || value.len() > VALUE_LEN_MAX {
                let instead = "write up to 255 bytes without control characters";
                return fail(format!("the value of {name} cannot be sent"), instead);
            }
        }
        Ok(Self(labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()))
    }
}

/// Whether `text` can stand in a property without being taken for something else.
fn is_value(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// The properties of one message, in the making.
#[derive(Debug)]
pub(super) struct Properties(Vec<(String, String)>);

impl Properties {
    /// What every record has.
    pub(super) fn of_record(item: &Item<'_>, device: &str, uid: &str) -> Self {
        let envelope = &item.record.envelope;
        let mut properties = Self(Vec::with_capacity(12));
        properties.push(UID, uid);
        properties.push(DEVICE, device);
        properties.push(LANE, item.record.position.lane);
        properties.push(ARRIVAL, envelope.ts_gw);
        properties.push(PROTOCOL, envelope.protocol.as_str());
        properties
    }

    /// What a notice of damage has.
    pub(super) fn of_damage(uid: &str, lane: Lane) -> Self {
        let mut properties = Self(Vec::with_capacity(4));
        properties.push(UID, uid);
        properties.push(LANE, lane);
        properties
    }

    fn push(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    pub(super) fn push_device_time(&mut self, ts: Option<u64>) {
        if let Some(ts) = ts {
            self.push(TIME, ts);
        }
    }

    /// The device's numbers and time of the reading that `part` is, or is of.
    pub(super) fn push_readings(&mut self, message: &Message<'_>, part: &Part<'_>, ts_dev: Option<u64>) {
        let reading = match (part.only, message.readings()) {
            (Some((index, _)), readings) => readings.get(index),
            (None, [reading]) => Some(reading),
            (None, _) => None,
        };
        if let Some((boot, sequence)) = reading.and_then(Reading::numbers) {
            self.push(BOOT, boot);
            self.push(SEQUENCE, sequence);
        }
        self.push_device_time(reading.and_then(|reading| reading.ts).or(message.ts()).or(ts_dev));
    }

    /// Where it comes from and, for `raw` bodies, what the device says they are.
    pub(super) fn push_origin(&mut self, item: &Item<'_>, topic: &str, raw: bool) {
        let envelope = &item.record.envelope;
        let lane = item.record.position.lane;
        let is_native = topic.strip_prefix(lane.as_str()).is_some_and(|rest| match rest.strip_prefix('/') {
            Some(device) => self.0.iter().any(|(name, value)| name == DEVICE && value == device),
            None => rest.is_empty(),
        });
        if !is_native && is_value(topic) {
            self.push(TOPIC, topic);
        }
        if let Some(media) = envelope.content_type.filter(|_| raw)
            && is_value(media)
            && media.len() <= VALUE_LEN_MAX
        {
            self.push(CONTENT_TYPE, media);
        }
    }

    pub(super) fn push_labels(&mut self, labels: &Labels) {
        self.0.extend(labels.0.iter().cloned());
    }

    /// Each measurement's value under its name. In a message of several readings, those that have one value in it: no
    /// filter could be right for the others. A label of the owner's is not overruled by a device.
    pub(super) fn push_values(&mut self, message: &Message<'_>, part: &Part<'_>) {
        if let Some((reading, measurement)) = part.only {
            let reading = message.readings().get(reading);
            if let Some(found) = reading.and_then(|reading| reading.measurements.get(measurement)) {
                self.push_value(&found.name, &found.value);
            }
            return;
        }
        let mut values: BTreeMap<&Name, Option<&Value>> = BTreeMap::new();
        for found in message.readings().iter().flat_map(|reading| &reading.measurements) {
            let known = values.entry(&found.name).or_insert(Some(&found.value));
            *known = known.filter(|value| **value == found.value);
        }
        for (name, value) in values {
            if let Some(value) = value {
                self.push_value(name, value);
            }
        }
    }

    /// A label of that name is there before and stays.
    fn push_value(&mut self, name: &Name, value: &Value) {
        let is_taken = self.0.iter().any(|(known, _)| known == name.as_str());
        let is_sendable = !matches!(value, Value::Text(text) if !is_value(text));
        if !is_taken && is_sendable {
            self.push(name.as_str(), value);
        }
    }

    pub(super) fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }
}
