//! What `tidegate status` says of the spool.

use std::{io, sync::Arc, sync::atomic::Ordering};

use tidegate_protocol::Lane;

use super::{
    Failure, Offset, PerLane, ReadError,
    catalog::{Located, Segment},
    commit::Commit,
    meter::Writes,
    scan::{Found, Scan},
    segment::BLOCK,
    state::State,
};

/// The spool at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Each lane.
    pub lanes: PerLane<LaneStatus>,
    /// Each consumer that holds retention, by name.
    pub cursors: Vec<CursorStatus>,
    /// Bytes on disk: segments, those made ready, quarantine and the rest.
    pub disk_bytes: u64,
    /// Bytes on disk that the spool may take.
    pub disk_bytes_max: u64,
    /// Reject records stored.
    pub rejects: u64,
    /// Bytes of reject records stored.
    pub rejects_bytes: u64,
    /// Records dropped by the owner's choice since the spool was opened.
    pub dropped: u64,
    /// Records that damage has taken, as far as found since the spool was opened.
    pub lost: u64,
    /// Pieces of damage copied aside.
    pub quarantined: u64,
    /// Bytes of them.
    pub quarantined_bytes: u64,
    /// Whether new records are refused for want of room.
    pub full: bool,
    /// What was written to the disk since the spool was opened.
    pub writes: Writes,
    /// The error that ended this spool, if one did.
    pub failure: Option<Failure>,
}

/// One lane at one moment.
#[derive(Clone, Debug)]
pub struct LaneStatus {
    /// Which.
    pub lane: Lane,
    /// The first record that is still there.
    pub oldest: Offset,
    /// The next record's offset, durable or not.
    pub end: Offset,
    /// Everything below is on disk.
    pub durable_end: Offset,
    /// Segments.
    pub segments: usize,
    /// Bytes of commits in them.
    pub bytes: u64,
    /// The oldest record's arrival, Unix milliseconds.
    pub oldest_ts_gw: Option<u64>,
}

/// One consumer at one moment.
#[derive(Clone, Debug)]
pub struct CursorStatus {
    /// Its name.
    pub consumer: String,
    /// How far it is in each lane.
    pub lanes: PerLane<CursorLane>,
}

/// One consumer in one lane.
#[derive(Clone, Copy, Debug)]
pub struct CursorLane {
    /// The first record it has not confirmed.
    pub offset: Offset,
    /// Durable records it has not confirmed.
    pub lag: u64,
    /// Arrival of the oldest of them, Unix milliseconds.
    pub oldest_unsent_ts_gw: Option<u64>,
}

impl State {
    /// The spool at this moment.
    pub(super) fn status(&self) -> Result<Status, ReadError> {
        let (rejects_bytes, full) = {
            let pending = self.pending();
            (pending.rejects_bytes, pending.is_full())
        };
        let mut cursors = Vec::new();
        for (consumer, offsets) in self.cursors.all() {
            let mut lanes = PerLane::new(|lane| self.cursor_lane(lane, *offsets.of(lane)));
            for lane in Lane::ALL {
                let at = lanes.of_mut(lane);
                at.oldest_unsent_ts_gw = if at.lag == 0 { None } else { self.ts_gw_at(lane, at.offset)? };
            }
            cursors.push(CursorStatus { consumer, lanes });
        }
        let mut lanes = PerLane::new(|lane| self.lane_status(lane));
        for lane in Lane::ALL {
            let at = lanes.of_mut(lane);
            at.oldest_ts_gw = if at.oldest < at.durable_end { self.ts_gw_at(lane, at.oldest)? } else { None };
        }
        let (quarantined, quarantined_bytes) = self.quarantine.size();
        let cursors_bytes = self.cursors.bytes();
        let catalog = self.catalog();
        Ok(Status {
            lanes,
            cursors,
            disk_bytes: catalog.bytes() + quarantined_bytes + cursors_bytes,
            disk_bytes_max: self.limits.spool_bytes_max,
            rejects: catalog.rejects().0,
            rejects_bytes,
            dropped: self.dropped.load(Ordering::Relaxed),
            lost: self.lost.count(),
            quarantined,
            quarantined_bytes,
            full,
            writes: self.meter.writes(),
            failure: self.watermark.failure().cloned(),
        })
    }

