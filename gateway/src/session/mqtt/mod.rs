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
#![allow(unused, missing_docs)]

mod downlink;
pub mod index;
mod limits;
mod reason;
mod standin;
mod topic {}
mod uplink;

use std::sync::Arc;

pub use downlink::{Downlink, Slow};
pub use index::SubscriptionIndex;
pub use limits::Limits;
pub use reason::{End, EndBy, Reason, Refusal};
use standin::{Durable, Position};
pub use uplink::{
    Accepted, Connect, Filter, Properties, Publish, QoS, Receipt, Refused, Subscribe, SubscribeOptions,
    Unsubscribe, Uplink, Version,
};

/// Milliseconds on the monotonic clock of the process.
pub type Millis = u64;

/// One connection's MQTT state.
pub struct Session {
    limits: Arc<Limits>,
}

impl Session {
    /// The session of a connection accepted at `now_ms`.
    #[must_use]
    pub fn new(limits: Arc<Limits>, now_ms: Millis) -> Self {
        Self { limits }
    }

    /// Takes bytes from the client; [`poll_uplink`](Self::poll_uplink) decodes them.
    pub fn handle_bytes(&mut self, bytes: &[u8], now_ms: Millis) {}

    /// The next thing that somebody outside has to answer or know; decodes until there is one.
    pub fn poll_uplink(&mut self) -> Option<Uplink> {
        None
    }

    /// Answers [`Uplink::Connect`].
    pub fn handle_login(&mut self, answer: Result<Accepted, Refusal>, now_ms: Millis) {}

    /// Answers [`Uplink::Publish`]: stored at a position, or refused.
    pub fn handle_stored(&mut self, receipt: Receipt, answer: Result<Position, Refusal>) {}

    /// Settles, from the front of the line of receipts, what the disk has confirmed.
    pub fn handle_durable(&mut self, durable: &Durable) {}

    /// Answers [`Uplink::Subscribe`], filter by filter.
    pub fn handle_subscribed(&mut self, receipt: Receipt, answers: &[Result<QoS, Refusal>]) {}

    /// Answers [`Uplink::Unsubscribe`], filter by filter: whether there was such a subscription.
    pub fn handle_unsubscribed(&mut self, receipt: Receipt, existed: &[bool]) {}

    /// A message for the client.
    ///
    /// # Errors
    /// [`Slow`]: too much waits already; the session is ending.
    pub fn handle_downlink(&mut self, downlink: &Downlink<'_>) -> Result<(), Slow> {
        Ok(())
    }

    /// Another connection takes the client id over.
    pub fn handle_takeover(&mut self, now_ms: Millis) {}

    /// The gateway stops.
    pub fn handle_shutdown(&mut self, now_ms: Millis) {}

    /// The login was disabled, removed or changed.
    pub fn handle_revoked(&mut self) {}

    /// The connection is gone.
    pub fn handle_eof(&mut self) {}

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now_ms: Millis) {}

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        None
    }

    /// Appends everything that is due to `out`, for one write.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) {}

    /// Whether the socket should be read.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        true
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        false
    }

    /// How the session ended, once it did.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        None
    }

    /// Publishes that are stored or about to be and not confirmed by the disk yet.
    #[must_use]
    pub fn receipts_pending(&self) -> usize {
        0
    }
}
