//! The only place that knows the codec: whole frames in, packets in our own words out.
//!
//! A frame has passed `strict` before it comes here, so the codec sees neither lengths beyond the limit nor half frames.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{Publish as WirePublish, QoS as WireQoS};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder;

use super::reason::{Reason, Violation};
use super::uplink::{Filter, Properties, QoS, SubscribeOptions, Version};

/// A packet from a client. Packet ids are never 0, text is UTF-8 without NUL.
#[derive(Debug)]
pub(super) enum Packet {
    Connect(Box<ConnectPacket>),
    Publish(PublishPacket),
    PubAck {
        packet_id: u16,
    },
    Subscribe {
        packet_id: u16,
        has_identifier: bool,
        filters: Vec<Filter>,
    },
    Unsubscribe {
        packet_id: u16,
        filters: Vec<ByteString>,
    },
    Ping,
    Disconnect {
        with_will: bool,
    },
    /// One that only a gateway sends, or that belongs to QoS 2 or to enhanced authentication.
    Unexpected,
}

#[derive(Debug)]
pub(super) struct ConnectPacket {
    pub(super) client_id: ByteString,
    pub(super) user: Option<ByteString>,
    pub(super) password: Option<Bytes>,
    pub(super) keep_alive_s: u16,
    pub(super) will: Option<WillPacket>,
    pub(super) receive_max: Option<u16>,
    pub(super) frame_bytes_max: Option<u32>,
    pub(super) enhanced_auth: EnhancedAuth,
}

/// What a CONNECT says of enhanced authentication (MQTT 5, 4.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnhancedAuth {
    None,
    Asked,
    /// Data without a method, which is a Protocol Error (3.1.2.11.10).
    DataOnly,
}

#[derive(Debug)]
pub(super) struct WillPacket {
    pub(super) topic: ByteString,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) properties: Option<Box<Properties>>,
}

#[derive(Debug)]
pub(super) struct PublishPacket {
    pub(super) topic: ByteString,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) packet_id: Option<u16>,
    pub(super) alias: Option<u16>,
    pub(super) has_identifier: bool,
    pub(super) properties: Option<Box<Properties>>,
}

/// Takes one frame of `frame_bytes`, which must be there as a whole, off the front of `incoming`.
pub(super) fn decode(
    version: Version,
    incoming: &mut BytesMut,
    frame_bytes: usize,
) -> Result<Packet, Violation> {
    let rest = incoming.len().saturating_sub(frame_bytes);
    let packet = match version {
        Version::V311 => match v3::Codec::new(0).decode(incoming) {
            Ok(Some((packet, _))) => packet_v3(packet)?,
            Ok(None) => return Err(HALF_A_FRAME),
            Err(error) => return Err(violation(&error)),
        },
        Version::V5 => match v5::Codec::new(0, 0).decode(incoming) {
            Ok(Some((packet, _))) => packet_v5(packet)?,
            Ok(None) => return Err(HALF_A_FRAME),
            Err(error) => return Err(violation(&error)),
        },
    };
    if incoming.len() == rest { Ok(packet) } else { Err(HALF_A_FRAME) }
}

const HALF_A_FRAME: Violation =
    Violation::new(Reason::Unspecified, "the codec and the check disagree about a frame's end");

fn violation(error: &DecodeError) -> Violation {
    match error {
        DecodeError::InvalidTopicName => Violation::protocol("an empty topic"),
        DecodeError::InvalidTopicFilter => Violation::protocol("no filter, or an empty one"),
        DecodeError::UnsupportedPacketType => Violation::protocol("a frame this version does not have"),
        DecodeError::Utf8Error => Violation::malformed("text that is not UTF-8"),
        DecodeError::InvalidLength => Violation::malformed("a field of the wrong length"),
        _ => Violation::malformed("a malformed frame"),
    }
}

