//! What the gateway sends, written straight into the bytes of the next write.

use super::downlink::Downlink;
use super::reason::Reason;
use super::uplink::{QoS, Version};

/// Property identifiers (MQTT 5, table 2-4) of what the gateway sends.
mod property {
    pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(super) const EXPIRY: u8 = 0x02;
    pub(super) const CONTENT_TYPE: u8 = 0x03;
    pub(super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(super) const CORRELATION_DATA: u8 = 0x09;
    pub(super) const SESSION_EXPIRY: u8 = 0x11;
    pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(super) const RECEIVE_MAX: u8 = 0x21;
    pub(super) const TOPIC_ALIAS_MAX: u8 = 0x22;
    pub(super) const QOS_MAX: u8 = 0x24;
    pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(super) const USER: u8 = 0x26;
    pub(super) const FRAME_BYTES_MAX: u8 = 0x27;
    pub(super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(super) const SHARED_AVAILABLE: u8 = 0x2A;
}

/// The largest remaining length that four bytes can say.
const REMAINING_MAX: usize = 268_435_455;

/// PUBACK; `None` is success. Refusals exist in MQTT 5 only.
pub(super) fn puback(out: &mut Vec<u8>, packet_id: u16, refused: Option<Reason>) {
    let [high, low] = packet_id.to_be_bytes();
    match refused {
        None => out.extend_from_slice(&[0x40, 2, high, low]),
        Some(reason) => out.extend_from_slice(&[0x40, 3, high, low, reason.code()]),
    }
}

/// PINGRESP.
pub(super) fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

/// DISCONNECT of MQTT 5; 3.1.1 has none from the gateway.
pub(super) fn disconnect(out: &mut Vec<u8>, reason: Reason) {
    out.extend_from_slice(&[0xE0, 1, reason.code()]);
}

/// A CONNACK that says no. Nothing where MQTT 3.1.1 has no return code for the reason.
pub(super) fn connack_refused(out: &mut Vec<u8>, version: Version, reason: Reason) {
    match version {
        Version::V5 => out.extend_from_slice(&[0x20, 3, 0, reason.code(), 0]),
        Version::V311 => {
            if let Some(code) = reason.return_code() {
                out.extend_from_slice(&[0x20, 2, 0, code]);
            }
        }
    }
}

/// What an MQTT 5 client is told when it comes in (3.2.2.3).
pub(super) struct Welcome<'a> {
    pub(super) receive_max: u16,
    pub(super) frame_bytes_max: u32,
    pub(super) topic_aliases_max: u16,
    pub(super) keep_alive_s: Option<u16>,
    pub(super) client_id: Option<&'a str>,
}

/// CONNACK of MQTT 3.1.1 that says yes: no session is present as none is kept.
pub(super) fn connack_v311(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x20, 2, 0, 0]);
}

/// CONNACK of MQTT 5 that says yes, and what the gateway does not have: sessions, QoS 2, retained messages,
/// subscription identifiers and shared subscriptions.
pub(super) fn connack_v5(out: &mut Vec<u8>, welcome: &Welcome<'_>) {
    let mut properties = vec![property::SESSION_EXPIRY, 0, 0, 0, 0];
    number(&mut properties, property::RECEIVE_MAX, &welcome.receive_max.to_be_bytes());
    number(&mut properties, property::QOS_MAX, &[1]);
    number(&mut properties, property::RETAIN_AVAILABLE, &[0]);
    number(&mut properties, property::FRAME_BYTES_MAX, &welcome.frame_bytes_max.to_be_bytes());
    number(&mut properties, property::TOPIC_ALIAS_MAX, &welcome.topic_aliases_max.to_be_bytes());
    number(&mut properties, property::SUBSCRIPTION_IDS_AVAILABLE, &[0]);
    number(&mut properties, property::SHARED_AVAILABLE, &[0]);
    if let Some(keep_alive_s) = welcome.keep_alive_s {
        number(&mut properties, property::SERVER_KEEP_ALIVE, &keep_alive_s.to_be_bytes());
    }
    if let Some(client_id) = welcome.client_id {
        properties.push(property::ASSIGNED_CLIENT_ID);
        prefixed(&mut properties, client_id.as_bytes());
    }
    out.push(0x20);
    variable_length(out, 2 + variable_length_bytes(properties.len()) + properties.len());
    out.extend_from_slice(&[0, 0]);
    variable_length(out, properties.len());
    out.extend_from_slice(&properties);
}

