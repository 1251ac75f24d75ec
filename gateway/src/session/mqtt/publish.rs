//! PUBLISH from the client and its acknowledgement.

use bytestring::ByteString;

use super::Refusal;
use super::codec::PublishPacket;
use super::limits::Limits;
use super::reason::{Reason, Violation};
use super::topic::{self, TopicFault};
use super::uplink::{Properties, Publish, QoS, Receipt, Refused, Uplink, Version};
use super::{Durable, Position, Session, State};

impl Session {
    /// Checks a publish, gives it its place in the line and offers it.
    pub(super) fn publish(&mut self, mut packet: PublishPacket) -> Result<Uplink, Violation> {
        self.check_supported(&packet)?;
        packet.topic = self.resolve_alias(packet.topic, packet.alias)?;
        let refusal = match topic::check_topic(&packet.topic, &self.limits) {
            Ok(()) => check_properties(&packet, &self.limits)?,
            Err(TopicFault::Refused(refusal)) => Some(refusal),
            Err(TopicFault::Broken(violation)) => return Err(violation),
        };
        let receipt = match packet.packet_id {
            None => Receipt::NONE,
            Some(packet_id) => self.owe(packet_id)?,
        };
        if let Some(refusal) = refusal {
            self.handle_stored(receipt, Err(refusal));
            return Ok(Uplink::Refused(Refused { topic: packet.topic, reason: refusal.publish_reason() }));
        }
        Ok(Uplink::Publish(Publish {
            receipt,
            topic: packet.topic,
            payload: packet.payload,
            qos: packet.qos,
            dup: packet.dup,
            retain: packet.retain,
            properties: packet.properties,
        }))
    }

    /// What the CONNACK said is not there (3.2.2.3.4, 3.2.2.3.5), or that only a gateway may send [MQTT-3.3.4-6].
    fn check_supported(&self, packet: &PublishPacket) -> Result<(), Violation> {
        if packet.qos == QoS::ExactlyOnce {
            return Err(Violation::new(Reason::QosNotSupported, "a publish of QoS 2"));
        }
        if packet.retain && self.version == Some(Version::V5) {
            return Err(Violation::new(Reason::RetainNotSupported, "a retained publish"));
        }
        if packet.has_identifier {
            return Err(Violation::protocol("a publish with a subscription identifier"));
        }
        Ok(())
    }

    /// The topic a publish means, which an alias may stand for or be set by (3.3.2.3.4).
    fn resolve_alias(&mut self, topic: ByteString, alias: Option<u16>) -> Result<ByteString, Violation> {
        let Some(alias) = alias else { return Ok(topic) };
        if alias > self.limits.topic_aliases_max {
            return Err(Violation::new(Reason::AliasInvalid, "a topic alias above the maximum"));
        }
        let index = usize::from(alias.saturating_sub(1));
        if topic.is_empty() {
            let known = self.aliases.get(index).filter(|known| !known.is_empty()).cloned();
            return known.ok_or(Violation::protocol("a topic alias that was not set"));
        }
        if topic.len() <= self.limits.topic_bytes_max {
            if self.aliases.len() <= index {
                self.aliases.resize(index + 1, ByteString::new());
            }
            if let Some(known) = self.aliases.get_mut(index) {
                *known = ByteString::from(&*topic);
            }
        }
        Ok(topic)
    }

    fn owe(&mut self, packet_id: u16) -> Result<Receipt, Violation> {
        // MQTT 3.1.1 knows no Receive Maximum: there, reading stops before the line is full.
        if self.version == Some(Version::V5) && self.receipts.len() >= usize::from(self.limits.window()) {
            return Err(Violation::new(
                Reason::ReceiveMaxExceeded,
                "more publishes in flight than Receive Maximum",
            ));
        }
        Ok(self.receipts.push(packet_id))
    }

    /// Answers [`Uplink::Publish`]: given to the spool at a position, or refused.
    ///
    /// A refusal keeps its place in the order and is told in the PUBACK of MQTT 5. MQTT 3.1.1 has no word for it: a
    /// passing one stops the reading and ends the session after `shed_ms_max`, any other ends it at once. For QoS 0
    /// nothing is owed; what is not authorised ends the session all the same.
    pub fn handle_stored(&mut self, receipt: Receipt, answer: Result<Position, Refusal>) {
        if receipt.is_owed() {
            self.clock.held_ms = None;
        }
        let refusal = match answer {
            Ok(position) => return self.receipts.store(receipt, position),
            Err(refusal) => refusal,
        };
        if !receipt.is_owed() {
            if refusal.publish_reason() == Reason::NotAuthorized {
                self.fail(Violation::new(Reason::NotAuthorized, "a publish that is not authorised"));
            }
        } else if self.version == Some(Version::V5) {
            self.receipts.refuse(receipt, refusal.publish_reason());
            self.finish_drained();
        } else if refusal.is_passing() {
            self.receipts.cut(receipt);
            self.clock.shed_ms.get_or_insert(self.clock.read_ms);
            self.finish_drained();
        } else {
            self.receipts.cut(receipt);
            self.fail(Violation::new(refusal.publish_reason(), "a publish that can never be accepted"));
        }
    }

    /// Settles, from the front of the line of receipts, what the disk has confirmed. The PUBACKs are in the next
    /// [`poll_transmit`](Self::poll_transmit), in the order of the publishes [MQTT-4.6.0-2].
    pub fn handle_durable(&mut self, durable: &Durable) {
        self.settle(|position| durable.covers(position));
    }

    pub(super) fn settle(&mut self, covers: impl Fn(Position) -> bool) {
        self.receipts.settle(covers);
        self.retry_held();
        self.finish_drained();
    }

    /// A session that ends waits for its receipts.
    pub(super) fn finish_drained(&mut self) {
        if let State::Draining(end) = self.state
            && self.receipts.pending() == 0
        {
            self.finish(end);
        }
    }
}

/// What a publish carries along, within the limits and as it says it is.
fn check_properties(packet: &PublishPacket, limits: &Limits) -> Result<Option<Refusal>, Violation> {
    let Some(properties) = &packet.properties else { return Ok(None) };
    if let Some(response_topic) = &properties.response_topic
        && (response_topic.is_empty() || response_topic.contains(['+', '#']))
    {
        return Err(Violation::protocol("a response topic with wildcards")); // [MQTT-3.3.2-14]
    }
    if properties.user.len() > limits.user_properties_max {
        return Ok(Some(Refusal::BeyondLimit));
    }
    let lies = properties.is_text && str::from_utf8(&packet.payload).is_err();
    Ok(lies.then_some(Refusal::PayloadFormatInvalid))
}

impl Properties {
    /// Bytes of the texts and of the correlation data.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.content_type, &self.response_topic].into_iter().flatten().map(|text| text.len());
        let pairs = self.user.iter().map(|(name, value)| name.len() + value.len());
        texts.chain(pairs).sum::<usize>() + self.correlation_data.as_ref().map_or(0, |data| data.len())
    }

    /// A copy that does not keep what was read in memory.
    pub(super) fn detached(&self) -> Self {
        let text = |text: &ByteString| ByteString::from(&**text);
        Self {
            content_type: self.content_type.as_ref().map(text),
            response_topic: self.response_topic.as_ref().map(text),
            correlation_data: self.correlation_data.as_deref().map(bytes::Bytes::copy_from_slice),
            expiry_s: self.expiry_s,
            is_text: self.is_text,
            user: self.user.iter().map(|(name, value)| (text(name), text(value))).collect(),
        }
    }
}
