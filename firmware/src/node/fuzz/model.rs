//! What a board may say and keep, told from nothing but what went over the line: a second board, as plain as it can be,
//! that the first is held against. It takes nothing from who cannot seal it.

use heapless::Deque;
use tidegate_protocol::serial::{
    Acknowledge, Adopt, BodyError, Challenge, Command, CommandBody, Decoder, DeviceKey, Direction, Frame,
    FromDevice, FromGateway, Hello, LinkKey, Nonce, Outcome, Readings, Reason, Refuse, Report, Sample,
    TAG_BYTES, Welcome,
};

use super::{Board, CHANNELS, STORE_MAX};
use crate::{
    Values,
    node::{ANSWERS_MAX, Action, FRAME_WAIT_MS, State, TRIES_MAX, WAIT_MS_MAX, WALL_MS_MAX},
    sampling::is_period,
    store::{Dropped, Identity, Store as _},
};

/// Nonces that are remembered, to see none twice.
const NONCES_MAX: usize = 32;

/// A reading that waits.
#[derive(Clone, Copy)]
struct Measured {
    sequence: u32,
    values: Values<2>,
    at_ms: u64,
    /// Unix milliseconds, when the time was known.
    wall_ms: Option<u64>,
}

/// A batch that waits for its answer.
struct Flight {
    last: u32,
    frame: u32,
    is_gap: bool,
}

/// A link, from the right challenge on.
pub(super) struct Link {
    pub(super) key: LinkKey,
    /// The last number taken from the gateway.
    pub(super) taken: u32,
    said: u32,
    is_up: bool,
    flight: Option<Flight>,
    tries: u8,
    said_ms: u64,
    hold_until_ms: u64,
}

/// What was said last that wants an answer.
#[derive(Clone, Copy)]
pub(super) enum Said {
    Hello { is_named: bool },
    Ready,
    Batch,
    Other,
}

pub(super) struct Model {
    pub(super) address: u16,
    pub(super) hardware: &'static str,
    pub(super) identity: Option<Identity>,
    /// The nonce of a hello that is out, and since when.
    pub(super) greeting: Option<(Nonce, u64)>,
    pub(super) link: Option<Link>,
    pub(super) period_ms: u32,
    pub(super) noise: u32,
    waiting: Deque<Measured, STORE_MAX>,
    gap: Option<Dropped>,
    measured: u32,
    /// Everything up to here is acknowledged, or a gap that was.
    acknowledged: u32,
    dropped: u64,
    start_ms: Option<u64>,
    has_sent: bool,
    answers: Deque<(u32, Outcome, bool), ANSWERS_MAX>,
    actions: Deque<Action, ANSWERS_MAX>,
    refusal: Option<(Reason, u32)>,
    refused: u64,
    links: u32,
    nonces: Deque<Nonce, NONCES_MAX>,
}

impl Link {
    /// When what waits for its answer is sent again, or given up.
    fn due_ms(&self) -> u64 {
        self.said_ms + (FRAME_WAIT_MS << self.tries.saturating_sub(1).min(3))
    }
}

impl Model {
    pub(super) fn new(
        identity: Option<Identity>,
        address: u16,
        hardware: &'static str,
        period_ms: u32,
    ) -> Self {
        Self {
            address,
            hardware,
            identity,
            greeting: None,
            link: None,
            period_ms,
            noise: 0,
            waiting: Deque::new(),
            gap: None,
            measured: 0,
            acknowledged: 0,
            dropped: 0,
            start_ms: None,
            has_sent: false,
            answers: Deque::new(),
            actions: Deque::new(),
            refusal: None,
            refused: 0,
            links: 0,
            nonces: Deque::new(),
        }
    }

    /// The next reading has this number.
    pub(super) fn begin(&mut self, sequence: u32) {
        (self.measured, self.acknowledged) = (sequence - 1, sequence - 1);
    }

    /// The boot as it goes over the line: the store's is always the first.
    pub(super) fn boot(&self) -> u32 {
        1_u32.saturating_add(self.identity.as_ref().map_or(0, |identity| identity.boot_base))
    }

    /// The last place that waits for an acknowledgement.
    pub(super) fn out(&self) -> Option<u32> {
        self.link.as_ref()?.flight.as_ref().map(|flight| flight.last)
    }

