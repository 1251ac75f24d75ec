//! What a record becomes for another broker: its topic as subscribers of the gateway see it, its payload as sent. Pure.

use tidegate_protocol::Lane;

use super::super::{Item, Part};
use crate::{
    normalise::{DEVICE_TOPIC, Message, SINGLE_TOPIC},
    spool::{Lost, LostCause},
};

/// First levels of the topic of what stands in place of dropped records; the device follows.
pub const GAP_TOPIC: &str = "tidegate/gap";

/// Topic of what stands in place of records that damage has taken.
pub const LOST_TOPIC: &str = "tidegate/lost";

/// The user property that says the id by which a repeat is known.
pub const UID: &str = "uid";

/// A publish in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) content_type: Option<String>,
    pub(super) properties: Vec<(String, String)>,
}

impl Outgoing {
    #[cfg(test)]
    pub(super) fn named(topic: &str) -> Self {
        Self { topic: topic.to_owned(), ..Self::default() }
    }

    /// What `item` becomes, with `prefix` in front of its topic.
    pub(super) fn of(prefix: &str, item: &Item<'_>) -> Self {
        let (record, envelope) = (item.record, &item.record.envelope);
        let record_uid = record.uid_text();
        let (topic, uid) = match &item.part {
            Part::Message(message) => (topic(message).to_owned(), uid(message, &record_uid)),
            Part::Unroutable => (envelope.topic.to_owned(), record_uid),
            Part::Gap => (format!("{GAP_TOPIC}/{}", envelope.device), format!("{record_uid}/gap")),
        };
        let mut properties = vec![(UID.to_owned(), uid)];
        // Nobody but us says the id.
        let own = envelope.user_properties.iter().filter(|(name, _)| name != UID);
        properties.extend(own.map(|(name, value)| (name.to_string(), value.to_string())));
        Self {
            topic: format!("{prefix}{topic}"),
            payload: record.payload.to_vec(),
            content_type: envelope.content_type.map(str::to_owned),
            properties,
        }
    }

    /// What stands in place of records that damage has taken.
    pub(super) fn of_lost(prefix: &str, lane: Lane, lost: Lost) -> Self {
        let Lost { from, to, cause } = lost;
        let reason = if cause == LostCause::Damaged { "damaged" } else { "expired" };
        let payload = format!(r#"{{"lane":"{lane}","from":{from},"to":{to},"reason":"{reason}"}}"#);
        Self {
            topic: format!("{prefix}{LOST_TOPIC}"),
            payload: payload.into_bytes(),
            content_type: None,
            properties: vec![(UID.to_owned(), format!("_gateway/lost/{lane}/{from}-{to}"))],
        }
    }
}

/// A route's own output topic, else the topic as subscribers see it.
fn topic<'m>(message: &'m Message<'_>) -> &'m str {
    match message.output_topic.as_str() {
        SINGLE_TOPIC | DEVICE_TOPIC => &message.topic,
        own => own,
    }
}

/// The id of the reading, or of the record where the payload holds several: it goes out as a whole.
fn uid(message: &Message<'_>, record_uid: &str) -> String {
    let mut uid = String::new();
    // Writing into a String does not fail.
    let _infallible = match message.readings() {
        [_] => message.write_reading_uid(record_uid, 0, &mut uid),
        _ => std::fmt::Write::write_str(&mut uid, record_uid),
    };
    uid
}
