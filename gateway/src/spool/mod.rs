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

mod watermark;

mod reader;

mod cursor;

mod recovery;

mod status;

mod storage;

mod config;

mod error;

use std::sync::Arc;

pub use self::{
    config::{Config, ConfigError, WhenFull},
    cursor::{Cursor, Start},
    error::{CursorError, Failure, OpenError, ReadError, Unavailable},
    lane::PerLane,
    reader::{Batch, Lost, LostCause, Reader},
    record::{
        ClockQuality, Envelope, Kind, Malformed, Offset, Position, Protocol, Record, USER_PROPERTIES_MAX, Uid,
    },
    recovery::Recovered,
    status::{CursorLane, CursorStatus, LaneStatus, Status},
    storage::{Disk, Fault, Lock, SimulatedDisk, Storage, StorageFile, Synced},
    watermark::{Durable, Watermark},
};
pub use tidegate_protocol::Lane;

/// A handle to the durable log; cheap to clone. The last one dropped closes the spool.
#[derive(Clone, Debug)]
pub struct Spool {
    watermark: Arc<Watermark>,
}

impl Spool {
    /// Takes the directory, recovers what is there and starts the spool's threads. `wall_ms` is the time, Unix
    /// milliseconds.
    ///
    /// # Errors
    /// [`OpenError`]: another process has the directory, the configuration cannot be, no room, or the disk failed.
    pub fn open(
        storage: impl Storage,
        config: &Config,
        wall_ms: u64,
    ) -> Result<(Self, Recovered), OpenError> {
        config.check()?;
        let _ = wall_ms;
        Err(OpenError::NoRoom { directory: storage.directory() })
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
        let _ = (lane, envelope, format, payload);
        Err(Unavailable::Closed)
    }

    /// What is durable, and who is told.
    #[must_use]
    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// Reads `lane` from `from` on.
    #[must_use]
    pub fn reader(&self, lane: Lane, from: Offset) -> Reader {
        Reader { lane, offset: from }
    }

    /// Registers a consumer that holds back deletion, or takes it up where it was. `start` counts the first time.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn cursor(&self, consumer: &str, start: Start) -> Result<Cursor, CursorError> {
        let _ = (consumer, start);
        Err(CursorError::Poisoned)
    }

    /// Forgets a consumer; it holds nothing back any more.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn remove_cursor(&self, consumer: &str) -> Result<(), CursorError> {
        let _ = consumer;
        Err(CursorError::Poisoned)
    }

    /// The first record of `lane` that arrived at `wall_ms` (Unix milliseconds) or later; the lane's durable end
    /// when there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_at(&self, lane: Lane, wall_ms: u64) -> Result<Offset, ReadError> {
        let _ = wall_ms;
        Ok(self.watermark.durable().end(lane))
    }

    /// Tells the spool the time, Unix milliseconds, so that records are given up after `keep` on an idle gateway
    /// too. Every append does so with its `ts_gw`.
    pub fn note_time(&self, wall_ms: u64) {
        let _ = wall_ms;
    }

    /// The spool at this moment. Reads files.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        None
    }

    /// Waits until everything appended so far is durable.
    ///
    /// # Errors
    /// The [`Failure`] that ended the spool.
    pub fn drain(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Refuses further appends, makes everything appended durable and stops the spool's threads.
    ///
    /// # Errors
    /// The [`Failure`] that ended the spool.
    pub fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}
