//! The durable log: what it calls durable is on disk.
//!
//! [`Spool::append`] copies a record into the commit that is being filled and says where it will be. A thread of
//! the spool's own writes commits, one write and one sync each, and moves the [`Watermark`]; whoever waits compares
//! positions with [`Durable`]. A [`Reader`] gives out what is durable and nothing else. A [`Cursor`] is how far a
//! consumer has confirmed, and holds back the deletion of what it has not.
//!
//! The spool knows no async runtime: an append never waits, everything else may read or write files.

mod lane;
mod record;

mod segment;

mod commit;

mod pending;

mod writer;

mod pace;

mod watermark;

mod recent;

mod scan;

mod lost;

mod reader;

mod cursor;

mod catalog;

mod retention;

mod gap;

mod keeper;

mod recovery;

mod salvage;

mod quarantine;

mod meter;

mod state;

mod status;

mod inspect;

mod storage;

mod sizing;

mod stepper;

pub mod fuzz;

mod config;

mod error;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread::JoinHandle,
};

pub use self::{
    config::{
        COMMIT_INTERVAL_MS_MAX, Config, ConfigError, SD_CARD_COMMIT_INTERVAL_MS, SEGMENT_BYTES_MAX,
        SEGMENT_BYTES_MIN, SEGMENTS_MIN, WhenFull,
    },
    cursor::{CONSUMERS_MAX, Cursor, Start},
    error::{CursorError, Failure, OpenError, ReadError, Unavailable},
    gap::{GAP_DEVICES_MAX, GapSummary, OTHER_DEVICES},
    inspect::{CursorReport, GapReport, Report, SegmentReport, inspect, look, verify},
    lane::PerLane,
    meter::{COMMIT_CLASSES_US, Writes},
    reader::{Batch, Lost, LostCause, Reader},
    record::{
        ClockQuality, Envelope, Kind, Malformed, Offset, Position, Protocol, Record, USER_PROPERTIES_MAX, Uid,
    },
    recovery::Recovered,
    sizing::{DAY_MS, Load, Sizing, size},
    status::{CursorLane, CursorStatus, LaneStatus, Status},
    stepper::Stepper,
    storage::{Disk, Fault, Lock, SimulatedDisk, Storage, StorageFile, Synced},
    watermark::{Durable, Watermark},
};
use self::{pending::Door, state::State, writer::Writer};
use crate::health::Pulse;
pub use tidegate_protocol::Lane;

/// Commits that [`Spool::write_out`] writes before it leaves the rest to the spool's own thread.
const OWN_COMMITS_MAX: usize = 4;

/// A handle to the durable log; cheap to clone. The last one dropped closes the spool.
#[derive(Clone, Debug)]
pub struct Spool {
    handle: Arc<Handle>,
}

/// Closes the spool when it is dropped.
#[derive(Debug)]
struct Handle {
    state: Arc<State>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Whoever holds it writes; unset where a [`Stepper`] does.
    writer: OnceLock<Arc<Mutex<Writer>>>,
}

