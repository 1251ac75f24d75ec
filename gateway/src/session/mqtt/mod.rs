//! One MQTT connection, 3.1.1 or 5, without I/O and without a clock.
//!
//! The owner of the socket drives it:
//!
//! - bytes read go to [`handle_bytes`](Session::handle_bytes), as long as [`wants_bytes`](Session::wants_bytes);
//! - then [`poll_uplink`](Session::poll_uplink) until it has nothing, each uplink answered **before** the next one is
//!   asked for, so that what follows a refused publish is not stored in front of its repetition;
//! - then [`poll_transmit`](Session::poll_transmit), and one write of what it gave. It makes room, so
//!   `poll_uplink` may have something again;
//! - [`handle_timeout`](Session::handle_timeout) when [`poll_timeout`](Session::poll_timeout) is due,
//!   [`handle_durable`](Session::handle_durable) when the spool confirmed more,
//!   [`handle_eof`](Session::handle_eof) when the socket is gone, each followed by the two polls;
//! - when [`is_closed`](Session::is_closed), and the polls have nothing more, the socket is closed.
//!
//! A frame passes `strict`, then the codec, then the file of its type (`connect publish subscribe`), each of which
//! keeps one part of the state. Whatever a client does wrong ends in `Session::fail`, with one reason.

mod codec;
mod connect;
mod downlink;
mod encode;
pub mod fuzz;
mod index;
mod keepalive;
mod limits;
mod publish;
mod reason;
mod receipts;
mod strict;
mod subscribe;
#[cfg(test)]
mod tests;
mod topic;
mod uplink;

use std::sync::Arc;

use bytes::BytesMut;
use bytestring::ByteString;

pub use downlink::{Downlink, Slow};
pub use index::{IndexError, IndexLimits, Match, SubscriberId, SubscriptionIndex};
pub use limits::Limits;
pub use reason::{End, EndBy, Reason, Refusal};
pub use uplink::{
    Accepted, Connect, Filter, Properties, Publish, QoS, Receipt, Refused, Subscribe, SubscribeOptions,
    Unsubscribe, Uplink, Version,
};

use crate::spool::{Durable, Position};
use codec::Packet;
use downlink::Downlinks;
use keepalive::Clock;
use reason::Violation;
use receipts::Receipts;
use strict::Head;
use subscribe::Request;

/// Milliseconds on the monotonic clock of the process.
pub type Millis = u64;

/// Spare room behind what was read, so that the codec, which reserves two bytes after each frame, never copies.
const SPARE_BYTES: usize = 8;

/// Bytes of answers an idle session keeps room for.
const IDLE_OUTGOING_BYTES_MAX: usize = 64;

/// One connection's MQTT state.
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    state: State,
    /// Known with the CONNECT.
    version: Option<Version>,
    clock: Clock,
    /// What was read and not decoded: nothing, or a part of a frame, or what waits for an answer in front of it.
    incoming: BytesMut,
    /// Frames were taken off the front of `incoming`, whose memory is as large as the read it came in.
    is_cut: bool,
    /// Answers and messages for the next write; PUBACKs come from `receipts`.
    outgoing: Vec<u8>,
    /// How many bytes of `outgoing` are answers.
    reply_bytes: usize,
    /// The last word, behind all others.
    goodbye: Option<Reason>,
    /// What has to be answered from outside before the next frame is looked at.
    waiting: Option<Waiting>,
    receipts: Receipts,
    downlinks: Downlinks,
    /// Topics by alias, empty where none is set.
    aliases: Vec<ByteString>,
    will: Option<Box<Publish>>,
    /// The end of a session that had begun was not told yet.
    owes_end: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Waits for the CONNECT.
    Connecting,
    /// Waits for the registry.
    Authenticating,
    Active,
    /// Ends as soon as its receipts are settled.
    Draining(End),
    Closed(End),
}

#[derive(Debug)]
enum Waiting {
    Login { keep_alive_s: u16, needs_client_id: bool },
    Subscribe(Box<Request>),
    Unsubscribe(Box<Request>),
}

impl Session {
    /// The session of a connection accepted at `now_ms`.
    #[must_use]
    pub fn new(limits: Arc<Limits>, now_ms: Millis) -> Self {
        Self {
            limits,
            state: State::Connecting,
            version: None,
            clock: Clock::new(now_ms),
            incoming: BytesMut::new(),
            is_cut: false,
            outgoing: Vec::new(),
            reply_bytes: 0,
            goodbye: None,
            waiting: None,
            receipts: Receipts::default(),
            downlinks: Downlinks::default(),
            aliases: Vec::new(),
            will: None,
            owes_end: false,
        }
    }

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
    fn may_decode(&self) -> bool {
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

    /// MQTT 3.1.1 has no Receive Maximum: the gateway reads no further until the disk has caught up.
    fn holds_back(&self) -> bool {
        self.version == Some(Version::V311) && self.receipts.pending() >= usize::from(self.limits.receive_max)
    }

    /// The client sends and does not read what it is answered.
    fn is_clogged(&self) -> bool {
        let acknowledgements_max = usize::from(self.limits.receive_max).saturating_mul(4);
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

    fn poll_end(&mut self) -> Option<Uplink> {
        let State::Closed(end) = self.state else { return None };
        if !self.owes_end {
            return None;
        }
        if let Some(will) = self.will.take() {
            return Some(Uplink::Will(*will));
        }
        self.owes_end = false;
        Some(Uplink::Disconnect(end))
    }

    /// A message for the client. It is copied; it goes out with a later [`poll_transmit`](Self::poll_transmit), at
    /// QoS 1 within the client's Receive Maximum. One that the client said it cannot take, by its size, is dropped.
    ///
    /// # Errors
    /// [`Slow`]: as much waits as may; the session is over.
    pub fn handle_downlink(&mut self, downlink: &Downlink<'_>) -> Result<(), Slow> {
        let (State::Active, Some(version)) = (self.state, self.version) else { return Ok(()) };
        let pushed = self.downlinks.push(&mut self.outgoing, version, downlink, &self.limits);
        if pushed.is_err() {
            self.fail(Violation::new(Reason::QuotaExceeded, "the subscriber is too slow"));
        }
        pushed
    }

    /// Messages for the client that it has not acknowledged or that wait for room.
    #[must_use]
    pub fn downlinks_pending(&self) -> usize {
        self.downlinks.len()
    }

    /// Appends everything that is due to `out`, for one write.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.outgoing);
        self.outgoing.clear();
        if self.outgoing.capacity() > IDLE_OUTGOING_BYTES_MAX {
            self.outgoing = Vec::new();
        }
        self.reply_bytes = 0;
        self.receipts.transmit(out);
        if matches!(self.state, State::Closed(_))
            && let Some(reason) = self.goodbye.take()
        {
            encode::disconnect(out, reason);
        }
    }

    /// Whether the socket should be read.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.may_decode()
    }

