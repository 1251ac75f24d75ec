//! What is appended and not yet on disk: one lock, records encoded straight into the commit being filled.
//!
//! Room on disk is given out here, at the append: a commit knows before its first record whether it goes into the
//! segment being written or begins a new one that lies ready. So the disk is never found full by a commit that
//! someone waits for.

use std::collections::VecDeque;

use tidegate_protocol::Lane;

use super::{
    Envelope, Kind, Offset, PerLane, Position, Unavailable, commit::COMMIT_HEADER_BYTES, config::Limits,
    record, segment::BLOCK_BYTES, storage::AlignedBuffer,
};

/// Emptied buffers kept for the next commits.
const SPARE_BUFFERS_MAX: usize = 4;

/// Bytes of room in a new buffer; it grows to what the load needs.
const BUFFER_BYTES: usize = 16 * 1024;

/// Ready segments that only the event lane may take.
pub(super) const EVENT_RESERVE_SEGMENTS: usize = 1;

/// A commit being filled, or filled and waiting for the writer.
#[derive(Debug)]
pub(super) struct Filling {
    /// Room for the header, then records.
    pub(super) buffer: AlignedBuffer,
    pub(super) base: Offset,
    pub(super) records: u32,
    pub(super) rejects: u32,
    pub(super) rejects_bytes: u32,
    pub(super) ts_min: u64,
    pub(super) ts_max: u64,
    /// It begins a segment that lies ready.
    pub(super) new_segment: bool,
}

impl Filling {
    /// Bytes of records.
    fn records_bytes(&self) -> usize {
        self.buffer.len() - COMMIT_HEADER_BYTES
    }

    fn padded_with(&self, more: usize) -> usize {
        (self.buffer.len() + more).next_multiple_of(BLOCK_BYTES)
    }
}

#[derive(Debug, Default)]
struct LanePending {
    next: Offset,
    /// Bytes for commits left in the segment that the commit being filled goes into.
    left: usize,
    filling: Option<Filling>,
    filled: VecDeque<Filling>,
}

/// Why appends are refused, once they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Closed,
    Poisoned,
}

/// What is appended and not yet on disk.
#[derive(Debug)]
pub(super) struct Pending {
    lanes: PerLane<LanePending>,
    /// Ready segments that no commit has been promised.
    blanks: usize,
    /// Bytes for commits in a ready segment.
    segment_room: usize,
    commit_bytes_max: usize,
    pending_bytes_max: usize,
    rejects_bytes_max: u64,
    /// Bytes of records appended and not yet durable.
    bytes: usize,
    /// Bytes of reject records stored and appended.
    pub(super) rejects_bytes: u64,
    pub(super) door: Door,
    /// No further segment can be made ready.
    pub(super) no_room: bool,
    /// An append has been refused as full since a segment was last made ready.
    pub(super) refusing: bool,
    /// The writer waits to be told of an append.
    pub(super) writer_waits: bool,
    /// Someone waits for what is pending: the writer does not wait out its interval.
    pub(super) hurry: bool,
    /// The latest arrival appended, Unix milliseconds.
    wall_ms: u64,
    spare: Vec<AlignedBuffer>,
}