fn packet_v3(packet: v3::Packet) -> Result<Packet, Violation> {
    Ok(match packet {
        v3::Packet::Connect(connect) => Packet::Connect(Box::new(connect_v3(*connect)?)),
        v3::Packet::Publish(publish) => Packet::Publish(publish_packet(*publish)?),
        v3::Packet::PublishAck { packet_id } => Packet::PubAck { packet_id: packet_id.get() },
        v3::Packet::Subscribe { packet_id, topic_filters } => Packet::Subscribe {
            packet_id: packet_id.get(),
            has_identifier: false,
            filters: topic_filters
                .into_iter()
                .map(|(filter, qos)| {
                    let options =
                        SubscribeOptions { qos: qos_of(qos), no_local: false, retain_as_published: false };
                    Filter { filter, options }
                })
                .collect(),
        },
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Packet::Unsubscribe { packet_id: packet_id.get(), filters: topic_filters }
        }
        v3::Packet::PingRequest => Packet::Ping,
        v3::Packet::Disconnect => Packet::Disconnect { with_will: false },
        _ => Packet::Unexpected,
    })
}

fn packet_v5(packet: v5::Packet) -> Result<Packet, Violation> {
    Ok(match packet {
        v5::Packet::Connect(connect) => Packet::Connect(Box::new(connect_v5(*connect)?)),
        v5::Packet::Publish(publish) => Packet::Publish(publish_packet(*publish)?),
        v5::Packet::PublishAck(ack) => {
            check_texts(&ack.properties, ack.reason_string.as_ref())?;
            Packet::PubAck { packet_id: ack.packet_id.get() }
        }
        v5::Packet::Subscribe(subscribe) => {
            check_texts(&subscribe.user_properties, None)?;
            Packet::Subscribe {
                packet_id: subscribe.packet_id.get(),
                has_identifier: subscribe.id.is_some(),
                filters: subscribe.topic_filters.into_iter().map(filter_v5).collect::<Result<_, _>>()?,
            }
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            check_texts(&unsubscribe.user_properties, None)?;
            let filters = unsubscribe.topic_filters;
            if filters.iter().any(|filter| filter.is_empty()) {
                return Err(Violation::protocol("no filter, or an empty one"));
            }
            Packet::Unsubscribe { packet_id: unsubscribe.packet_id.get(), filters }
        }
        v5::Packet::PingRequest => Packet::Ping,
        v5::Packet::Disconnect(disconnect) => {
            check_texts(&disconnect.user_properties, disconnect.reason_string.as_ref())?;
            Packet::Disconnect {
                with_will: disconnect.reason_code != v5::DisconnectReasonCode::NormalDisconnection,
            }
        }
        _ => Packet::Unexpected,
    })
}