    /// The number of the frame that it was in.
    pub(super) fn frame(&self) -> u32 {
        self.link.as_ref().and_then(|link| link.flight.as_ref()).map_or(0, |flight| flight.frame)
    }

    /// Linked, and nothing waits.
    pub(super) fn is_done(&self) -> bool {
        let is_up = self.link.as_ref().is_some_and(|link| link.is_up);
        is_up && self.gap.is_none() && self.acknowledged == self.measured
    }

    pub(super) fn measure(&mut self, values: Values<2>, now_ms: u64) {
        self.measured += 1;
        if self.waiting.is_full()
            && let Some(oldest) = self.waiting.pop_front()
        {
            let from = self.gap.map_or(oldest.sequence, |gap| gap.from);
            self.gap = Some(Dropped { boot: 1, from, to: oldest.sequence });
            self.dropped += 1;
        }
        let wall_ms = self.start_ms.map(|start_ms| start_ms + now_ms);
        let measured = Measured { sequence: self.measured, values, at_ms: now_ms, wall_ms };
        assert!(self.waiting.push_back(measured).is_ok());
    }

    pub(super) fn act(&mut self, action: Action) {
        assert_eq!(self.actions.pop_front(), Some(action), "it does what nobody has asked for");
        if let Action::SetPeriod { period_ms } = action {
            self.period_ms = period_ms;
        }
    }

    /// Takes what the board hears. Says whether it may heed it.
    pub(super) fn hear(&mut self, frame: &Frame<'_>, now_ms: u64) -> bool {
        if frame.header.address != self.address {
            return false;
        }
        match FromGateway::decode(frame.header.kind, frame.body) {
            Ok(FromGateway::Challenge(challenge)) => self.challenged(frame, &challenge, now_ms),
            Ok(FromGateway::Adopt(adopt)) => self.adopted(&adopt),
            Ok(FromGateway::Refuse(refuse)) if self.link.is_none() => {
                let is_heeded = self.greeting.take().is_some();
                let is_no = [Reason::BadCredentials, Reason::NotAuthorized]
                    .contains(&Reason::from_code(refuse.reason));
                self.refused += u64::from(is_heeded && is_no);
                is_heeded
            }
            Ok(FromGateway::Refuse(refuse)) if Reason::from_code(refuse.reason) == Reason::NoLink => {
                self.link = None;
                true
            }
            body => self.vouched(frame) && self.heed(frame, body, now_ms),
        }
    }

    fn challenged(&mut self, frame: &Frame<'_>, challenge: &Challenge, now_ms: u64) -> bool {
        let (Some((nonce, _)), Some(identity)) = (self.greeting, &self.identity) else { return false };
        if challenge.echo != nonce {
            return false;
        }
        self.greeting = None;
        let device_key = DeviceKey::derive(&challenge.salt, identity.secret.as_bytes());
        let key = LinkKey::derive(&device_key, &identity.device, &nonce, &challenge.nonce);
        if frame.is_from(&key, Direction::ToDevice) {
            self.link = Some(Link {
                key,
                taken: frame.header.sequence,
                said: 0,
                is_up: false,
                flight: None,
                tries: 0,
                said_ms: now_ms,
                hold_until_ms: 0,
            });
        }
        true
    }

    fn adopted(&mut self, adopt: &Adopt<'_>) -> bool {
        let (Ok(device), Ok(secret)) = (adopt.device.try_into(), adopt.secret.try_into()) else {
            return false;
        };
        if self.identity.is_some() || adopt.hardware != self.hardware {
            return false;
        }
        self.identity = Some(Identity { device, secret, boot_base: adopt.boot_seen });
        self.greeting = None;
        true
    }

    /// Sealed with the link's key by the gateway, and newer than all before it.
    fn vouched(&mut self, frame: &Frame<'_>) -> bool {
        let Some(link) = &mut self.link else { return false };
        let is_news = frame.header.sequence > link.taken && frame.is_from(&link.key, Direction::ToDevice);
        if is_news {
            link.taken = frame.header.sequence;
        }
        is_news
    }

