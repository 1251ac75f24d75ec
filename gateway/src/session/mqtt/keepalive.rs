//! Deadlines: the CONNECT, the login, the keep-alive, a half frame, a held back client, the end.

use super::reason::{Reason, Violation};
use super::{Millis, Session, State};

/// When the client was heard and until when it must be heard again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the present state began.
    pub(super) since_ms: Millis,
    /// When bytes came last.
    pub(super) read_ms: Millis,
    /// When a whole frame came last, or reading was held back.
    pub(super) heard_ms: Millis,
    /// When the frame began that is not complete.
    pub(super) half_frame_ms: Option<Millis>,
    /// One and a half times the keep-alive [MQTT-3.1.2-22]; 0 for none.
    pub(super) keep_alive_ms: Millis,
    /// When the first publish was refused that MQTT 3.1.1 has no refusal for.
    pub(super) shed_ms: Option<Millis>,
    /// When the held publish was given back first.
    pub(super) held_ms: Option<Millis>,
}

impl Clock {
    pub(super) const fn new(now_ms: Millis) -> Self {
        Self {
            since_ms: now_ms,
            read_ms: now_ms,
            heard_ms: now_ms,
            half_frame_ms: None,
            keep_alive_ms: 0,
            shed_ms: None,
            held_ms: None,
        }
    }
}

impl Session {
    /// A deadline may have passed: calling too early or for a deadline that moved does nothing.
    pub fn handle_timeout(&mut self, now_ms: Millis) {
        if matches!(self.state, State::Active) && self.clock.shed_ms.is_none() && self.holds_back() {
            // The gateway does not read, so it cannot know whether the client is silent.
            self.clock.heard_ms = self.clock.heard_ms.max(now_ms);
        }
        if self.held.as_ref().is_some_and(|held| now_ms >= held.retry_ms) {
            self.retry_held();
        }
        let Some((deadline_ms, violation)) = self.deadline() else { return };
        if now_ms < deadline_ms {
            return;
        }
        match self.state {
            State::Draining(end) => self.finish(end),
            State::Active if self.held.is_some() => self.give_up_held(),
            _ => self.fail(violation),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next. It moves with every frame: a timer that fires early
    /// may ask again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        let retry_ms = self.held.as_ref().map(|held| held.retry_ms);
        let deadline_ms = self.deadline().map(|(deadline_ms, _)| deadline_ms);
        deadline_ms.into_iter().chain(retry_ms).min()
    }

    fn deadline(&self) -> Option<(Millis, Violation)> {
        let limits = &self.limits;
        let after = |since_ms: Millis, wait_ms: Millis, reason, why| {
            Some((since_ms.saturating_add(wait_ms), Violation::new(reason, why)))
        };
        let since_ms = self.clock.since_ms;
        match self.state {
            State::Connecting => {
                after(since_ms, limits.connect_ms_max, Reason::ConnectTime, "no CONNECT in time")
            }
            State::Authenticating => after(
                since_ms,
                limits.login_ms_max,
                Reason::ServerUnavailable,
                "the login was not answered in time",
            ),
            State::Active => self.active_deadline(),
            State::Draining(_) => {
                after(since_ms, limits.drain_ms_max, Reason::Unspecified, "draining took too long")
            }
            State::Closed(_) => None,
        }
    }

    fn active_deadline(&self) -> Option<(Millis, Violation)> {
        if let Some(shed_ms) = self.clock.shed_ms.or(self.held.as_ref().and(self.clock.held_ms)) {
            let violation = Violation::new(Reason::QuotaExceeded, "a publish could not be stored");
            return Some((shed_ms.saturating_add(self.limits.shed_ms_max), violation));
        }
        let half_frame = self.clock.half_frame_ms.map(|since_ms| {
            let violation = Violation::malformed("a frame that does not end");
            (since_ms.saturating_add(self.limits.frame_ms_max), violation)
        });
        let silent = (self.clock.keep_alive_ms > 0).then(|| {
            let violation =
                Violation::new(Reason::KeepAliveTimeout, "nothing heard for one and a half keep-alives");
            (self.clock.heard_ms.saturating_add(self.clock.keep_alive_ms), violation)
        });
        half_frame.into_iter().chain(silent).min_by_key(|(deadline_ms, _)| *deadline_ms)
    }
}