impl Spool {
    /// Takes the directory, recovers what is there and starts the spool's two threads. `wall_ms` is the time, Unix
    /// milliseconds.
    ///
    /// # Errors
    /// [`OpenError`]: another process has the directory, the configuration cannot be, no room, or the disk failed.
    pub fn open(
        storage: impl Storage,
        config: &Config,
        wall_ms: u64,
    ) -> Result<(Self, Recovered), OpenError> {
        let (spool, stepper, recovered) = Self::open_stepped(storage, config, wall_ms)?;
        let Stepper { writer, keeper } = stepper;
        let writer = Arc::clone(spool.handle.writer.get_or_init(|| Arc::new(Mutex::new(writer))));
        let start = |name: &'static str, run: Box<dyn FnOnce() + Send>| {
            let watch = Watch { state: Arc::clone(&spool.handle.state), name };
            let watched = move || {
                let _watch = watch;
                run();
            };
            let thread = std::thread::Builder::new().name(name.into()).spawn(watched);
            thread.map_err(|error| OpenError::Io { what: format!("starting the thread {name}"), error })
        };
        let threads = [
            start(writer::WRITER, Box::new(move || writer::run(&writer)))?,
            start("spool-keeper", Box::new(move || keeper.run()))?,
        ];
        spool.threads().extend(threads);
        spool.handle.state.kick_keeper();
        Ok((spool, recovered))
    }

    /// The same without threads, for tests that must come out the same every time: nothing is written but by the
    /// [`Stepper`].
    ///
    /// # Errors
    /// As [`Self::open`].
    #[doc(hidden)]
    pub fn open_stepped(
        storage: impl Storage,
        config: &Config,
        wall_ms: u64,
    ) -> Result<(Self, Stepper, Recovered), OpenError> {
        let (state, stepper, recovered) = stepper::open(Arc::new(storage), config, wall_ms)?;
        Ok((
            Self { handle: Arc::new(Handle { state, threads: Mutex::default(), writer: OnceLock::new() }) },
            stepper,
            recovered,
        ))
    }

    /// Copies a record into the commit being filled and gives its place; never waits for the disk. It is durable
    /// once [`Watermark::durable`] covers the place.
    ///
    /// # Errors
    /// [`Unavailable`] says why nothing was stored.
    pub fn append(
        &self,
        lane: Lane,
        envelope: &Envelope<'_>,
        format: u16,
        payload: &[u8],
    ) -> Result<Position, Unavailable> {
        let appended = self.append_held(lane, envelope, format, payload);
        if appended.is_ok() {
            self.release();
        }
        appended
    }

    /// As [`Self::append`], but an idle writer is not woken: whoever appends many records in one go calls
    /// [`Self::release`] behind the last, so that they share a commit. A busy writer takes them with its next one.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_held(
        &self,
        lane: Lane,
        envelope: &Envelope<'_>,
        format: u16,
        payload: &[u8],
    ) -> Result<Position, Unavailable> {
        let state = &self.handle.state;
        let mut pending = state.pending();
        let blanks = pending.blanks();
        let appended = pending.append(lane, envelope, format, payload);
        let kick_keeper =
            pending.blanks() < blanks || matches!(appended, Err(Unavailable::Full | Unavailable::Busy));
        drop(pending);
        if kick_keeper {
            state.kick_keeper();
        }
        appended
    }

    /// Has an idle writer take what was appended.
    pub fn release(&self) {
        let state = &self.handle.state;
        let wake_writer = std::mem::take(&mut state.pending().writer_waits);
        if wake_writer {
            state.appended.notify_one();
        }
    }

    /// Has what was appended written: on the caller's thread, which spares two wakes of threads, where the disk is quick
    /// and nobody else writes; else as [`Self::release`] does. What others append meanwhile is written with it.
    pub fn write_out(&self) {
        let state = &self.handle.state;
        for _ in 0..OWN_COMMITS_MAX {
            if !state.may_write_out() {
                break;
            }
            let Some(writer) = self.handle.writer.get() else { break };
            // Whoever holds it looks again, after letting it go, whether anything was appended.
            let Ok(mut writer) = writer.try_lock() else { return };
            if writer.step().is_err() {
                return;
            }
            drop(writer);
            if state.pending().is_empty() {
                return;
            }
        }
        self.release();
    }

    /// What is durable, and who is told.
    #[must_use]
    pub fn watermark(&self) -> &Watermark {
        &self.handle.state.watermark
    }

    /// Reads `lane` from `from` on.
    #[must_use]
    pub fn reader(&self, lane: Lane, from: Offset) -> Reader {
        Reader::new(Arc::clone(&self.handle.state), lane, from)
    }

    /// Registers a consumer that holds back deletion, or takes it up where it was. `start` counts the first time.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn cursor(&self, consumer: &str, start: Start) -> Result<Cursor, CursorError> {
        Cursor::register(&self.handle.state, consumer, start)
    }

    /// Forgets a consumer; it holds nothing back any more. One that does not exist is no error.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn remove_cursor(&self, consumer: &str) -> Result<(), CursorError> {
        Cursor::remove(&self.handle.state, consumer)
    }

    /// The first record of `lane` that arrived at `wall_ms` (Unix milliseconds) or later; the lane's durable end
    /// when there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_at(&self, lane: Lane, wall_ms: u64) -> Result<Offset, ReadError> {
        self.handle.state.offset_at(lane, wall_ms)
    }

    /// Tells the spool the time, Unix milliseconds, so that records are given up after `keep` on an idle gateway
    /// too. Every append does so with its `ts_gw`.
    pub fn note_time(&self, wall_ms: u64) {
        self.handle.state.note_time(wall_ms);
        self.handle.state.meter.sample();
    }

    /// Whether new records are refused for want of room. Takes no file to tell.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.handle.state.pending().is_full()
    }

    /// Milliseconds that a write has waited for the disk; none when nothing is being written.
    #[must_use]
    pub fn disk_wait_ms(&self) -> Option<u64> {
        self.handle.state.disk_wait.ms()
    }

    /// The sign of life of the spool's own writing thread.
    #[must_use]
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.handle.state.pulse
    }

    /// The spool at this moment. Reads files.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn status(&self) -> Result<Status, ReadError> {
        self.handle.state.status()
    }

    /// Waits until everything appended so far is durable.
    ///
    /// # Errors
    /// The [`Failure`] that ended the spool.
    pub fn drain(&self) -> Result<(), Failure> {
        let state = &self.handle.state;
        state.pending().hurry = true;
        state.appended.notify_one();
        state.wait_settled()
    }

    /// Refuses further appends, makes everything appended durable and stops the spool's threads.
    ///
    /// # Errors
    /// The [`Failure`] that ended the spool.
    pub fn close(&self) -> Result<(), Failure> {
        self.handle.close()
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.handle.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread of the spool that panics has failed it: otherwise everything would be taken and nothing be confirmed.
struct Watch {
    state: Arc<State>,
    name: &'static str,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::io::Error::other("the thread panicked");
            self.state.poison_io(format!("running {}", self.name), &error);
        }
    }
}

impl Handle {
    fn close(&self) -> Result<(), Failure> {
        {
            let mut pending = self.state.pending();
            if pending.door == Door::Open {
                pending.door = Door::Closed;
            }
        }
        self.state.appended.notify_all();
        self.state.kick_keeper();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic of the thread has been reported on its own; what counts here is what became durable.
            drop(thread.join());
        }
        // Another thread may be writing out what it has appended.
        drop(self.writer.get().map(|writer| writer.lock().map(drop)));
        self.state.watermark.failure().cloned().map_or(Ok(()), Err)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(failure) = self.close() {
            tracing::error!(%failure, "the spool has failed");
        }
    }
}

#[cfg(test)]
mod tests;
