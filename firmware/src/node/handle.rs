//! What the gateway says.

use core::cmp::Ordering;

use tidegate_protocol::serial::{
    Acknowledge, Adopt, Answer, BodyError, Challenge, Command, CommandBody, DeviceKey, Direction, Frame,
    FromGateway, LinkKey, Outcome, Reason, Refuse, Welcome,
};

use super::{Action, FRAME_WAIT_MS, Link, State, WAIT_MS_MAX, WALL_MS_MAX};
use crate::store::{Identity, Store};

impl<S: Store<C>, const C: usize> Link<S, C> {
    pub(super) fn handle_frame(&mut self, frame: &Frame<'_>, now_ms: u64) {
        if frame.header.address != self.config.address {
            // For another board on this line, or an echo of one.
            return;
        }
        match FromGateway::decode(frame.header.kind, frame.body) {
            Ok(FromGateway::Challenge(challenge)) => self.handle_challenge(frame, &challenge, now_ms),
            Ok(FromGateway::Adopt(adopt)) => self.handle_adopt(&adopt, now_ms),
            Ok(FromGateway::Refuse(refuse)) if !self.is_linked() => self.handle_turned_away(&refuse, now_ms),
            Ok(FromGateway::Refuse(refuse)) if Reason::from_code(refuse.reason) == Reason::NoLink => {
                // The gateway has started again and knows nothing of this link. Whoever forges this gains a hello.
                self.go_down(now_ms);
            }
            _ if !self.is_news(frame) => {}
            Ok(FromGateway::Welcome(welcome)) => self.handle_welcome(welcome, now_ms),
            Ok(FromGateway::Acknowledge(acknowledge)) => self.handle_acknowledge(acknowledge),
            Ok(FromGateway::Refuse(refuse)) => self.handle_refuse(&refuse, now_ms),
            Ok(FromGateway::Command(command)) => self.handle_command(command, now_ms),
            Ok(FromGateway::Time(time)) => self.set_time(time.wall_ms, now_ms),
            Err(BodyError::UnknownKind(_)) => self.refuse(frame, Reason::UnknownKind),
            Err(_) => self.refuse(frame, Reason::Malformed),
        }
    }

    fn is_linked(&self) -> bool {
        matches!(self.state, State::Proving { .. } | State::Up { .. })
    }

    /// Whether it comes from who knows the link's key, and after all that was taken. If so it counts as taken.
    fn is_news(&mut self, frame: &Frame<'_>) -> bool {
        let (State::Proving { key, .. } | State::Up { key, .. }) = &self.state else { return false };
        let is_news = frame.header.sequence > self.taken && frame.is_from(key, Direction::ToDevice);
        if is_news {
            self.taken = frame.header.sequence;
        }
        is_news
    }

    fn handle_challenge(&mut self, frame: &Frame<'_>, challenge: &Challenge, now_ms: u64) {
        let State::Greeting { nonce, .. } = self.state else { return };
        let Some(identity) = self.store.identity() else { return };
        if challenge.echo != nonce {
            return;
        }
        let device_key = DeviceKey::derive(&challenge.salt, identity.secret.as_bytes());
        let key = LinkKey::derive(&device_key, &identity.device, &nonce, &challenge.nonce);
        if !frame.is_from(&key, Direction::ToDevice) {
            self.is_refused = true;
            let wait_ms = self.backoff.failed();
            self.state = State::Down { until_ms: now_ms.saturating_add(wait_ms) };
            return;
        }
        (self.sent, self.taken) = (0, frame.header.sequence);
        self.state = State::Proving { key, tries: 0, due_ms: now_ms };
    }

    fn handle_welcome(&mut self, welcome: Welcome, now_ms: u64) {
        let State::Proving { key, .. } = &self.state else { return };
        let key = key.clone();
        self.set_time(welcome.wall_ms, now_ms);
        self.raise_boots(welcome.boot_seen);
        self.backoff.succeeded();
        self.is_refused = false;
        self.counts.links = self.counts.links.saturating_add(1);
        self.state = State::Up { key, flight: None, hold_until_ms: 0 };
    }

    /// The gateway has readings of a boot that this board has not reached: it has lost its count. It goes on above, so
    /// that nothing it sends is taken for something sent before.
    fn raise_boots(&mut self, boot_seen: u32) {
        let oldest = self.store.get(0).map_or(self.store.boot(), |reading| reading.boot);
        let (oldest, newest) = (self.wire_boot(oldest), self.wire_boot(self.store.boot()));
        if self.has_sent || boot_seen < newest {
            return;
        }
        let Some(identity) = self.store.identity() else { return };
        let more = boot_seen.saturating_add(1).saturating_sub(oldest);
        let boot_base = identity.boot_base.saturating_add(more);
        let raised = Identity { boot_base, ..identity.clone() };
        let _is_kept = self.store.set_identity(raised);
    }

    fn set_time(&mut self, wall_ms: u64, now_ms: u64) {
        if wall_ms > now_ms && wall_ms <= WALL_MS_MAX {
            self.wall_at_start_ms = Some(wall_ms - now_ms);
        }
    }

