use std::sync::atomic::{AtomicU64, Ordering};

use crate::session::mqtt::{End, EndBy, Reason};

/// What the listeners had to do about their clients since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions ended because a client sent what is no MQTT or not allowed in it.
    pub malformed: AtomicU64,
    /// Sessions ended because a client was silent for too long.
    pub timed_out: AtomicU64,
    /// Refused logins.
    pub logins_refused: AtomicU64,
    /// Subscribers disconnected because they did not take their messages fast enough.
    pub slow: AtomicU64,
    /// Connections closed for want of room.
    pub turned_away: AtomicU64,
}

impl Counters {
    /// Counts how a session ended, where its client was at fault.
    pub(crate) fn count_end(&self, end: &End) {
        if end.by != EndBy::Gateway {
            return;
        }
        let counter = match end.reason {
            Reason::ConnectTime | Reason::KeepAliveTimeout => &self.timed_out,
            Reason::Malformed
            | Reason::ProtocolError
            | Reason::UnsupportedVersion
            | Reason::TopicInvalid
            | Reason::FilterInvalid
            | Reason::ReceiveMaxExceeded
            | Reason::AliasInvalid
            | Reason::TooLarge
            | Reason::RetainNotSupported
            | Reason::QosNotSupported
            | Reason::SubscriptionIdNotSupported => &self.malformed,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