impl Pending {
    pub(super) fn new(
        limits: &Limits,
        blanks: usize,
        ends: PerLane<(Offset, u64)>,
        rejects_bytes: u64,
    ) -> Self {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            lanes: PerLane::new(|lane| {
                let (next, left) = *ends.of(lane);
                LanePending { next, left: bytes(left), ..LanePending::default() }
            }),
            blanks,
            segment_room: bytes(limits.segment_bytes) - 2 * BLOCK_BYTES,
            commit_bytes_max: limits.commit_bytes_max,
            pending_bytes_max: limits.pending_bytes_max,
            rejects_bytes_max: limits.rejects_bytes_max,
            bytes: 0,
            rejects_bytes,
            door: Door::Open,
            no_room: false,
            refusing: false,
            writer_waits: false,
            hurry: false,
            wall_ms: 0,
            spare: Vec::new(),
        }
    }

    /// Copies a record into the lane's commit and gives its place.
    pub(super) fn append(
        &mut self,
        lane: Lane,
        envelope: &Envelope<'_>,
        format: u16,
        payload: &[u8],
    ) -> Result<Position, Unavailable> {
        match self.door {
            Door::Open => {}
            Door::Closed => return Err(Unavailable::Closed),
            Door::Poisoned => return Err(Unavailable::Poisoned),
        }
        let len = record::encoded_len(envelope, payload)
            .filter(|len| COMMIT_HEADER_BYTES + len <= self.commit_bytes_max)
            .ok_or(Unavailable::TooLarge)?;
        if self.bytes + len > self.pending_bytes_max {
            return Err(Unavailable::Busy);
        }
        let reject = envelope.kind == Kind::Reject;
        if reject && self.rejects_bytes + len as u64 > self.rejects_bytes_max {
            return Err(Unavailable::RejectsFull);
        }
        let filling = self.filling(lane, len)?;
        let offset = filling.base + u64::from(filling.records);
        record::encode(envelope, format, payload, len, filling.buffer.reserve(len));
        filling.records += 1;
        filling.ts_min = filling.ts_min.min(envelope.ts_gw);
        filling.ts_max = filling.ts_max.max(envelope.ts_gw);
        if reject {
            filling.rejects += 1;
            filling.rejects_bytes += u32::try_from(len).unwrap_or(u32::MAX);
            self.rejects_bytes += len as u64;
        }
        self.bytes += len;
        self.wall_ms = envelope.ts_gw;
        self.lanes.of_mut(lane).next = offset + 1;
        Ok(Position { lane, offset })
    }

    /// The commit that takes `len` bytes more: the one being filled, or a new one.
    fn filling(&mut self, lane: Lane, len: usize) -> Result<&mut Filling, Unavailable> {
        let reserve = if lane == Lane::Event { 0 } else { EVENT_RESERVE_SEGMENTS };
        let room = self.lanes.of(lane);
        let fits = room.filling.as_ref().is_some_and(|filling| {
            filling.padded_with(len) <= room.left && filling.buffer.len() + len <= self.commit_bytes_max
        });
        if !fits {
            let taken = room.filling.as_ref().map_or(0, |filling| filling.padded_with(0));
            let left = room.left - taken.min(room.left);
            let new_segment = (COMMIT_HEADER_BYTES + len).next_multiple_of(BLOCK_BYTES) > left;
            if new_segment && self.blanks <= reserve {
                self.refusing |= self.no_room;
                return Err(if self.no_room { Unavailable::Full } else { Unavailable::Busy });
            }
            self.blanks -= usize::from(new_segment);
            self.seal(lane);
            let mut buffer = self.spare.pop().unwrap_or_else(|| AlignedBuffer::with_capacity(BUFFER_BYTES));
            buffer.resize(0);
            buffer.resize(COMMIT_HEADER_BYTES);
            let room = self.lanes.of_mut(lane);
            room.left = if new_segment { self.segment_room } else { room.left };
            room.filling = Some(Filling {
                buffer,
                base: room.next,
                records: 0,
                rejects: 0,
                rejects_bytes: 0,
                ts_min: u64::MAX,
                ts_max: 0,
                new_segment,
            });
        }
        self.lanes.of_mut(lane).filling.as_mut().ok_or(Unavailable::Busy)
    }

    /// Ends the commit being filled and takes its room.
    fn seal(&mut self, lane: Lane) {
        let room = self.lanes.of_mut(lane);
        if let Some(filling) = room.filling.take() {
            room.left -= filling.padded_with(0).min(room.left);
            room.filled.push_back(filling);
        }
    }

    /// The lane's next commit for the writer.
    pub(super) fn take(&mut self, lane: Lane) -> Option<Filling> {
        if self.lanes.of(lane).filled.is_empty() {
            self.seal(lane);
        }
        self.lanes.of_mut(lane).filled.pop_front()
    }

    /// Whether there is nothing for the writer.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|(_, room)| room.filling.is_none() && room.filled.is_empty())
    }

    /// Whether a commit is full and waits for the writer.
    pub(super) fn has_filled(&self) -> bool {
        self.lanes.iter().any(|(_, room)| !room.filled.is_empty())
    }

    /// Takes back what [`Self::take`] gave, durable by now.
    pub(super) fn settle(&mut self, filling: Filling) {
        self.bytes -= filling.records_bytes().min(self.bytes);
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(filling.buffer);
        }
    }

    /// A segment more lies ready.
    pub(super) fn add_blank(&mut self) {
        self.blanks += 1;
        self.no_room = false;
        self.refusing = false;
    }

    /// Takes a ready segment away from the commits to come, if there is one.
    pub(super) fn take_blank(&mut self) -> bool {
        let any = self.blanks > 0;
        self.blanks -= usize::from(any);
        any
    }

    /// Whether new records are refused for want of room.
    pub(super) fn is_full(&self) -> bool {
        self.no_room && self.refusing
    }

    /// The latest arrival appended, Unix milliseconds; 0 before the first.
    pub(super) fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    /// Ready segments that no commit has been promised.
    pub(super) fn blanks(&self) -> usize {
        self.blanks
    }

    /// The offset that the lane's next record gets.
    pub(super) fn next(&self, lane: Lane) -> Offset {
        self.lanes.of(lane).next
    }
}
