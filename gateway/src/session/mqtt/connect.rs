//! CONNECT and what follows from it: the check, the login, the CONNACK, the will.

use bytestring::ByteString;

use super::Refusal;
use super::codec::{ConnectPacket, EnhancedAuth, Packet, WillPacket};
use super::encode::{self, Welcome};
use super::limits::Limits;
use super::reason::{Reason, Violation};
use super::strict::{self, Head, kind};
use super::topic;
use super::uplink::{Accepted, Connect, Publish, QoS, Receipt, Uplink, Version};
use super::{Millis, Session, State, Waiting, codec};

impl Session {
    /// Takes the CONNECT, which must be the first frame [MQTT-3.1.0-1], off the front of what was read.
    pub(super) fn connect(&mut self, head: Head) -> Result<Option<Uplink>, Violation> {
        if head.kind() != kind::CONNECT {
            return Err(Violation::protocol("the first frame is no CONNECT"));
        }
        let body = self.incoming.get(head.header_bytes..head.frame_bytes).unwrap_or_default();
        let checked = strict::connect(body).map_err(|fault| {
            self.version = fault.answer;
            fault.violation
        })?;
        self.version = Some(checked.version);
        self.allow_empty_client_id(head);
        match codec::decode(checked.version, &mut self.incoming, head.frame_bytes)? {
            Packet::Connect(packet) => self.accept(checked.version, checked.clean_start, *packet).map(Some),
            _ => Err(Violation::protocol("the first frame is no CONNECT")),
        }
    }

    /// The codec takes an empty client id only with Clean Start, which MQTT 5 does not ask for (3.1.3.1); what the
    /// client said is known by then.
    fn allow_empty_client_id(&mut self, head: Head) {
        if let Some(flags) = self.incoming.get_mut(head.header_bytes + strict::CONNECT_FLAGS_AT) {
            *flags |= strict::CLEAN_START;
        }
    }

    fn accept(
        &mut self,
        version: Version,
        clean_start: bool,
        packet: ConnectPacket,
    ) -> Result<Uplink, Violation> {
        match packet.enhanced_auth {
            EnhancedAuth::None => {}
            EnhancedAuth::Asked => {
                return Err(Violation::new(
                    Reason::BadAuthenticationMethod,
                    "enhanced authentication is not offered",
                ));
            }
            EnhancedAuth::DataOnly => {
                return Err(Violation::protocol("authentication data without a method"));
            }
        }
        check_client_id(&packet.client_id, &self.limits)?;
        let will = packet.will.map(|will| check_will(will, version, &self.limits)).transpose()?;
        self.downlinks.open(&self.limits, packet.receive_max, packet.frame_bytes_max);
        let connect = Connect {
            version,
            client_id: packet.client_id,
            user: packet.user,
            password: packet.password,
            clean_start,
            keep_alive_s: packet.keep_alive_s,
            will_topic: will.as_ref().map(|will| will.topic.clone()),
        };
        self.will = will;
        self.waiting = Some(Waiting::Login {
            keep_alive_s: packet.keep_alive_s,
            needs_client_id: version == Version::V5 && connect.client_id.is_empty(),
        });
        self.state = State::Authenticating;
        self.clock.since_ms = self.clock.read_ms;
        Ok(Uplink::Connect(Box::new(connect)))
    }

    /// Answers [`Uplink::Connect`]: a CONNACK goes out, and with a [`Refusal`] the session is over.
    pub fn handle_login(&mut self, answer: Result<Accepted, Refusal>, now_ms: Millis) {
        let Some(Waiting::Login { keep_alive_s, needs_client_id }) = self.waiting else { return };
        if !matches!(self.state, State::Authenticating) {
            return;
        }
        match answer {
            Err(refusal) => self.fail(Violation::new(refusal.connect_reason(), "the login was refused")),
            Ok(accepted) if needs_client_id && accepted.assigned_client_id.is_none() => {
                self.fail(Violation::new(Reason::ClientIdInvalid, "no client id"));
            }
            Ok(accepted) => {
                self.waiting = None;
                self.state = State::Active;
                self.clock.since_ms = now_ms;
                self.clock.heard_ms = now_ms;
                self.welcome(keep_alive_s, &accepted);
            }
        }
    }

    fn welcome(&mut self, asked_s: u16, accepted: &Accepted) {
        let limits = &self.limits;
        if self.version != Some(Version::V5) {
            self.clock.keep_alive_ms = keep_alive_ms(asked_s);
            self.reply(encode::connack_v311);
            return;
        }
        let longest_s = limits.keep_alive_s_max;
        let told_s = (asked_s == 0 || asked_s > longest_s).then_some(longest_s);
        let welcome = Welcome {
            receive_max: limits.window(),
            frame_bytes_max: limits.frame_bytes_max,
            topic_aliases_max: limits.topic_aliases_max,
            keep_alive_s: told_s,
            client_id: accepted.assigned_client_id.as_deref(),
        };
        self.clock.keep_alive_ms = keep_alive_ms(told_s.unwrap_or(asked_s));
        self.reply(|out| encode::connack_v5(out, &welcome));
    }
}

/// One and a half times the keep-alive (3.1.2.10).
fn keep_alive_ms(keep_alive_s: u16) -> Millis {
    Millis::from(keep_alive_s) * 1_500
}

/// A client id may not look like part of a filter, nor fill the log.
fn check_client_id(client_id: &ByteString, limits: &Limits) -> Result<(), Violation> {
    let acceptable = client_id.len() <= limits.client_id_bytes_max
        && !client_id.chars().any(|c| matches!(c, '+' | '#') || c.is_control());
    acceptable
        .then_some(())
        .ok_or(Violation::new(Reason::ClientIdInvalid, "a client id that is not acceptable"))
}

/// Checks a will by the rules of a publish. Its QoS 2 counts as 1 in MQTT 3.1.1, which has no refusal for it. The
/// will is copied: it outlives what was read.
fn check_will(will: WillPacket, version: Version, limits: &Limits) -> Result<Box<Publish>, Violation> {
    let v5 = version == Version::V5;
    if v5 && will.qos == QoS::ExactlyOnce {
        return Err(Violation::new(Reason::QosNotSupported, "a will of QoS 2")); // [MQTT-3.2.2-12]
    }
    if v5 && will.retain {
        return Err(Violation::new(Reason::RetainNotSupported, "a retained will")); // [MQTT-3.2.2-13]
    }
    if topic::check_topic(&will.topic, limits).is_err() {
        return Err(Violation::new(Reason::TopicInvalid, "a will topic that is not acceptable"));
    }
    let property_bytes = will.properties.as_ref().map_or(0, |properties| properties.bytes());
    let pairs = will.properties.as_ref().map_or(0, |properties| properties.user.len());
    if pairs > limits.user_properties_max
        || will.topic.len() + will.payload.len() + property_bytes > limits.will_bytes_max
    {
        return Err(Violation::new(Reason::QuotaExceeded, "a will beyond the limit"));
    }
    if will.properties.as_ref().is_some_and(|properties| properties.is_text)
        && str::from_utf8(&will.payload).is_err()
    {
        return Err(Violation::new(
            Reason::PayloadFormatInvalid,
            "a will that is not the text it says it is",
        ));
    }
    let will = Publish {
        receipt: Receipt::NONE,
        topic: will.topic,
        payload: will.payload,
        qos: will.qos.min(QoS::AtLeastOnce),
        dup: false,
        retain: will.retain,
        properties: will.properties,
    };
    Ok(Box::new(will.detached()))
}