    fn heed(&mut self, frame: &Frame<'_>, body: Result<FromGateway<'_>, BodyError>, now_ms: u64) -> bool {
        let is_up = self.link.as_ref().is_some_and(|link| link.is_up);
        match body {
            Ok(FromGateway::Welcome(welcome)) if !is_up => self.welcomed(welcome, now_ms),
            Ok(FromGateway::Acknowledge(acknowledge)) if is_up => self.acknowledged(acknowledge),
            Ok(FromGateway::Refuse(refuse)) => self.refused(&refuse, now_ms),
            Ok(FromGateway::Command(body)) => self.commanded(body),
            Ok(FromGateway::Time(time)) => self.told_time(time.wall_ms, now_ms),
            Ok(_) => {}
            Err(BodyError::UnknownKind(_)) => {
                self.refusal = Some((Reason::UnknownKind, frame.header.sequence));
            }
            Err(_) => self.refusal = Some((Reason::Malformed, frame.header.sequence)),
        }
        true
    }

    fn welcomed(&mut self, welcome: Welcome, now_ms: u64) {
        self.told_time(welcome.wall_ms, now_ms);
        let (boot, seen) = (self.boot(), welcome.boot_seen);
        if let Some(identity) = &mut self.identity
            && !self.has_sent
            && seen >= boot
        {
            // Its first boot is the next one, as long as there are numbers.
            identity.boot_base = identity.boot_base.max(seen.min(u32::MAX - 1));
        }
        self.links += 1;
        if let Some(link) = &mut self.link {
            (link.is_up, link.tries) = (true, 0);
        }
    }

    fn told_time(&mut self, wall_ms: u64, now_ms: u64) {
        if now_ms < wall_ms && wall_ms <= WALL_MS_MAX {
            self.start_ms = Some(wall_ms - now_ms);
        }
    }

    fn acknowledged(&mut self, Acknowledge { boot, sequence }: Acknowledge) {
        let own = self.boot();
        let Some(link) = &mut self.link else { return };
        let Some(Flight { last, .. }) = link.flight else { return };
        let covered = match boot.cmp(&own) {
            core::cmp::Ordering::Less => return,
            core::cmp::Ordering::Equal => u32::try_from(sequence).unwrap_or(last).min(last),
            core::cmp::Ordering::Greater => last,
        };
        if covered == last {
            (link.flight, link.tries, link.hold_until_ms) = (None, 0, 0);
        }
        self.forget(covered);
    }

    fn forget(&mut self, covered: u32) {
        while self.waiting.front().is_some_and(|reading| reading.sequence <= covered) {
            self.waiting.pop_front();
        }
        if let Some(gap) = &mut self.gap {
            gap.from = gap.from.max(covered + 1);
        }
        self.gap = self.gap.filter(|gap| gap.from <= gap.to);
        self.acknowledged = self.acknowledged.max(covered);
    }

    fn refused(&mut self, refuse: &Refuse, now_ms: u64) {
        let Some(link) = &mut self.link else { return };
        match (Reason::from_code(refuse.reason), &link.flight) {
            (Reason::NotAcceptable, _) => self.refused += 1,
            (Reason::UnknownKind, Some(flight)) if flight.is_gap && flight.frame == refuse.frame => {
                let last = flight.last;
                (link.flight, link.tries) = (None, 0);
                self.forget(last);
            }
            (Reason::UnknownKind, _) => {}
            _ if link.is_up => {
                let wait_ms = u64::from(refuse.wait_ms).min(WAIT_MS_MAX);
                (link.flight, link.tries, link.hold_until_ms) = (None, 0, now_ms + wait_ms);
            }
            _ => {}
        }
    }

    fn commanded(&mut self, CommandBody { id, command }: CommandBody) {
        if self.answers.is_full() || self.actions.is_full() {
            return;
        }
        let (outcome, action) = match command {
            None => (Outcome::Unknown, None),
            Some(Command::Report) => (Outcome::Done, None),
            Some(Command::SetPeriod { period_ms }) if !is_period(period_ms) => (Outcome::OutOfRange, None),
            Some(Command::SetPeriod { period_ms }) => (Outcome::Done, Some(Action::SetPeriod { period_ms })),
            Some(Command::Identify { seconds }) => (Outcome::Done, Some(Action::Identify { seconds })),
            Some(Command::Reboot) => (Outcome::Done, Some(Action::Reboot)),
        };
        assert!(self.answers.push_back((id, outcome, command == Some(Command::Report))).is_ok());
        if let Some(action) = action {
            assert!(self.actions.push_back(action).is_ok());
        }
    }

