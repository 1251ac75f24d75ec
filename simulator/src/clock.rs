//! The time of a run.

use std::time::{Duration, Instant, SystemTime};

use crate::device::Micros;

/// Began when the run did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_wall_us: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_wall_us: micros(wall) }
    }

    pub(crate) fn now_us(&self) -> Micros {
        micros(self.start.elapsed())
    }

    /// Unix microseconds.
    pub(crate) fn wall_us(&self, at_us: Micros) -> u64 {
        self.start_wall_us.saturating_add(at_us)
    }

    pub(crate) fn instant(&self, at_us: Micros) -> tokio::time::Instant {
        (self.start + Duration::from_micros(at_us)).into()
    }
}

pub(crate) fn micros(duration: Duration) -> Micros {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
