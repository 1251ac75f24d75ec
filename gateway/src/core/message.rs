//! What one message on the core holds: the records of one device from one round of the feeder. Pure.
//!
//! A round is what one look at a lane of the spool has found. Its messages are numbered, and each says which offsets
//! the round covers: whoever holds all of them, numbered from 0, knows that nothing of these offsets is missing.
//!
//! A round of no messages stands for records that were not handed over: they are read in the spool.
//!
//! A message, little endian: lane (u8), first offset of the round, offset behind it (u64 each), number of the message
//! in the round, messages in the round (u32 each); then the records, each as its offset (u64) and its bytes as in a
//! commit.

use std::collections::HashMap;

use tidegate_protocol::{DeviceId, Lane};

use crate::spool::{Malformed, Offset, Position, Record};

/// Bytes before the first record.
const HEAD_BYTES: usize = 25;

/// What stands in front of a message's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) lane: Lane,
    /// The first offset of the round.
    pub(super) from: Offset,
    /// The offset behind the round.
    pub(super) to: Offset,
    /// The message's number in the round, from 0.
    pub(super) index: u32,
    /// Messages in the round.
    pub(super) count: u32,
}

impl Head {
    fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let parts = [
            &[self.lane as u8][..],
            &self.from.to_le_bytes(),
            &self.to.to_le_bytes(),
            &self.index.to_le_bytes(),
            &self.count.to_le_bytes(),
        ];
        for (byte, part) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *part;
        }
        bytes
    }

    /// The head of a message.
    ///
    /// # Errors
    /// [`Malformed`] when these are not the bytes of one.
    pub(super) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut rest = message;
        let [lane] = array(&mut rest)?;
        let lane = Lane::ALL.into_iter().find(|known| *known as u8 == lane).ok_or(Malformed)?;
        let (from, to) = (u64::from_le_bytes(array(&mut rest)?), u64::from_le_bytes(array(&mut rest)?));
        let (index, count) = (u32::from_le_bytes(array(&mut rest)?), u32::from_le_bytes(array(&mut rest)?));
        Ok(Self { lane, from, to, index, count })
    }
}

/// Messages of a round being made, one a device.
pub(super) struct Round<'a> {
    head: Head,
    /// Place of each device's message.
    places: HashMap<&'a str, usize>,
    messages: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Round<'a> {
    /// A round of `lane` that begins with the offset `from`.
    pub(super) fn new(lane: Lane, from: Offset) -> Self {
        let head = Head { lane, from, to: from, index: 0, count: 0 };
        Self { head, places: HashMap::new(), messages: Vec::new() }
    }

    /// Adds a record to its device's message.
    pub(super) fn push(&mut self, record: &Record<'a>) {
        let device = record.envelope.device;
        let place = *self.places.entry(device).or_insert(self.messages.len());
        if place == self.messages.len() {
            // Head and count are written in when the round is complete.
            self.messages.push((device, vec![0; HEAD_BYTES]));
        }
        if let Some((_, message)) = self.messages.get_mut(place) {
            message.extend_from_slice(&record.position.offset.to_le_bytes());
            record.encode_into(message);
        }
    }

    /// The messages, each with whose it is, of a round that ends in front of the offset `to`.
    pub(super) fn finish(mut self, to: Offset) -> Vec<(&'a str, Vec<u8>)> {
        let count = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        for (index, (_, message)) in (0..).zip(&mut self.messages) {
            let head = Head { to, index, count, ..self.head };
            for (byte, said) in message.iter_mut().zip(head.to_bytes()) {
                *byte = said;
            }
        }
        self.messages
    }
}

/// A message in place of the records `from` to `to`, which whoever follows reads in the spool.
pub(super) fn passed_over(lane: Lane, from: Offset, to: Offset) -> Vec<u8> {
    Head { lane, from, to, index: 0, count: 0 }.to_bytes().to_vec()
}

/// The records of a message, in order.
///
/// # Errors
/// [`Malformed`] when these are not the bytes of one.
pub(super) fn records<'a>(message: &'a [u8], records: &mut Vec<Record<'a>>) -> Result<(), Malformed> {
    let lane = Head::read(message)?.lane;
    let mut rest = message.get(HEAD_BYTES..).ok_or(Malformed)?;
    while !rest.is_empty() {
        let offset = u64::from_le_bytes(array(&mut rest)?);
        records.push(Record::decode_from(Position { lane, offset }, &mut rest)?);
    }
    Ok(())
}

/// The topic of a device's messages: `iot/<lane>/<device>`, or `iot/<lane>` for a name that is no device id. Always
/// ASCII: the router does not survive a topic that begins with anything else.
pub(super) fn topic(lane: Lane, device: Option<&DeviceId>) -> String {
    match device {
        Some(device) => format!("{TOPIC_ROOT}/{lane}/{}", device.as_str()),
        None => format!("{TOPIC_ROOT}/{lane}"),
    }
}

/// First level of the topics of records.
pub(super) const TOPIC_ROOT: &str = "iot";

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (front, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(*front)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{ClockQuality, Envelope, Kind, Protocol, Uid};

    fn record(device: &str, offset: Offset) -> Record<'_> {
        let envelope = Envelope {
            kind: Kind::Message,
            device,
            uid: Uid::Gateway,
            topic: "telemetry",
            protocol: Protocol::Mqtt5,
            qos: 1,
            content_type: None,
            user_properties: vec![("a".into(), "b".into())],
            ts_dev: Some(3),
            uptime_dev: None,
            ts_gw: 4,
            mono_gw: 5,
            boot_gw: 6,
            clock: ClockQuality::Unknown,
        };
        Record { position: Position { lane: Lane::Telemetry, offset }, envelope, format: 0, payload: b"23.4" }
    }

    #[test]
    fn a_round_is_one_message_a_device_and_comes_out_as_it_went_in() {
        let sent = [record("a", 10), record("b", 11), record("a", 12)];
        let mut round = Round::new(Lane::Telemetry, 10);
        sent.iter().for_each(|record| round.push(record));
        let messages = round.finish(13);
        assert_eq!(messages.iter().map(|(device, _)| *device).collect::<Vec<_>>(), ["a", "b"]);
        let mut came = Vec::new();
        for (index, (_, message)) in (0..).zip(&messages) {
            let head = Head::read(message).unwrap();
            assert_eq!(head, Head { lane: Lane::Telemetry, from: 10, to: 13, index, count: 2 });
            records(message, &mut came).unwrap();
        }
        came.sort_by_key(|record| record.position.offset);
        assert_eq!(came, sent);
    }

    #[test]
    fn what_is_cut_or_altered_is_no_message() {
        let mut round = Round::new(Lane::Event, 0);
        round.push(&record("a", 0));
        let (_, message) = round.finish(1).remove(0);
        for len in (0..message.len()).filter(|len| *len != HEAD_BYTES) {
            assert_eq!(records(&message[..len], &mut Vec::new()), Err(Malformed), "{len} bytes");
        }
        let mut altered = message;
        altered[0] = 9;
        assert_eq!(Head::read(&altered), Err(Malformed));
    }

    #[test]
    fn topics_are_ascii_whatever_a_record_calls_its_device() {
        let device = DeviceId::new("sensor_1").unwrap();
        assert_eq!(topic(Lane::Event, Some(&device)), "iot/event/sensor_1");
        assert_eq!(topic(Lane::Telemetry, None), "iot/telemetry");
    }
}