    /// Whether the session is over: what the polls still have is the last of it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// How the session ended, once it did or began to.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match self.state {
            State::Draining(end) | State::Closed(end) => Some(end),
            State::Connecting | State::Authenticating | State::Active => None,
        }
    }

    /// The version the client speaks, once it said so.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Publishes that wait for the disk, or for the answer to their uplink. A closed session settles them as well.
    #[must_use]
    pub fn receipts_pending(&self) -> usize {
        self.receipts.pending()
    }

    /// Another connection takes the client id over: the session ends with 0x8E when its receipts are settled.
    pub fn handle_takeover(&mut self, now_ms: Millis) {
        self.drain(Reason::TakenOver, "taken over by another connection", now_ms);
    }

    /// The gateway stops: the session ends with 0x8B when its receipts are settled.
    pub fn handle_shutdown(&mut self, now_ms: Millis) {
        self.drain(Reason::ShuttingDown, "the gateway stops", now_ms);
    }

    /// The login was disabled, removed or changed: the session ends at once with 0x87, and its will is not published.
    pub fn handle_revoked(&mut self) {
        if !self.is_closed() {
            self.will = None;
            self.fail(Violation::new(Reason::NotAuthorized, "the login was revoked"));
        }
    }

    /// The connection is gone.
    pub fn handle_eof(&mut self) {
        let gone = End { by: EndBy::Connection, reason: Reason::Unspecified, why: "the connection broke" };
        match self.state {
            State::Closed(_) => {}
            State::Draining(end) => self.finish(end),
            _ => self.finish(gone),
        }
        self.goodbye = None;
    }

    fn goodbye_from_client(&mut self, with_will: bool) {
        if !with_will {
            self.will = None; // [MQTT-3.14.4-3]
        }
        let reason = if with_will { Reason::WithWill } else { Reason::Success };
        self.finish(End { by: EndBy::Client, reason, why: "the client said goodbye" });
    }

    fn drain(&mut self, reason: Reason, why: &'static str, now_ms: Millis) {
        match self.state {
            State::Active if self.receipts.pending() > 0 => {
                self.goodbye = (self.version == Some(Version::V5)).then_some(reason);
                self.state = State::Draining(End { by: EndBy::Gateway, reason, why });
                self.clock.since_ms = now_ms;
            }
            State::Active => self.fail(Violation::new(reason, why)),
            // A CONNACK has no such reasons.
            State::Connecting | State::Authenticating => {
                self.fail(Violation::new(Reason::ServerUnavailable, why))
            }
            State::Draining(_) | State::Closed(_) => {}
        }
    }

    /// Ends the session, with the last word its version has: CONNACK before the client is in, DISCONNECT of MQTT 5
    /// after that [MQTT-3.14.0-1].
    fn fail(&mut self, violation: Violation) {
        let Violation { reason, why } = violation;
        match (self.state, self.version) {
            (State::Closed(_), _) => return,
            (State::Connecting | State::Authenticating, Some(version)) => {
                encode::connack_refused(&mut self.outgoing, version, reason);
            }
            (State::Active | State::Draining(_), Some(Version::V5)) => self.goodbye = Some(reason),
            _ => {}
        }
        self.finish(End { by: EndBy::Gateway, reason, why });
    }

    /// The session is over; what is stored still gets its acknowledgement if the connection lives long enough.
    fn finish(&mut self, end: End) {
        self.owes_end = matches!(self.state, State::Active | State::Draining(_));
        if !self.owes_end {
            self.will = None;
        }
        self.state = State::Closed(end);
        self.waiting = None;
        self.aliases = Vec::new();
    }

    /// Adds an answer to the next write. One that the client said it cannot take, by its size, ends the session.
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.outgoing.len();
        write(&mut self.outgoing);
        let added = self.outgoing.len().saturating_sub(before);
        self.reply_bytes = self.reply_bytes.saturating_add(added);
        if !self.downlinks.fits(added) {
            self.outgoing.truncate(before);
            self.finish(End {
                by: EndBy::Gateway,
                reason: Reason::TooLarge,
                why: "the client takes no frame",
            });
        }
    }
}
