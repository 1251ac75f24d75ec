//! How far each lane is durable, and who is woken when that moves.

use std::sync::{
    OnceLock, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use tidegate_protocol::Lane;

use super::{Failure, Offset, Position, lane::PerLane, storage::Synced};

/// What the disk has confirmed: everything below the end of each lane.
///
/// Only the spool makes one, and only from what a sync has confirmed; acknowledging earlier does not compile:
///
/// ```compile_fail,E0451
/// let early = tidegate::spool::Durable { ends: [7, 7].into() };
/// ```
///
/// ```compile_fail,E0599
/// let early = tidegate::spool::Durable::default();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    ends: PerLane<Offset>,
}

impl Durable {
    /// Whether the record at `position` is on disk.
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        position.offset < *self.ends.of(position.lane)
    }

    /// The first offset of `lane` that is not yet on disk.
    #[must_use]
    pub fn end(&self, lane: Lane) -> Offset {
        *self.ends.of(lane)
    }
}

type Wake = Box<dyn Fn() + Send + Sync>;

/// The durable end of each lane. Reading it takes no lock.
pub struct Watermark {
    ends: PerLane<AtomicU64>,
    failure: OnceLock<Failure>,
    wakes: RwLock<Vec<Wake>>,
    /// Called after a failure only.
    alarms: RwLock<Vec<Wake>>,
}

impl Watermark {
    pub(super) fn new(ends: PerLane<Offset>) -> Self {
        Self {
            ends: PerLane::new(|lane| AtomicU64::new(*ends.of(lane))),
            failure: OnceLock::new(),
            wakes: RwLock::new(Vec::new()),
            alarms: RwLock::new(Vec::new()),
        }
    }

    /// What is on disk.
    #[must_use]
    pub fn durable(&self) -> Durable {
        Durable { ends: PerLane::new(|lane| self.ends.of(lane).load(Ordering::Acquire)) }
    }

    /// Has `wake` called by the writer's thread after every commit and after a failure. It must be quick and must
    /// not wait: one for each runtime, which then looks at [`Self::durable`].
    pub fn on_commit(&self, wake: Wake) {
        self.wakes.write().unwrap_or_else(PoisonError::into_inner).push(wake);
    }

    /// Has `alarm` called when the spool has failed, as [`Self::on_commit`] does.
    pub fn on_failure(&self, alarm: Wake) {
        self.alarms.write().unwrap_or_else(PoisonError::into_inner).push(alarm);
    }

    /// The error that ended this spool, if one did. Nothing more becomes durable after it.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Moves the end of `lane` to `end`, which the sync behind `_synced` has confirmed.
    pub(super) fn advance(&self, lane: Lane, end: Offset, _synced: Synced) {
        self.ends.of(lane).store(end, Ordering::Release);
        self.wake();
    }

    pub(super) fn fail(&self, failure: Failure) {
        if self.failure.set(failure).is_ok() {
            self.wake();
            for alarm in self.alarms.read().unwrap_or_else(PoisonError::into_inner).iter() {
                alarm();
            }
        }
    }

    /// Has everybody look again: more is durable, or there is room again for what was refused.
    pub(super) fn wake(&self) {
        for wake in self.wakes.read().unwrap_or_else(PoisonError::into_inner).iter() {
            wake();
        }
    }
}

impl std::fmt::Debug for Watermark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watermark")
            .field("durable", &self.durable())
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
