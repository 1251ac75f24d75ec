//! Gives out what is durable, in order.

use std::{io, sync::Arc};

use super::{
    Lane, Offset, ReadError, Record,
    catalog::{Located, Segment},
    commit::{COMMIT_HEADER_BYTES, Commit},
    gap::{Gap, Summaries},
    scan::{Found, Scan},
    segment::BLOCK,
    state::State,
    storage::StorageFile,
};

/// Reads one lane in order: recent records from memory, older ones from the disk (blocking). Holds nothing back from
/// deletion; that is what a [`Cursor`](super::Cursor) is for.
pub struct Reader {
    state: Arc<State>,
    lane: Lane,
    offset: Offset,
    /// The commit that the last batch ended in, and the byte and offset to go on with.
    commit: Option<Part>,
    place: Option<Place>,
}

/// Where in which file the next commit is.
struct Place {
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    at: u64,
    number: u32,
    base: Offset,
}

/// Durable records in order. Cheap to move to another thread.
#[derive(Debug, Default)]
pub struct Batch {
    lost: Option<Lost>,
    parts: Vec<Part>,
    end: Offset,
}

/// Some of the records of a commit, or of the summaries of a gap.
#[derive(Clone, Debug)]
enum Part {
    Commit { commit: Arc<Commit>, at: usize, offset: Offset, count: usize },
    Gap { summaries: Arc<Summaries>, from: usize, to: usize },
}

/// Records that are not there any more and that no gap record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first of them.
    pub from: Offset,
    /// Behind the last of them.
    pub to: Offset,
    /// Why.
    pub cause: LostCause,
}

/// Why records are not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCause {
    /// The disk gave back something else than was written.
    Damaged,
    /// They were confirmed by every consumer and given up after `keep` or for want of room.
    Expired,
}

/// What is at an offset.
enum Next {
    Commit(Arc<Commit>),
    Gap { gap: Arc<Gap>, to: Offset },
    Lost(Lost),
}

impl Reader {
    pub(super) fn new(state: Arc<State>, lane: Lane, offset: Offset) -> Self {
        Self { state, lane, offset, commit: None, place: None }
    }