/// SUBACK or, with `codes` for MQTT 5 only, UNSUBACK.
pub(super) fn suback(out: &mut Vec<u8>, first: u8, version: Version, packet_id: u16, codes: &[u8]) {
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    out.push(first);
    variable_length(out, 2 + properties.len() + codes.len());
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend_from_slice(properties);
    out.extend_from_slice(codes);
}

/// First byte of a SUBACK.
pub(super) const SUBACK: u8 = 0x90;
/// First byte of an UNSUBACK.
pub(super) const UNSUBACK: u8 = 0xB0;

/// The sizes of a PUBLISH, known before it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublishSize {
    properties: usize,
    remaining: usize,
    /// The whole frame.
    pub(super) frame_bytes: usize,
}

/// The sizes of `downlink` in `version`; `None` when a field is longer than the protocol can say.
pub(super) fn publish_size(version: Version, downlink: &Downlink<'_>) -> Option<PublishSize> {
    let packet_id = if downlink.qos == QoS::AtMostOnce { 0 } else { 2 };
    let mut remaining = prefixed_bytes(downlink.topic.as_bytes())? + packet_id + downlink.payload.len();
    let mut properties = 0;
    if version == Version::V5 {
        properties = properties_bytes(downlink)?;
        remaining += variable_length_bytes(properties) + properties;
    }
    let frame_bytes = 1 + variable_length_bytes(remaining) + remaining;
    (remaining <= REMAINING_MAX).then_some(PublishSize { properties, remaining, frame_bytes })
}

fn properties_bytes(downlink: &Downlink<'_>) -> Option<usize> {
    let mut bytes = if downlink.is_text { 2 } else { 0 };
    bytes += if downlink.expiry_s.is_some() { 5 } else { 0 };
    let texts = [downlink.content_type, downlink.response_topic].map(|text| text.map(str::as_bytes));
    for field in texts.into_iter().chain([downlink.correlation_data]).flatten() {
        bytes += 1 + prefixed_bytes(field)?;
    }
    for (name, value) in downlink.user_properties {
        bytes += 1 + prefixed_bytes(name.as_bytes())? + prefixed_bytes(value.as_bytes())?;
    }
    Some(bytes)
}

/// PUBLISH. Returns where in `out` the packet id stands; it is 0 there.
pub(super) fn publish(
    out: &mut Vec<u8>,
    version: Version,
    downlink: &Downlink<'_>,
    size: PublishSize,
) -> Option<usize> {
    let owed = downlink.qos != QoS::AtMostOnce;
    out.reserve(size.frame_bytes);
    out.push(if owed { 0x32 } else { 0x30 });
    variable_length(out, size.remaining);
    prefixed(out, downlink.topic.as_bytes());
    let packet_id_at = owed.then_some(out.len());
    if owed {
        out.extend_from_slice(&[0, 0]);
    }
    if version == Version::V5 {
        variable_length(out, size.properties);
        properties(out, downlink);
    }
    out.extend_from_slice(downlink.payload);
    packet_id_at
}

fn properties(out: &mut Vec<u8>, downlink: &Downlink<'_>) {
    if downlink.is_text {
        number(out, property::PAYLOAD_FORMAT, &[1]);
    }
    if let Some(expiry_s) = downlink.expiry_s {
        number(out, property::EXPIRY, &expiry_s.get().to_be_bytes());
    }
    let fields = [
        (property::CONTENT_TYPE, downlink.content_type.map(str::as_bytes)),
        (property::RESPONSE_TOPIC, downlink.response_topic.map(str::as_bytes)),
        (property::CORRELATION_DATA, downlink.correlation_data),
    ];
    for (identifier, field) in fields {
        if let Some(field) = field {
            out.push(identifier);
            prefixed(out, field);
        }
    }
    for (name, value) in downlink.user_properties {
        out.push(property::USER);
        prefixed(out, name.as_bytes());
        prefixed(out, value.as_bytes());
    }
}

fn number(out: &mut Vec<u8>, identifier: u8, value: &[u8]) {
    out.push(identifier);
    out.extend_from_slice(value);
}

/// A field with its two-byte length; a longer one, which no caller has, is cut.
fn prefixed(out: &mut Vec<u8>, field: &[u8]) {
    let len = u16::try_from(field.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(field.get(..usize::from(len)).unwrap_or(field));
}

fn prefixed_bytes(field: &[u8]) -> Option<usize> {
    u16::try_from(field.len()).ok().map(|len| 2 + usize::from(len))
}

/// A Variable Byte Integer, at most [`REMAINING_MAX`].
fn variable_length(out: &mut Vec<u8>, value: usize) {
    let mut rest = value.min(REMAINING_MAX);
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

const fn variable_length_bytes(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}
