use core::{
    cell::RefCell,
    fmt::{self, Write},
    future::poll_fn,
    task::{Poll, Waker},
};

use tidegate_protocol::{Lane, write_json_string};

use crate::{
    Channel, Clock, Signal, Values,
    backoff::Backoff,
    store::{Dropped, Identity, Place, Store, Stored, Taken},
};

/// Bytes of the longest payload: eight channels with the longest names fit.
pub const PAYLOAD_BYTES_MAX: usize = 1_024;

/// What waits for the gateway, shared by who measures and who sends.
#[derive(Debug)]
pub struct Outbox<S, const C: usize> {
    /// Never borrowed over an `await`.
    inner: RefCell<Inner<S, C>>,
}

#[derive(Debug)]
struct Inner<S, const C: usize> {
    store: S,
    channels: [Channel; C],
    /// The next reading's number in this boot.
    sequence: u32,
    /// Unix milliseconds at the board's start.
    wall_at_start_ms: Option<u64>,
    backoff: Backoff,
    is_linked: bool,
    is_refused: bool,
    refused_count: u64,
    /// Who waits for something to send, and who waits for another signal to show.
    sender: Option<Waker>,
    watcher: Option<Waker>,
}

/// One thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its topic, or its path: a reading is `telemetry`, a gap an `event`.
    pub lane: Lane,
    /// Bytes of its payload, which is JSON.
    pub len: usize,
    place: Place,
}

/// What the gateway says to a [`Letter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is on its disk.
    Kept,
    /// It will never take it.
    Never,
    /// Not now.
    Later {
        /// Milliseconds at least; 0 when the gateway does not say.
        wait_ms: u64,
    },
}

impl<S: Store<C>, const C: usize> Outbox<S, C> {
    /// Of a board that has just started. The seed spreads its tries.
    #[must_use]
    pub fn new(store: S, channels: [Channel; C], seed: [u8; 32]) -> Self {
        let inner = Inner {
            store,
            channels,
            sequence: 1,
            wall_at_start_ms: None,
            backoff: Backoff::new(&seed),
            is_linked: false,
            is_refused: false,
            refused_count: 0,
            sender: None,
            watcher: None,
        };
        Self { inner: RefCell::new(inner) }
    }

    /// Keeps a reading until the gateway has it.
    pub fn push(&self, values: Values<C>, now_ms: u64) {
        let mut inner = self.inner.borrow_mut();
        let taken = match inner.wall_at_start_ms {
            Some(start_ms) => Taken::Wall(start_ms.saturating_add(now_ms)),
            None => Taken::Uptime(now_ms),
        };
        let (boot, sequence) = (inner.store.boot(), inner.sequence);
        inner.store.push(Stored { boot, sequence, taken, values });
        inner.sequence = sequence.saturating_add(1);
        inner.wake();
    }

    /// Somebody has told the time: Unix milliseconds. Readings carry one from then on.
    pub fn set_time(&self, wall_ms: u64, now_ms: u64) {
        if wall_ms > now_ms {
            self.inner.borrow_mut().wall_at_start_ms = Some(wall_ms - now_ms);
        }
    }

    /// What to show.
    #[must_use]
    pub fn signal(&self) -> Signal {
        let inner = self.inner.borrow();
        match () {
            () if inner.store.identity().is_none() => Signal::Unclaimed,
            () if inner.is_refused => Signal::Refused,
            () if !inner.is_linked => Signal::Searching,
            () if inner.store.is_empty() && inner.store.dropped().is_none() => Signal::Linked,
            () => Signal::Waiting,
        }
    }