fn filter_v5((filter, options): (ByteString, v5::SubscriptionOptions)) -> Result<Filter, Violation> {
    if filter.is_empty() {
        return Err(Violation::protocol("no filter, or an empty one"));
    }
    let options = SubscribeOptions {
        qos: qos_of(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
    };
    Ok(Filter { filter, options })
}

fn connect_v3(connect: v3::Connect) -> Result<ConnectPacket, Violation> {
    let will = connect.last_will.map(|will| WillPacket {
        topic: will.topic,
        payload: will.message,
        qos: qos_of(will.qos),
        retain: will.retain,
        properties: None,
    });
    Ok(ConnectPacket {
        client_id: text(connect.client_id)?,
        user: connect.username.map(text).transpose()?,
        password: connect.password,
        keep_alive_s: connect.keep_alive,
        will,
        receive_max: None,
        frame_bytes_max: None,
        enhanced_auth: EnhancedAuth::None,
    })
}

fn connect_v5(connect: v5::Connect) -> Result<ConnectPacket, Violation> {
    check_texts(&connect.user_properties, connect.auth_method.as_ref())?;
    Ok(ConnectPacket {
        client_id: text(connect.client_id)?,
        user: connect.username.map(text).transpose()?,
        password: connect.password,
        keep_alive_s: connect.keep_alive,
        will: connect.last_will.map(will_v5).transpose()?,
        receive_max: connect.receive_max.map(NonZeroU16::get),
        frame_bytes_max: connect.max_packet_size.map(std::num::NonZeroU32::get),
        enhanced_auth: match (connect.auth_method, connect.auth_data) {
            (None, None) => EnhancedAuth::None,
            (Some(_), _) => EnhancedAuth::Asked,
            (None, Some(_)) => EnhancedAuth::DataOnly,
        },
    })
}

fn will_v5(will: v5::LastWill) -> Result<WillPacket, Violation> {
    let properties = Properties {
        content_type: will.content_type.map(text).transpose()?,
        response_topic: will.response_topic.map(text).transpose()?,
        correlation_data: will.correlation_data,
        expiry_s: will.message_expiry_interval,
        is_text: will.is_utf8_payload.unwrap_or(false),
        user: user_properties(will.user_properties)?,
    };
    Ok(WillPacket {
        topic: will.topic,
        payload: will.message,
        qos: qos_of(will.qos),
        retain: will.retain,
        properties: boxed(properties),
    })
}

fn publish_packet(publish: WirePublish) -> Result<PublishPacket, Violation> {
    let mut packet = PublishPacket {
        topic: publish.topic,
        payload: publish.payload,
        qos: qos_of(publish.qos),
        dup: publish.dup,
        retain: publish.retain,
        packet_id: publish.packet_id.map(NonZeroU16::get),
        alias: None,
        has_identifier: false,
        properties: None,
    };
    if let Some(wire) = publish.properties {
        packet.alias = wire.topic_alias.map(NonZeroU16::get);
        packet.has_identifier = !wire.subscription_ids.is_empty();
        packet.properties = boxed(Properties {
            content_type: wire.content_type.map(text).transpose()?,
            response_topic: wire.response_topic.map(text).transpose()?,
            correlation_data: wire.correlation_data,
            expiry_s: wire.message_expiry_interval,
            is_text: wire.is_utf8_payload,
            user: user_properties(wire.user_properties)?,
        });
    }
    Ok(packet)
}

fn user_properties(user: v5::UserProperties) -> Result<Vec<(ByteString, ByteString)>, Violation> {
    check_texts(&user, None)?;
    Ok(user)
}

/// [MQTT-1.5.4-2] for text that goes no further than this.
fn check_texts(user: &[(ByteString, ByteString)], other: Option<&ByteString>) -> Result<(), Violation> {
    let mut texts = user.iter().flat_map(|(name, value)| [name, value]).chain(other);
    if texts.any(has_nul) { Err(Violation::malformed("text with NUL")) } else { Ok(()) }
}

/// Most publishes carry no property: they cost no allocation.
fn boxed(properties: Properties) -> Option<Box<Properties>> {
    (properties != Properties::default()).then(|| Box::new(properties))
}

/// [MQTT-1.5.4-2]; topics and filters have a check of their own.
fn text(text: ByteString) -> Result<ByteString, Violation> {
    if has_nul(&text) { Err(Violation::malformed("text with NUL")) } else { Ok(text) }
}

fn has_nul(text: &ByteString) -> bool {
    text.as_bytes().contains(&0)
}

const fn qos_of(qos: WireQoS) -> QoS {
    match qos {
        WireQoS::AtMostOnce => QoS::AtMostOnce,
        WireQoS::AtLeastOnce => QoS::AtLeastOnce,
        WireQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Reads what the gateway sent with the codec's own eyes: the number of frames, and nothing may be left over.
#[cfg(test)]
pub(super) fn read_back(version: Version, bytes: &[u8]) -> Result<usize, String> {
    let mut bytes = BytesMut::from(bytes);
    let mut frames = 0;
    while !bytes.is_empty() {
        let frame = match version {
            Version::V311 => v3::Codec::new(0).decode(&mut bytes).map(|frame| frame.map(drop)),
            Version::V5 => v5::Codec::new(0, 0).decode(&mut bytes).map(|frame| frame.map(drop)),
        };
        frame.map_err(|error| error.to_string())?.ok_or("half a frame")?;
        frames += 1;
    }
    Ok(frames)
}
