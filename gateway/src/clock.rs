//! The only reader of the clock.
//!
//! Pure parts take `now` as an argument; whoever calls them asks here.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::spool::ClockQuality;

/// Milliseconds, since the process started (`now_ms`) or since the Unix epoch (`wall_ms`).
pub type Millis = u64;

/// A wall clock that shows less than this (2026-01-01) was never set: the board has no clock of its own.
const PLAUSIBLE_WALL_MS: Millis = 1_767_225_600_000;

/// systemd-timesyncd leaves this file once it has set the clock.
const SYNCHRONISED_MARK: &str = "/run/systemd/timesync/synchronized";

/// How long an answer about the clock's quality is kept.
const QUALITY_MS: Millis = 10_000;

/// The process's clock. Cheap to clone; all clones share one origin.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    start: Instant,
    quality: AtomicU8,
    quality_until_ms: AtomicU64,
}

impl Clock {
    /// A clock whose `now_ms` counts from here.
    #[must_use]
    pub fn start() -> Self {
        let inner =
            Inner { start: Instant::now(), quality: AtomicU8::new(0), quality_until_ms: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Monotonic milliseconds since [`Clock::start`].
    #[must_use]
    pub fn now_ms(&self) -> Millis {
        millis(self.inner.start.elapsed())
    }

    /// Milliseconds since the Unix epoch; 0 when the wall clock stands before it.
    #[must_use]
    pub fn wall_ms(&self) -> Millis {
        wall_ms()
    }

    /// How far the wall clock can be trusted. The answer is kept for ten seconds.
    #[must_use]
    pub fn quality(&self, now_ms: Millis) -> ClockQuality {
        if now_ms >= self.inner.quality_until_ms.load(Ordering::Relaxed) {
            self.inner.quality.store(observe_quality() as u8, Ordering::Relaxed);
            self.inner.quality_until_ms.store(now_ms.saturating_add(QUALITY_MS), Ordering::Relaxed);
        }
        match self.inner.quality.load(Ordering::Relaxed) {
            1 => ClockQuality::Unsynchronised,
            2 => ClockQuality::Synchronised,
            _ => ClockQuality::Unknown,
        }
    }
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Counts from here.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since [`Stopwatch::start`].
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Milliseconds since the Unix epoch, for commands that run beside a gateway.
#[must_use]
pub fn wall_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map(millis).unwrap_or(0)
}

fn observe_quality() -> ClockQuality {
    if wall_ms() < PLAUSIBLE_WALL_MS {
        ClockQuality::Unsynchronised
    } else if Path::new(SYNCHRONISED_MARK).exists() {
        ClockQuality::Synchronised
    } else {
        ClockQuality::Unknown
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
