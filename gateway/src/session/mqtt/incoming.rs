//! From bytes to frames to what each frame asks for, one frame at a time and only as far as it may go.

use bytes::BytesMut;

use super::codec::Packet;
use super::reason::{Reason, Violation};
use super::strict::{self, Head};
use super::uplink::{Uplink, Version};
use super::{Millis, Session, State, codec, encode};

/// Spare room behind what was read, so that the codec, which reserves two bytes after each frame, never copies.
const SPARE_BYTES: usize = 8;

impl Session {
    /// Takes bytes from the client; [`poll_uplink`](Self::poll_uplink) decodes them. At most `read_bytes_max` at once,
    /// and only while [`wants_bytes`](Self::wants_bytes): what goes beyond the limits ends the session.
    pub fn handle_bytes(&mut self, bytes: &[u8], now_ms: Millis) {
        if self.end().is_some() || bytes.is_empty() {
            return;
        }
        self.clock.read_ms = now_ms;
        if self.incoming.len().saturating_add(bytes.len()) > self.incoming_bytes_max() {
            self.fail(Violation::new(Reason::QuotaExceeded, "more bytes than were asked for"));
            return;
        }
        if self.incoming.is_empty() {
            self.incoming = BytesMut::with_capacity(bytes.len() + SPARE_BYTES);
            self.is_cut = false;
        } else {
            self.incoming.reserve(bytes.len() + SPARE_BYTES);
        }
        self.incoming.extend_from_slice(bytes);
    }

    fn incoming_bytes_max(&self) -> usize {
        let limits = &self.limits;
        let (frame, behind) = match self.state {
            State::Active => (limits.frame_bytes_max, limits.read_bytes_max),
            _ => (limits.connect_bytes_max, limits.early_bytes_max),
        };
        usize::try_from(u64::from(frame) + u64::from(behind)).unwrap_or(usize::MAX)
    }

    /// The next thing that somebody outside has to answer or know; decodes until there is one.
    ///
    /// Once the session is over: the will, if it is due, and then [`Uplink::Disconnect`].
    pub fn poll_uplink(&mut self) -> Option<Uplink> {
        if let Some(uplink) = self.poll_held() {
            return Some(uplink);
        }
        while self.may_decode() {
            match self.next_frame() {
                Ok(Some(head)) => match self.frame(head) {
                    Ok(None) => {}
                    Ok(uplink) => return uplink,
                    Err(violation) => self.fail(violation),
                },
                Ok(None) => break,
                Err(violation) => self.fail(violation),
            }
        }
        self.keep_the_rest();
        self.poll_end()
    }

    /// Whether the next frame may be looked at.
    pub(super) fn may_decode(&self) -> bool {
        match self.state {
            State::Connecting => true,
            State::Active => {
                self.waiting.is_none()
                    && self.clock.shed_ms.is_none()
                    && !self.holds_back()
                    && !self.is_clogged()
            }
            State::Authenticating | State::Draining(_) | State::Closed(_) => false,
        }
    }

    /// The gateway reads no further until the disk has caught up: MQTT 3.1.1 has no Receive Maximum, and a held
    /// publish goes first.
    pub(super) fn holds_back(&self) -> bool {
        let is_full = self.receipts.pending() >= usize::from(self.limits.window());
        self.held.is_some() || (is_full && self.version == Some(Version::V311))
    }

    /// The client sends and does not read what it is answered.
    fn is_clogged(&self) -> bool {
        let acknowledgements_max = usize::from(self.limits.window()).saturating_mul(4);
        self.reply_bytes >= self.limits.reply_bytes_max || self.receipts.len() >= acknowledgements_max
    }

    /// The head of a frame that is there as a whole.
    fn next_frame(&self) -> Result<Option<Head>, Violation> {
        let frame_bytes_max = match self.state {
            State::Active => self.limits.frame_bytes_max,
            _ => self.limits.connect_bytes_max,
        };
        let head = strict::head(&self.incoming, frame_bytes_max)?;
        match (self.state, head) {
            // The first frame is judged by its first byte: what is not MQTT is not waited for.
            (State::Connecting, None)
                if self.incoming.first().is_some_and(|first| first >> 4 != strict::kind::CONNECT) =>
            {
                Err(Violation::protocol("the first frame is no CONNECT"))
            }
            (_, head) => Ok(head.filter(|head| head.frame_bytes <= self.incoming.len())),
        }
    }

    /// Decodes the frame at the front and does what it says.
    fn frame(&mut self, head: Head) -> Result<Option<Uplink>, Violation> {
        self.is_cut = true;
        self.clock.heard_ms = self.clock.heard_ms.max(self.clock.read_ms);
        self.clock.half_frame_ms = None;
        let Some(version) = self.version else { return self.connect(head) };
        let body = self.incoming.get(head.header_bytes..head.frame_bytes).unwrap_or_default();
        strict::body(version, head, body)?;
        match codec::decode(version, &mut self.incoming, head.frame_bytes)? {
            Packet::Publish(packet) => self.publish(packet).map(Some),
            Packet::PubAck { packet_id } => {
                self.downlinks.acknowledge(&mut self.outgoing, packet_id);
                Ok(None)
            }
            Packet::Subscribe { has_identifier: true, .. } => {
                Err(Violation::new(Reason::SubscriptionIdNotSupported, "a subscription identifier"))
            }
            Packet::Subscribe { packet_id, filters, .. } => self.subscribe(packet_id, filters),
            Packet::Unsubscribe { packet_id, filters } => self.unsubscribe(packet_id, filters),
            Packet::Ping => {
                self.reply(encode::pingresp);
                Ok(None)
            }
            Packet::Disconnect { with_will } => {
                self.goodbye_from_client(with_will);
                Ok(None)
            }
            Packet::Connect(_) => Err(Violation::protocol("a second CONNECT")), // [MQTT-3.1.0-2]
            Packet::Unexpected => Err(Violation::protocol("a frame that no client may send here")),
        }
    }

    /// Gives back the memory of what was decoded; half a frame is kept in memory of its own.
    fn keep_the_rest(&mut self) {
        if self.incoming.is_empty() || matches!(self.state, State::Closed(_)) {
            self.incoming = BytesMut::new();
            self.is_cut = false;
            return;
        }
        if self.is_cut && matches!(self.state, State::Active) {
            let mut rest = BytesMut::with_capacity(self.incoming.len() + SPARE_BYTES);
            rest.extend_from_slice(&self.incoming);
            self.incoming = rest;
            self.is_cut = false;
        }
        if self.may_decode() {
            self.clock.half_frame_ms.get_or_insert(self.clock.read_ms);
        }
    }

    /// Whether the socket should be read.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.may_decode()
    }
}