    /// Takes what the board says, as a gateway reads it.
    pub(super) fn say(&mut self, bytes: &[u8], now_ms: u64) -> Said {
        let mut decoder = Decoder::new();
        let (Some((last, front)), Some(0)) = (bytes.split_last(), bytes.first()) else {
            unreachable!("it says {bytes:?}")
        };
        front.iter().for_each(|byte| assert!(decoder.push(*byte).is_none(), "it says more than a frame"));
        let Some(Ok(frame)) = decoder.push(*last) else { unreachable!("it says {bytes:?}") };
        assert_eq!(frame.header.address, self.address);
        let Ok(body) = FromDevice::decode(frame.header.kind, frame.body) else {
            unreachable!("no gateway reads {frame:?}")
        };
        if let FromDevice::Hello(hello) = body {
            assert_eq!((frame.header.sequence, frame.tag), (0, [0; TAG_BYTES]));
            return self.greets(&hello, now_ms);
        }
        let Some(link) = &mut self.link else { unreachable!("it says {body:?} without a link") };
        assert!(frame.is_from(&link.key, Direction::ToGateway), "{body:?} is not sealed");
        assert_eq!(frame.header.sequence, link.said + 1, "frames are counted");
        link.said = frame.header.sequence;
        let is_ready = matches!(body, FromDevice::Ready(_));
        assert_eq!(is_ready, !link.is_up, "{body:?} out of turn");
        match body {
            FromDevice::Hello(_) => {}
            FromDevice::Ready(ready) => {
                assert_eq!((ready.boot, ready.uptime_ms), (self.boot(), now_ms));
                self.waits(now_ms, None);
                return Said::Ready;
            }
            FromDevice::Readings(readings) => {
                let last = self.reads(&readings);
                self.waits(now_ms, Some(Flight { last, frame: frame.header.sequence, is_gap: false }));
                return Said::Batch;
            }
            FromDevice::Gap(said) => {
                let Some(gap) = self.gap else { unreachable!("there is no gap") };
                assert_eq!((said.boot, said.from, said.to), (self.boot(), gap.from.into(), gap.to.into()));
                assert_eq!(gap.from, self.acknowledged + 1, "a gap of something else");
                self.waits(now_ms, Some(Flight { last: gap.to, frame: frame.header.sequence, is_gap: true }));
                return Said::Batch;
            }
            FromDevice::Refuse(refuse) => {
                let refusal = (Reason::from_code(refuse.reason), refuse.frame);
                assert_eq!(self.refusal.take(), Some(refusal));
            }
            FromDevice::Answer(answer) => {
                let said = (answer.id, answer.outcome, answer.report.is_some());
                assert_eq!(self.answers.pop_front(), Some(said));
                assert!(answer.report.is_none_or(|report| report.uptime_ms <= now_ms));
            }
        }
        Said::Other
    }

    fn greets(&mut self, hello: &Hello<'_>, now_ms: u64) -> Said {
        assert!(self.link.is_none() && self.greeting.is_none(), "a hello while it waits");
        let device = self.identity.as_ref().map_or("", |identity| &identity.device);
        assert_eq!((hello.device, hello.hardware), (device, self.hardware));
        assert!(!self.nonces.iter().any(|nonce| *nonce == hello.nonce), "a nonce comes again");
        if self.nonces.is_full() {
            self.nonces.pop_front();
        }
        assert!(self.nonces.push_back(hello.nonce).is_ok());
        self.greeting = Some((hello.nonce, now_ms));
        Said::Hello { is_named: self.identity.is_some() }
    }