    fn handle_acknowledge(&mut self, acknowledge: Acknowledge) {
        let State::Up { flight: Some(sent), .. } = &self.state else { return };
        let (boot, last) = sent.last;
        // What was not sent cannot be acknowledged.
        let covered = match acknowledge.boot.cmp(&self.wire_boot(boot)) {
            Ordering::Less => return,
            Ordering::Equal => {
                u32::try_from(acknowledge.sequence).map_or(last, |sequence| sequence.min(last))
            }
            Ordering::Greater => last,
        };
        if let State::Up { flight, hold_until_ms, .. } = &mut self.state
            && covered == last
        {
            *flight = None;
            *hold_until_ms = 0;
        }
        self.store.forget((boot, covered));
        self.backoff.succeeded();
    }

    /// The gateway has no link with this board and does not want one now.
    fn handle_turned_away(&mut self, refuse: &Refuse, now_ms: u64) {
        let State::Greeting { .. } = self.state else { return };
        let reason = Reason::from_code(refuse.reason);
        self.is_refused = matches!(reason, Reason::BadCredentials | Reason::NotAuthorized);
        self.counts.refused = self.counts.refused.saturating_add(u64::from(self.is_refused));
        let wait_ms = self.backoff.failed().max(asked_wait_ms(refuse));
        self.state = State::Down { until_ms: now_ms.saturating_add(wait_ms) };
    }

    fn handle_refuse(&mut self, refuse: &Refuse, now_ms: u64) {
        match Reason::from_code(refuse.reason) {
            Reason::NotAcceptable => self.counts.refused = self.counts.refused.saturating_add(1),
            Reason::UnknownKind => self.skip_gap(refuse.frame),
            _ => {
                let wait_ms = match asked_wait_ms(refuse) {
                    0 => self.backoff.failed(),
                    wait_ms => wait_ms,
                };
                if let State::Up { flight, hold_until_ms, .. } = &mut self.state {
                    *flight = None;
                    *hold_until_ms = now_ms.saturating_add(wait_ms);
                }
            }
        }
    }

    /// A gateway that knows no gaps has taken note of this one by refusing it. Whatever else it does not know leaves the
    /// gap where it is.
    fn skip_gap(&mut self, frame: u32) {
        let State::Up { flight, .. } = &mut self.state else { return };
        if let Some(sent) = flight.take_if(|sent| sent.is_gap && sent.frame == frame) {
            self.store.forget(sent.last);
        }
    }

    fn handle_command(&mut self, body: CommandBody, now_ms: u64) {
        if self.answers.is_full() || self.actions.is_full() {
            return;
        }
        let (action, wants_report) = match body.command {
            Some(Command::SetPeriod { period_ms }) => (Some(Action::SetPeriod { period_ms }), false),
            Some(Command::Identify { seconds }) => (Some(Action::Identify { seconds }), false),
            Some(Command::Reboot) => (Some(Action::Reboot), false),
            Some(Command::Report) => (None, true),
            None => (None, false),
        };
        let outcome = match body.command {
            None => Outcome::Unknown,
            Some(Command::SetPeriod { period_ms }) if !crate::sampling::is_period(period_ms) => {
                Outcome::OutOfRange
            }
            Some(_) => Outcome::Done,
        };
        let report = wants_report.then(|| self.report(now_ms));
        let _has_room = self.answers.push_back(Answer { id: body.id, outcome, report }).is_ok();
        if let Some(action) = action.filter(|_| outcome == Outcome::Done) {
            let _has_room = self.actions.push_back(action).is_ok();
        }
    }

    /// A board that has a name keeps it, whoever says otherwise.
    fn handle_adopt(&mut self, adopt: &Adopt<'_>, now_ms: u64) {
        if self.store.identity().is_some() || adopt.hardware != self.config.hardware.as_str() {
            return;
        }
        let (Ok(device), Ok(secret)) = (adopt.device.try_into(), adopt.secret.try_into()) else { return };
        if self.store.set_identity(Identity { device, secret, boot_base: adopt.boot_seen }) {
            self.backoff.succeeded();
            self.state = State::Down { until_ms: now_ms };
        }
    }

    pub(super) fn go_down(&mut self, now_ms: u64) {
        let wait_ms = self.backoff.failed();
        self.state = State::Down { until_ms: now_ms.saturating_add(wait_ms) };
    }

    fn refuse(&mut self, frame: &Frame<'_>, reason: Reason) {
        let (reason, frame) = (reason.code(), frame.header.sequence);
        self.refusal = Some(Refuse { reason, frame, boot: 0, sequence: 0, wait_ms: 0 });
    }

    /// When a frame that is out is given up.
    pub(super) fn wait_ms(tries: u8) -> u64 {
        FRAME_WAIT_MS << u32::from(tries.min(3))
    }
}

/// What a refusal asks for, as far as a board does as it is told.
fn asked_wait_ms(refuse: &Refuse) -> u64 {
    u64::from(refuse.wait_ms).min(WAIT_MS_MAX)
}
