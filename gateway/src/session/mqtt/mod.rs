//! One MQTT connection, 3.1.1 or 5, without I/O and without a clock.
//!
//! The owner of the socket drives it:
//!
//! - bytes read go to [`handle_bytes`](Session::handle_bytes), as long as [`wants_bytes`](Session::wants_bytes);
//! - then [`poll_uplink`](Session::poll_uplink) until it has nothing, each uplink answered **before** the next one is
//!   asked for, so that what follows a refused publish is not stored in front of its repetition;
//! - a publish the spool has no room for at the moment is given back with [`handle_busy`](Session::handle_busy);
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
mod end;
pub mod fuzz;
mod held;
mod incoming;
pub mod index;
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

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use bytestring::ByteString;

pub use super::Refusal;
pub use downlink::{Downlink, Slow};
pub use index::{IndexError, IndexLimits, Match, SubscriberId, SubscriptionIndex};
pub use limits::Limits;
pub use reason::{End, EndBy, Reason};
pub use uplink::{
    Accepted, Connect, Filter, Properties, Publish, QoS, Receipt, Refused, Subscribe, SubscribeOptions,
    Unsubscribe, Uplink, Version,
};

use crate::spool::{Durable, Position};
use downlink::Downlinks;
use held::Held;
use keepalive::Clock;
use reason::Violation;
use receipts::Receipts;
use subscribe::Request;

/// Milliseconds on the monotonic clock of the process.
pub type Millis = u64;

/// Bytes of answers an idle session keeps room for.
const IDLE_OUTGOING_BYTES_MAX: usize = 64;

/// One connection's MQTT state.
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
    held: Option<Box<Held>>,
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

impl fmt::Debug for Session {
    /// Leaves out what the client sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("version", &self.version)
            .field("receipts_pending", &self.receipts.pending())
            .field("downlinks_pending", &self.downlinks.len())
            .finish_non_exhaustive()
    }
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
            held: None,
            downlinks: Downlinks::default(),
            aliases: Vec::new(),
            will: None,
            owes_end: false,
        }
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