    /// Readings are the oldest that wait, in order, as they were taken. The last of them.
    fn reads(&self, readings: &Readings<'_>) -> u32 {
        assert_eq!(readings.boot, self.boot());
        let named = readings.channels.iter().map(|channel| (channel.name, channel.unit));
        assert!(named.eq(CHANNELS.iter().map(|channel| (channel.name, channel.unit))));
        assert!(self.gap.is_none(), "readings in front of a gap");
        let mut last = self.acknowledged;
        for (entry, reading) in readings.entries.iter().zip(&self.waiting) {
            let start = self.start_ms.map_or(0, |start_ms| start_ms + reading.at_ms);
            let expected = (last + 1, reading.wall_ms.unwrap_or(start));
            assert_eq!((reading.sequence, entry.wall_ms), expected);
            assert_eq!(entry.sequence, u64::from(reading.sequence));
            let digits = entry.samples.iter().map(|sample| match sample {
                Sample::Number(number) => Some(number.digits),
                _ => None,
            });
            assert!(digits.eq(reading.values.iter().map(|value| value.map(i64::from))), "{entry:?}");
            last = reading.sequence;
        }
        let count = u32::try_from(readings.entries.len()).unwrap_or(u32::MAX);
        assert!(count > 0 && last == self.acknowledged + count, "readings that there are not");
        last
    }

    /// Something that wants an answer is out: one at a time, and not too often.
    fn waits(&mut self, now_ms: u64, flight: Option<Flight>) {
        let Some(link) = &mut self.link else { return };
        self.has_sent |= flight.is_some();
        assert!(now_ms >= link.hold_until_ms, "it was to wait");
        assert!(link.tries == 0 || now_ms >= link.due_ms(), "again already");
        link.tries += 1;
        assert!(link.tries <= TRIES_MAX, "again and again");
        (link.flight, link.said_ms) = (flight, now_ms);
    }

    /// After a poll: what has waited for too long is given up, and nothing else.
    pub(super) fn give_up(&mut self, board: &Board, now_ms: u64) {
        let state = &board.link.state;
        if !matches!(state, State::Proving { .. } | State::Up { .. })
            && let Some(link) = self.link.take()
        {
            let is_late = link.tries >= TRIES_MAX && now_ms >= link.due_ms();
            assert!(is_late, "a link is given up without need");
        }
        if !matches!(state, State::Greeting { .. })
            && let Some((_, since_ms)) = self.greeting.take()
        {
            assert!(now_ms >= since_ms + FRAME_WAIT_MS, "a hello is given up without need");
        }
        match board.poll_timeout() {
            Some(at_ms) => assert!(now_ms < at_ms, "it has said nothing when it was to"),
            None => assert!(self.is_done(), "it sleeps with something to say"),
        }
    }

    /// The board is as it must be by all it has heard and said.
    pub(super) fn check(&self, board: &mut Board, now_ms: u64) {
        let is_linked = self.link.as_ref().map(|link| link.is_up);
        match board.link.state {
            State::Down { .. } => assert!(self.greeting.is_none() && is_linked.is_none()),
            State::Greeting { .. } => assert!(self.greeting.is_some() && is_linked.is_none()),
            State::Proving { .. } => assert_eq!(is_linked, Some(false)),
            State::Up { .. } => assert_eq!(is_linked, Some(true)),
        }
        let is_soon = |at_ms| at_ms <= now_ms + WAIT_MS_MAX;
        assert!(board.poll_timeout().is_none_or(is_soon), "silent for too long: {:?}", board.link.state);
        let stored = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let report = Report {
            boot: self.boot(),
            uptime_ms: now_ms,
            period_ms: self.period_ms,
            stored,
            dropped: self.dropped,
            refused: self.refused,
            noise: self.noise,
            links: self.links,
        };
        assert_eq!(board.report(now_ms), report);
        let link = &mut board.link;
        for (index, reading) in self.waiting.iter().enumerate() {
            let kept = link.store.get(index).map(|kept| (kept.place(), kept.values));
            assert_eq!(kept, Some(((1, reading.sequence), reading.values)));
        }
        assert_eq!(link.store.dropped(), self.gap);
        assert!(link.store.identity() == self.identity.as_ref(), "its name or its secret has changed");
        assert_eq!((link.answers.len(), link.actions.len()), (self.answers.len(), self.actions.len()));
        let refusal = link.refusal.map(|refuse| (Reason::from_code(refuse.reason), refuse.frame));
        assert_eq!(refusal, self.refusal);
    }
}