    /// Readings that the gateway will never take, as it said.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.inner.borrow().refused_count
    }

    /// Readings that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.borrow().store.len()
    }

    /// Who the board is, once somebody has said so.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.inner.borrow().store.identity().cloned()
    }

    /// Waits for something to send, and writes its payload to `out`. The same one again until it is settled.
    pub async fn next(&self, clock: &impl Clock, out: &mut [u8; PAYLOAD_BYTES_MAX]) -> Letter {
        poll_fn(|context| {
            let mut inner = self.inner.borrow_mut();
            inner.sender = Some(context.waker().clone());
            inner.compose(clock.now_ms(), out).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Waits until there is another signal to show than `shown`.
    pub async fn changed(&self, shown: Signal) {
        poll_fn(|context| {
            self.inner.borrow_mut().watcher = Some(context.waker().clone());
            if self.signal() == shown { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// The gateway has answered; returns how many milliseconds to wait before the next.
    pub fn settle(&self, letter: Letter, verdict: Verdict) -> u64 {
        let mut inner = self.inner.borrow_mut();
        match verdict {
            Verdict::Kept | Verdict::Never => {
                if verdict == Verdict::Never {
                    inner.refused_count = inner.refused_count.saturating_add(1);
                }
                inner.store.forget(letter.place);
                inner.backoff.succeeded();
                (inner.is_linked, inner.is_refused) = (true, false);
                inner.wake();
                0
            }
            Verdict::Later { wait_ms: 0 } => inner.backoff.failed(),
            Verdict::Later { wait_ms } => wait_ms,
        }
    }

    /// The gateway has let the board in.
    pub fn note_linked(&self) {
        let mut inner = self.inner.borrow_mut();
        (inner.is_linked, inner.is_refused) = (true, false);
        inner.wake();
    }

    /// The way is broken; returns how many milliseconds to wait before the next try.
    pub(super) fn note_broken(&self, is_refused: bool) -> u64 {
        let mut inner = self.inner.borrow_mut();
        (inner.is_linked, inner.is_refused) = (false, is_refused);
        inner.wake();
        inner.backoff.failed()
    }
}

impl<S: Store<C>, const C: usize> Inner<S, C> {
    fn wake(&mut self) {
        [self.sender.take(), self.watcher.take()].into_iter().flatten().for_each(Waker::wake);
    }

    /// The oldest of what waits.
    fn compose(&mut self, now_ms: u64, out: &mut [u8]) -> Option<Letter> {
        loop {
            let first = self.store.get(0);
            if let Some(gap) = self.store.dropped()
                && first.is_none_or(|first| (gap.boot, gap.from) < first.place())
            {
                let len = written(out, |text| self.write_gap(gap, text)).ok()?;
                return Some(Letter { lane: Lane::Event, len, place: (gap.boot, gap.to) });
            }
            let first = first?;
            let is_empty = first.values.iter().all(Option::is_none);
            match written(out, |text| self.write_reading(&first, now_ms, text)) {
                Ok(len) if !is_empty => {
                    return Some(Letter { lane: Lane::Telemetry, len, place: first.place() });
                }
                // A sensor that did not answer, or more names than a payload holds: nothing that could be taken.
                _ => {
                    self.refused_count = self.refused_count.saturating_add(1);
                    self.store.forget(first.place());
                }
            }
        }
    }

    /// `{"boot":7,"seq":42,"ts":…,"values":{"temperature":36.60},"units":{"temperature":"°C"}}`
    fn write_reading(&self, reading: &Stored<C>, now_ms: u64, out: &mut Text<'_>) -> fmt::Result {
        write!(out, "{{\"boot\":{},\"seq\":{}", self.wire_boot(reading.boot), reading.sequence)?;
        if let Some(wall_ms) = self.wall_ms(reading, now_ms) {
            write!(out, ",\"ts\":{wall_ms}")?;
        }
        let mut before = ",\"values\":{";
        for (channel, value) in self.channels.iter().zip(reading.values) {
            if let Some(value) = value {
                write!(out, "{before}\"{}\":", channel.name)?;
                write_decimal(value, channel.places, out)?;
                before = ",";
            }
        }
        let mut before = "},\"units\":{";
        for (channel, _) in self.channels.iter().zip(reading.values).filter(|(_, value)| value.is_some()) {
            if !channel.unit.is_empty() {
                write!(out, "{before}\"{}\":", channel.name)?;
                write_json_string(channel.unit, out)?;
                before = ",";
            }
        }
        out.write_str("}}")
    }

    /// As the gateway itself writes the gap that a board on a line tells it.
    fn write_gap(&self, gap: Dropped, out: &mut Text<'_>) -> fmt::Result {
        let Dropped { boot, from, to } = gap;
        let device = self.store.identity().map_or("", |identity| &identity.device);
        let boot = self.wire_boot(boot);
        let count = to.saturating_sub(from).saturating_add(1);
        write!(out, "{{\"from\":\"{device}/{boot}/{from}\",\"to\":\"{device}/{boot}/{to}\",")?;
        write!(out, "\"count\":{count},\"reason\":\"device-full\"}}")
    }

    fn wire_boot(&self, boot: u32) -> u32 {
        boot.saturating_add(self.store.identity().map_or(0, |identity| identity.boot_base))
    }

    /// None where nobody had told the time in that boot.
    fn wall_ms(&self, reading: &Stored<C>, now_ms: u64) -> Option<u64> {
        match (reading.taken, self.wall_at_start_ms) {
            (Taken::Wall(wall_ms), _) => Some(wall_ms),
            (Taken::Uptime(uptime_ms), Some(start_ms))
                if reading.boot == self.store.boot() && uptime_ms <= now_ms =>
            {
                Some(start_ms.saturating_add(uptime_ms))
            }
            (Taken::Uptime(_), _) => None,
        }
    }
}

/// 3660 with two places is 36.60.
fn write_decimal(value: i32, places: u8, out: &mut impl Write) -> fmt::Result {
    let scale = 10_u32.checked_pow(places.into()).ok_or(fmt::Error)?;
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    write!(out, "{sign}{}", size / scale)?;
    if places > 0 {
        write!(out, ".{:0width$}", size % scale, width = usize::from(places))?;
    }
    Ok(())
}

/// Text that is being written into bytes.
struct Text<'o> {
    bytes: &'o mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

fn written(out: &mut [u8], write: impl FnOnce(&mut Text<'_>) -> fmt::Result) -> Result<usize, fmt::Error> {
    let mut text = Text { bytes: out, len: 0 };
    write(&mut text)?;
    Ok(text.len)
}