    /// The lane it reads.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The offset that the next batch begins with.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// The next durable records, at most about `bytes_max` bytes of them but at least one; none when caught up.
    ///
    /// Where records are missing, a batch begins with [`Batch::lost`] or holds the gap records that stand for them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next_batch(&mut self, bytes_max: usize) -> Result<Batch, ReadError> {
        let end = self.state.watermark.durable().end(self.lane);
        let mut batch = Batch { end: self.offset, ..Batch::default() };
        let mut bytes_left = bytes_max.max(1);
        while self.offset < end && bytes_left > 0 {
            let held = match self.commit.take() {
                Some(Part::Commit { commit, at, offset, .. }) if offset == self.offset => Some((commit, at)),
                _ => None,
            };
            let next = match held {
                Some((commit, at)) => {
                    bytes_left = self.take_records(&mut batch, commit, at, bytes_left);
                    continue;
                }
                None => self.next(end)?,
            };
            match next {
                Next::Commit(commit) => {
                    let at = start_of(&commit, self.offset);
                    bytes_left = self.take_records(&mut batch, commit, at, bytes_left);
                }
                Next::Gap { gap, to } => {
                    if batch.is_empty() {
                        self.take_gap(&mut batch, &gap, to, bytes_max)?;
                    }
                    break;
                }
                Next::Lost(_) if !batch.is_empty() => break,
                Next::Lost(lost) => {
                    batch.lost = Some(lost);
                    self.offset = lost.to;
                    if lost.cause == LostCause::Damaged {
                        self.state.lost.note(self.lane, lost.from, lost.to);
                    }
                }
            }
        }
        batch.end = self.offset;
        Ok(batch)
    }

    /// Adds the commit's records from byte `at` on; the bytes left for more.
    fn take_records(
        &mut self,
        batch: &mut Batch,
        commit: Arc<Commit>,
        at: usize,
        bytes_left: usize,
    ) -> usize {
        let (offset, len) = (self.offset, commit.bytes().len());
        let whole = len.saturating_sub(at) <= bytes_left;
        let (mut behind, mut count) = (at, 0);
        if whole {
            count = usize::try_from(commit.header.end() - offset).unwrap_or(0);
            behind = len;
        }
        while !whole && behind < len && (count == 0 || commit.behind(behind) - at <= bytes_left) {
            behind = commit.behind(behind);
            count += 1;
        }
        self.offset = offset + count as u64;
        if behind < len {
            let rest =
                Part::Commit { commit: Arc::clone(&commit), at: behind, offset: self.offset, count: 0 };
            self.commit = Some(rest);
        }
        batch.parts.push(Part::Commit { commit, at, offset, count });
        if whole { bytes_left - (len - at) } else { 0 }
    }

    fn take_gap(
        &mut self,
        batch: &mut Batch,
        gap: &Gap,
        to: Offset,
        bytes_max: usize,
    ) -> Result<(), ReadError> {
        let name = gap.file_name();
        let summaries = Summaries::read(&*self.state.storage, &name);
        let summaries = match summaries {
            Ok(summaries) => Arc::new(summaries),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {
                // The summary itself is damaged: the reader is told at least that much.
                batch.lost = Some(Lost { from: self.offset, to, cause: LostCause::Damaged });
                self.offset = to;
                return Ok(());
            }
            Err(error) => return Err(ReadError::Io { file: name, error }),
        };
        let from = summaries.first_at(self.offset);
        let last = summaries.first_at(to);
        let (mut number, mut bytes) = (from, 0);
        while number < last && (number == from || bytes < bytes_max) {
            let record = summaries.record(number);
            bytes += record.as_ref().map_or(0, |record| record.payload.len());
            self.offset = record.map_or(to, |record| record.position.offset + 1);
            number += 1;
        }
        if number >= last {
            self.offset = to;
        }
        batch.parts.push(Part::Gap { summaries, from, to: number });
        Ok(())
    }

    /// What is at the reader's offset, which is below the durable `end`.
    fn next(&mut self, end: Offset) -> Result<Next, ReadError> {
        if let Some(commit) = self.state.recent.of(self.lane).find(self.offset) {
            return Ok(Next::Commit(commit));
        }
        loop {
            let located = self.state.catalog().locate(self.lane, self.offset, end);
            let segment = match located {
                Located::Segment(segment) => segment,
                Located::Gap { gap, to } => return Ok(Next::Gap { gap, to }),
                Located::Nowhere { to, expired } => {
                    let cause = if expired { LostCause::Expired } else { LostCause::Damaged };
                    return Ok(Next::Lost(Lost { from: self.offset, to, cause }));
                }
            };
            let read = self.read(&segment, end);
            // A segment that was given up meanwhile holds something else by now: look again where the offset is.
            if self.state.catalog().holds(&segment) {
                return read.map_err(|error| ReadError::Io { file: segment.name.clone(), error });
            }
            self.place = None;
        }
    }

    /// The commit at the reader's offset in `segment`, or what is missing there.
    fn read(&mut self, segment: &Arc<Segment>, end: Offset) -> io::Result<Next> {
        let extent = segment.extent();
        let held = self.place.take();
        let here = |place: &Place| place.segment.epoch == segment.epoch && place.base <= self.offset;
        let mut place = match held.filter(here) {
            Some(place) => place,
            None => Place {
                segment: Arc::clone(segment),
                file: self.state.storage.open(&segment.name, false)?,
                at: BLOCK,
                number: 0,
                base: segment.place.base,
            },
        };
        let lost = |to: Offset| Lost { from: self.offset, to: to.min(end), cause: LostCause::Damaged };
        let file = Arc::clone(&place.file);
        let range = (place.at, extent.position);
        let mut scan = Scan::new(&*file, (self.lane, segment.epoch), range, (place.number, place.base));
        loop {
            match scan.next_commit()? {
                Found::Commit { at, damaged, commit } => {
                    if damaged > 0 {
                        self.set_aside(segment, (at - damaged, at))?;
                    }
                    let header = commit.header;
                    if header.base > self.offset {
                        self.place = Some(place);
                        return Ok(Next::Lost(lost(header.base)));
                    }
                    place.at = at + header.padded_len();
                    place.number = header.number.saturating_add(1);
                    place.base = header.end();
                    if header.end() > self.offset {
                        self.place = Some(place);
                        return Ok(Next::Commit(Arc::new(commit)));
                    }
                }
                Found::End { at } => {
                    self.set_aside(segment, (at, extent.position))?;
                    return Ok(Next::Lost(lost(extent.end)));
                }
            }
        }
    }

    /// Copies damage aside, unless the segment is not part of the log any more.
    fn set_aside(&self, segment: &Segment, range: (u64, u64)) -> io::Result<()> {
        if !self.state.catalog().holds(segment) {
            return Ok(());
        }
        let storage = &*self.state.storage;
        self.state.quarantine.keep(storage, (&segment.name, segment.epoch), range)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("lane", &self.lane)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The byte of the record `offset` in a commit that holds it.
fn start_of(commit: &Commit, offset: Offset) -> usize {
    let skipped = commit.header.base..offset;
    skipped.fold(COMMIT_HEADER_BYTES, |at, _| commit.behind(at))
}

impl Batch {
    /// What is missing before the first record.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.parts.iter().flat_map(Part::records)
    }

    /// Records that it has at most.
    #[must_use]
    pub fn room(&self) -> usize {
        let count = |part: &Part| match part {
            Part::Commit { count, .. } => *count,
            Part::Gap { from, to, .. } => to.saturating_sub(*from),
        };
        self.parts.iter().map(count).sum()
    }

    /// The offset behind the batch: what a consumer confirms that is done with all of it.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Whether there is nothing: no record and nothing lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lost.is_none() && self.parts.is_empty()
    }
}

impl Part {
    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let (commit, gap) = match self {
            Self::Commit { commit, at, offset, count } => {
                (Some(commit.records_from(*at, *offset).take(*count)), None)
            }
            Self::Gap { summaries, from, to } => {
                (None, Some((*from..*to).filter_map(|number| summaries.record(number))))
            }
        };
        commit.into_iter().flatten().chain(gap.into_iter().flatten())
    }
}
