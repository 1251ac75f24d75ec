//! The one writer of both lanes: take a commit, write it with its sync, say so.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tidegate_protocol::Lane;

use super::{
    Failure, PerLane,
    catalog::Segment,
    commit::{self, COMMIT_HEADER_BYTES, Commit, CommitHeader},
    config::COMMIT_INTERVAL_MS_MAX,
    pending::{Door, Filling, Pending},
    segment::{BLOCK, BLOCK_BYTES, Extent, LogPlace, SegmentHeader, footer_to_block},
    state::State,
    storage::{AlignedBuffer, StorageFile},
};
use crate::clock::Stopwatch;

/// The writer's thread.
pub(super) const WRITER: &str = "spool-writer";

/// How long the writer may be silent where it does not wait for the disk: longer than the longest commit interval.
pub(super) const WRITER_SILENCE_MS_MAX: u64 = COMMIT_INTERVAL_MS_MAX + 10_000;

/// How often an idle writer shows that it is there.
const IDLE: Duration = Duration::from_secs(1);

/// The segment that a lane's commits go into.
pub(super) struct Tail {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) sealed: bool,
}

/// The one writer of both lanes.
pub(super) struct Writer {
    state: Arc<State>,
    /// None: the lane has no segment yet.
    tails: PerLane<Option<Tail>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(state: Arc<State>, tails: PerLane<Option<Tail>>) -> Self {
        Self { state, tails }
    }

    /// Writes at most one commit of each lane, the event lane's first; whether there was any.
    ///
    /// # Errors
    /// The [`Failure`] that has poisoned the spool.
    pub(super) fn step(&mut self) -> Result<bool, Failure> {
        let mut wrote = false;
        for lane in Lane::ALL {
            if let Some(failure) = self.state.watermark.failure() {
                return Err(failure.clone());
            }
            let filling = self.state.pending().take(lane);
            if let Some(filling) = filling {
                self.write(lane, filling)?;
                wrote = true;
            }
        }
        Ok(wrote)
    }

    fn write(&mut self, lane: Lane, mut filling: Filling) -> Result<(), Failure> {
        self.state.disk_wait.begin();
        let written = self.roll(lane, &filling).and_then(|()| self.commit(lane, &mut filling));
        self.state.disk_wait.end();
        if let Err(error) = written {
            let name = self.tails.of(lane).as_ref().map_or("", |tail| &tail.segment.name);
            return Err(self.state.poison_io(format!("writing {name} of the spool's {lane} lane"), &error));
        }
        self.state.pending().settle(filling);
        self.state.settled.notify_all();
        Ok(())
    }

    /// Seals the lane's segment and begins the one that lies ready, where the commit asks for it.
    fn roll(&mut self, lane: Lane, filling: &Filling) -> io::Result<()> {
        let state = &self.state;
        if !filling.new_segment {
            return Ok(());
        }
        if let Some(tail) = self.tails.of_mut(lane).as_mut().filter(|tail| !tail.sealed) {
            seal(&tail.segment, &*tail.file, &tail.segment.extent())?;
            tail.sealed = true;
        }
        let base = filling.base;
        let blank = state.catalog_mut().blanks.pop_front().ok_or(io::ErrorKind::NotFound)?;
        let file = state.storage.open(&blank.name, true)?;
        let place = LogPlace { lane, base };
        let header = SegmentHeader { bytes: blank.bytes, epoch: blank.epoch, log: Some(place) };
        file.write_synced(AlignedBuffer::holding(&header.to_block()).as_slice(), 0)?;
        let segment = Segment::new(blank.name, blank.bytes, blank.epoch, place, Extent::empty(base));
        let segment = Arc::new(segment);
        state.catalog_mut().segments.of_mut(lane).push_back(Arc::clone(&segment));
        *self.tails.of_mut(lane) = Some(Tail { segment, file, sealed: false });
        state.kick_keeper();
        Ok(())
    }

    fn commit(&mut self, lane: Lane, filling: &mut Filling) -> io::Result<()> {
        let tail = self.tails.of(lane).as_ref().ok_or(io::ErrorKind::NotFound)?;
        let stopwatch = Stopwatch::start();
        let mut extent = tail.segment.extent();
        let len = filling.buffer.len();
        let records_bytes = u32::try_from(len - COMMIT_HEADER_BYTES).map_err(io::Error::other)?;
        let header = CommitHeader {
            lane,
            epoch: tail.segment.epoch,
            number: extent.commits,
            base: filling.base,
            records: filling.records,
            records_bytes,
            rejects: filling.rejects,
            rejects_bytes: filling.rejects_bytes,
            ts_min: filling.ts_min,
            ts_max: filling.ts_max,
        };
        commit::seal(&header, filling.buffer.as_mut_slice());
        let bytes = filling.buffer.as_slice().to_vec();
        filling.buffer.resize(len.next_multiple_of(BLOCK_BYTES));
        let synced = tail.file.write_synced(filling.buffer.as_slice(), extent.position)?;
        let took = stopwatch.elapsed();
        self.state.pace.note(took);
        self.state.meter.add_commit(took);
        filling.buffer.resize(len);
        extent.add(&header, extent.position);
        tail.segment.set_extent(extent);
        self.state.recent.of(lane).push(Arc::new(Commit::sealed(header, bytes)));
        self.state.watermark.advance(lane, header.end(), synced);
        Ok(())
    }
}

/// Writes commits as they come until the spool is closed or fails.
pub(super) fn run(writer: &Mutex<Writer>) {
    let lock = || writer.lock().unwrap_or_else(PoisonError::into_inner);
    let state = Arc::clone(&lock().state);
    loop {
        let mut pending = state.pending();
        while pending.is_empty() && pending.door == Door::Open {
            pending.writer_waits = true;
            state.pulse.beat();
            let woken = state.appended.wait_timeout(pending, IDLE);
            pending = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.pulse.beat();
        pending.writer_waits = false;
        let done = pending.is_empty() || pending.door == Door::Poisoned;
        if done {
            return;
        }
        let interval = state.limits.commit_interval;
        if !interval.is_zero() {
            let waits = |pending: &mut Pending| pending.door == Door::Open && !pending.hurry;
            let woken = state.appended.wait_timeout_while(pending, interval, waits);
            pending = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        pending.hurry = false;
        drop(pending);
        loop {
            // Who holds the writer waits for the disk, too.
            state.pulse.await_disk();
            let stepped = lock().step();
            state.pulse.beat();
            if stepped.is_err() {
                return;
            }
            if !state.pending().has_filled() {
                break;
            }
        }
    }
}

/// Writes the footer of a segment: what `extent` says is all there is.
pub(super) fn seal(segment: &Segment, file: &dyn StorageFile, extent: &Extent) -> io::Result<()> {
    let block = footer_to_block(segment.epoch, extent);
    file.write_synced(AlignedBuffer::holding(&block).as_slice(), segment.bytes - BLOCK).map(drop)
}
