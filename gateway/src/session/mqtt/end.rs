//! How a session ends: who ended it, what the client is told, what is still owed.

use super::encode;
use super::reason::{End, EndBy, Reason, Violation};
use super::uplink::{Uplink, Version};
use super::{Millis, Session, State};

impl Session {
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

    pub(super) fn goodbye_from_client(&mut self, with_will: bool) {
        if !with_will {
            self.will = None; // [MQTT-3.14.4-3]
        }
        let reason = if with_will { Reason::WithWill } else { Reason::Success };
        self.finish(End { by: EndBy::Client, reason, why: "the client said goodbye" });
    }

    fn drain(&mut self, reason: Reason, why: &'static str, now_ms: Millis) {
        self.drop_held();
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
    pub(super) fn fail(&mut self, violation: Violation) {
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
    pub(super) fn finish(&mut self, end: End) {
        if self.is_closed() {
            return;
        }
        self.drop_held();
        self.owes_end = matches!(self.state, State::Active | State::Draining(_));
        if !self.owes_end {
            self.will = None;
        }
        self.state = State::Closed(end);
        self.waiting = None;
        self.aliases = Vec::new();
    }

    pub(super) fn poll_end(&mut self) -> Option<Uplink> {
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
}