    fn lane_status(&self, lane: Lane) -> LaneStatus {
        let end = self.pending().next(lane);
        let durable_end = self.watermark.durable().end(lane);
        let catalog = self.catalog();
        let segments = catalog.segments.of(lane);
        LaneStatus {
            lane,
            oldest: catalog.oldest(lane, durable_end),
            end,
            durable_end,
            segments: segments.len(),
            bytes: segments.iter().map(|segment| segment.extent().position - BLOCK).sum(),
            oldest_ts_gw: None,
        }
    }

    fn cursor_lane(&self, lane: Lane, offset: Offset) -> CursorLane {
        let lag = self.watermark.durable().end(lane).saturating_sub(offset);
        CursorLane { offset, lag, oldest_unsent_ts_gw: None }
    }

    /// Arrival of the first record at `offset` or behind it that is there.
    fn ts_gw_at(&self, lane: Lane, offset: Offset) -> Result<Option<u64>, ReadError> {
        let end = self.watermark.durable().end(lane);
        if let Some(commit) = self.recent.of(lane).find(offset) {
            return Ok(ts_in(&commit, offset));
        }
        let mut at = offset;
        while at < end {
            let located = self.catalog().locate(lane, at, end);
            match located {
                Located::Segment(segment) => {
                    let found = self.search(&segment, |commit| {
                        if commit.header.end() > offset { ts_in(commit, offset) } else { None }
                    })?;
                    if found.is_some() {
                        return Ok(found);
                    }
                    at = segment.extent().end.max(at + 1);
                }
                Located::Gap { to, .. } | Located::Nowhere { to, .. } => at = to,
            }
        }
        Ok(None)
    }

    /// The first record that arrived at `wall_ms` or later, or the lane's durable end.
    pub(super) fn offset_at(&self, lane: Lane, wall_ms: u64) -> Result<Offset, ReadError> {
        let end = self.watermark.durable().end(lane);
        let segments: Vec<_> = self.catalog().segments.of(lane).iter().map(Arc::clone).collect();
        for segment in segments.iter().filter(|segment| segment.extent().ts_max >= wall_ms) {
            let found = self.search(segment, |commit| {
                let late = |record: &super::Record<'_>| record.envelope.ts_gw >= wall_ms;
                if commit.header.ts_max < wall_ms {
                    return None;
                }
                commit.records().find(late).map(|record| record.position.offset)
            })?;
            if let Some(offset) = found {
                return Ok(offset.min(end));
            }
        }
        Ok(end)
    }

    /// The first answer that `ask` has to a commit of the segment; none from a segment that was given up meanwhile.
    fn search<T>(
        &self,
        segment: &Segment,
        ask: impl Fn(&Commit) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let found = self.search_file(segment, ask);
        if self.catalog().holds(segment) {
            return found.map_err(|error| ReadError::Io { file: segment.name.clone(), error });
        }
        Ok(None)
    }

    fn search_file<T>(&self, segment: &Segment, ask: impl Fn(&Commit) -> Option<T>) -> io::Result<Option<T>> {
        let extent = segment.extent();
        let file = self.storage.open(&segment.name, false)?;
        let log = (segment.place.lane, segment.epoch);
        let mut scan = Scan::new(&*file, log, (BLOCK, extent.position), (0, segment.place.base));
        while let Found::Commit { commit, .. } = scan.next_commit()? {
            if let Some(answer) = ask(&commit) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

/// Arrival of the commit's first record at `offset` or behind it.
fn ts_in(commit: &Commit, offset: Offset) -> Option<u64> {
    commit.records().find(|record| record.position.offset >= offset).map(|record| record.envelope.ts_gw)
}
