//! What the handle, the writer, the keeper, readers and cursors share.

use std::{
    fmt, io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Failure, PerLane, Watermark,
    catalog::Catalog,
    config::Limits,
    cursor::Cursors,
    lost::LostRecords,
    meter::Meter,
    pace::Pace,
    pending::{Door, Pending},
    quarantine::Quarantine,
    recent::Recent,
    storage::{Lock, Storage},
};
use crate::health::{DiskWait, Pulse};

/// How long the keeper sleeps when nobody tells it anything: free space may come back by others' doing.
const KEEPER_SLEEP_MS_MAX: u64 = 1_000;

/// What the handle, the writer, the keeper, readers and cursors share.
pub(super) struct State {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) limits: Limits,
    pub(super) meter: Arc<Meter>,
    /// Of the writer's thread.
    pub(super) pulse: Arc<Pulse>,
    /// Of whoever writes.
    pub(super) disk_wait: DiskWait,
    pub(super) watermark: Watermark,
    pub(super) recent: PerLane<Recent>,
    pub(super) cursors: Cursors,
    pub(super) quarantine: Quarantine,
    /// Records dropped by the owner's choice.
    pub(super) dropped: AtomicU64,
    /// Records that damage has taken.
    pub(super) lost: LostRecords,
    /// The time as far as anyone has told, Unix milliseconds.
    pub(super) wall_ms: AtomicU64,
    pub(super) pending: Mutex<Pending>,
    pub(super) catalog: RwLock<Catalog>,
    /// Tells the writer of an append.
    pub(super) appended: Condvar,
    /// Tells [`Self::wait_settled`] of a commit.
    pub(super) settled: Condvar,
    /// How the last commits went.
    pub(super) pace: Pace,
    /// The keeper has something to look at.
    pub(super) kicked: Mutex<bool>,
    pub(super) kick: Condvar,
    /// Taken at the start, let go at the very end.
    #[expect(dead_code, reason = "holding it is its use")]
    pub(super) lock: Lock,
}

impl State {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the keeper look whether segments can be made ready or given back.
    pub(super) fn kick_keeper(&self) {
        *self.kicked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.kick.notify_one();
    }

    /// Sleeps until the keeper is kicked, for a while at most.
    pub(super) fn keeper_sleep(&self) {
        let kicked = self.kicked.lock().unwrap_or_else(PoisonError::into_inner);
        let timeout = Duration::from_millis(KEEPER_SLEEP_MS_MAX);
        let woken = self.kick.wait_timeout_while(kicked, timeout, |kicked| !*kicked);
        *woken.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    /// Ends this spool: after an error of a write or sync nothing is known of the disk.
    pub(super) fn poison(&self, failure: Failure) -> Failure {
        self.pending().door = Door::Poisoned;
        self.watermark.fail(failure.clone());
        // Whoever has looked for a failure under the lock and found none is asleep by the time the lock is free.
        drop(self.pending());
        self.appended.notify_all();
        self.settled.notify_all();
        self.kick_keeper();
        self.watermark.failure().cloned().unwrap_or(failure)
    }

    /// The same, from what the operating system said.
    pub(super) fn poison_io(&self, what: impl Into<String>, error: &io::Error) -> Failure {
        self.poison(Failure::new(what, error))
    }

    /// Whether a thread that has appended should write by itself.
    pub(super) fn may_write_out(&self) -> bool {
        self.limits.commit_interval.is_zero() && self.pace.is_quick()
    }

    /// Tells the time; the latest told counts.
    pub(super) fn note_time(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }

    /// Waits until everything appended before the call is durable.
    pub(super) fn wait_settled(&self) -> Result<(), Failure> {
        let pending = self.pending();
        let ends = PerLane::new(|lane| pending.next(lane));
        let waits = |_: &mut Pending| {
            let durable = self.watermark.durable();
            self.watermark.failure().is_none() && ends.iter().any(|(lane, end)| durable.end(lane) < *end)
        };
        drop(self.settled.wait_while(pending, waits).unwrap_or_else(PoisonError::into_inner));
        self.watermark.failure().cloned().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("watermark", &self.watermark).finish_non_exhaustive()
    }
}

/// Whether the disk only has no room, which passes.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
