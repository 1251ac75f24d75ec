//! Opens a spool and gives its two workers out, to be run by threads or step by step.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, RwLock, atomic::AtomicU64},
};

use super::{
    Config, Failure, OpenError, PerLane, Recovered, Watermark,
    cursor::CURSORS_FOLDER,
    gap::GAPS_FOLDER,
    keeper::Keeper,
    lost::LostRecords,
    meter::{Meter, Metered},
    pace::Pace,
    pending::Pending,
    quarantine::{QUARANTINE_FOLDER, Quarantine},
    recent::Recent,
    recovery::{self, bytes_left},
    state::State,
    storage::Storage,
    writer::{WRITER, WRITER_SILENCE_MS_MAX, Writer},
};
use crate::{
    clock::Clock,
    health::{DiskWait, Pulse},
};

/// The spool's two workers, run step by step instead of by threads.
#[doc(hidden)]
pub struct Stepper {
    pub(super) writer: Writer,
    pub(super) keeper: Keeper,
}

impl Stepper {
    /// Writes at most one commit of each lane; whether there was any.
    ///
    /// # Errors
    /// The [`Failure`] that has poisoned the spool.
    pub fn write(&mut self) -> Result<bool, Failure> {
        self.writer.step()
    }

    /// Makes segments ready and gives up what may be given up.
    ///
    /// # Errors
    /// The [`Failure`] that has poisoned the spool.
    pub fn keep(&mut self) -> Result<(), Failure> {
        self.keeper.step()
    }
}

impl std::fmt::Debug for Stepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepper").finish_non_exhaustive()
    }
}

/// Takes the directory, recovers what is there and makes the first segments ready.
pub(super) fn open(
    storage: Arc<dyn Storage>,
    config: &Config,
    wall_ms: u64,
) -> Result<(Arc<State>, Stepper, Recovered), OpenError> {
    let limits = config.limits()?;
    let clock = Clock::start();
    let meter = Arc::new(Meter::new(clock.clone()));
    let storage: Arc<dyn Storage> = Arc::new(Metered::new(storage, Arc::clone(&meter)));
    let directory = storage.directory();
    let fail = |what: &str| {
        let what = format!("{what} {}", directory.display());
        move |error: io::Error| OpenError::Io { what, error }
    };
    storage.prepare(&[CURSORS_FOLDER, GAPS_FOLDER, QUARANTINE_FOLDER]).map_err(fail("making"))?;
    let lock = storage.lock().map_err(fail("locking"))?;
    let lock = lock.ok_or_else(|| OpenError::Locked { directory: directory.clone() })?;
    let quarantine = Quarantine::load(&*storage, limits.quarantine_bytes_max).map_err(fail("reading"))?;
    let start = recovery::recover(&storage, &quarantine, limits.segment_bytes).map_err(fail("recovering"))?;
    let ends = start.report.ends;
    let rooms = PerLane::new(|lane| (*ends.of(lane), bytes_left(start.tails.of(lane).as_ref())));
    let (blanks, rejects) = (start.catalog.blanks.len(), start.catalog.rejects().1);
    let lost = LostRecords::default();
    for (lane, found) in start.report.lost.iter() {
        found.iter().for_each(|found| lost.note(lane, found.from, found.to));
    }
    let state = Arc::new(State {
        watermark: Watermark::new(ends),
        recent: PerLane::new(|_| Recent::new(limits.recent_bytes_max)),
        cursors: start.cursors,
        quarantine,
        dropped: AtomicU64::new(0),
        lost,
        wall_ms: AtomicU64::new(wall_ms),
        pending: Mutex::new(Pending::new(&limits, blanks, rooms, rejects)),
        catalog: RwLock::new(start.catalog),
        appended: Condvar::new(),
        settled: Condvar::new(),
        pace: Pace::default(),
        kicked: Mutex::new(false),
        kick: Condvar::new(),
        storage,
        limits,
        pulse: Arc::new(Pulse::new(WRITER, clock.clone(), WRITER_SILENCE_MS_MAX)),
        disk_wait: DiskWait::new(clock),
        meter,
        lock,
    });
    let mut keeper = Keeper::new(Arc::clone(&state));
    keeper
        .prime()
        .map_err(|failure| OpenError::Io { what: failure.what, error: io::Error::other(failure.error) })?;
    let empty = state.pending().blanks() == 0 && start.tails.iter().all(|(_, tail)| tail.is_none());
    if empty {
        return Err(OpenError::NoRoom { directory });
    }
    let writer = Writer::new(Arc::clone(&state), start.tails);
    Ok((state, Stepper { writer, keeper }, start.report))
}
