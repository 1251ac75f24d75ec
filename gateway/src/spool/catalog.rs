//! Which segments, ready segments and gap summaries there are.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tidegate_protocol::Lane;

use super::{
    Offset, PerLane,
    gap::Gap,
    segment::{Epoch, Extent, LogPlace},
};

/// A segment in use.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    /// Bytes of the file.
    pub(super) bytes: u64,
    pub(super) epoch: Epoch,
    pub(super) place: LogPlace,
    /// How far it is filled with what is durable.
    extent: Mutex<Extent>,
}

impl Segment {
    pub(super) fn new(name: String, bytes: u64, epoch: Epoch, place: LogPlace, extent: Extent) -> Self {
        Self { name, bytes, epoch, place, extent: Mutex::new(extent) }
    }

    pub(super) fn extent(&self) -> Extent {
        *self.extent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_extent(&self, extent: Extent) {
        *self.extent.lock().unwrap_or_else(PoisonError::into_inner) = extent;
    }
}

/// A segment made ready: a file full of zeros, or of what an earlier use has left, with a header that says so.
#[derive(Clone, Debug)]
pub(super) struct Blank {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) epoch: Epoch,
}

/// Which segments, ready segments and gap summaries there are.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// In order; the last one is written.
    pub(super) segments: PerLane<VecDeque<Arc<Segment>>>,
    pub(super) blanks: VecDeque<Blank>,
    /// In order.
    pub(super) gaps: PerLane<Vec<Arc<Gap>>>,
    /// The next number for a file's name.
    pub(super) file_number: u64,
    /// The next running number of an epoch.
    pub(super) epoch_count: u64,
}

/// Where an offset is.
#[derive(Debug)]
pub(super) enum Located {
    Segment(Arc<Segment>),
    /// In no segment; the records from the one asked for up to `to` are summarised.
    Gap {
        gap: Arc<Gap>,
        to: Offset,
    },
    /// Nowhere, up to `to`; `expired`: in front of the oldest segment.
    Nowhere {
        to: Offset,
        expired: bool,
    },
}

impl Catalog {
    /// Where `offset` is. `end` is the lane's durable end and greater.
    pub(super) fn locate(&self, lane: Lane, offset: Offset, end: Offset) -> Located {
        let segments = self.segments.of(lane);
        let behind = segments.partition_point(|segment| segment.place.base <= offset);
        if let Some(segment) = behind.checked_sub(1).and_then(|at| segments.get(at))
            && offset < segment.extent().end
        {
            return Located::Segment(Arc::clone(segment));
        }
        let hole_end = segments.get(behind).map_or(end, |next| next.place.base.min(end));
        for gap in self.gaps.of(lane) {
            if gap.from <= offset && offset < gap.to {
                return Located::Gap { gap: Arc::clone(gap), to: gap.to.min(hole_end) };
            }
        }
        let next_gap = self.gaps.of(lane).iter().map(|gap| gap.from).find(|from| *from > offset);
        Located::Nowhere { to: next_gap.unwrap_or(hole_end).min(hole_end), expired: behind == 0 }
    }

    /// Whether this use of the segment is still part of the log.
    pub(super) fn holds(&self, segment: &Segment) -> bool {
        self.segments.of(segment.place.lane).iter().any(|held| held.epoch == segment.epoch)
    }

    /// The first record of `lane` that is there, or the lane's `end`.
    pub(super) fn oldest(&self, lane: Lane, end: Offset) -> Offset {
        self.segments.of(lane).front().map_or(end, |segment| segment.place.base)
    }

    /// Bytes on disk, segments and gap summaries together.
    pub(super) fn bytes(&self) -> u64 {
        let used: u64 = self.segments.iter().flat_map(|(_, list)| list).map(|segment| segment.bytes).sum();
        let ready: u64 = self.blanks.iter().map(|blank| blank.bytes).sum();
        let gaps: u64 = self.gaps.iter().flat_map(|(_, list)| list).map(|gap| gap.file_bytes()).sum();
        used + ready + gaps
    }

    /// Reject records stored, and bytes of them.
    pub(super) fn rejects(&self) -> (u64, u64) {
        let extents = self.segments.iter().flat_map(|(_, list)| list).map(|segment| segment.extent());
        extents.fold((0, 0), |(count, bytes), extent| (count + extent.rejects, bytes + extent.rejects_bytes))
    }

    pub(super) fn next_file_name(&mut self) -> String {
        let number = self.file_number;
        self.file_number += 1;
        format!("{number:010}.segment")
    }

    pub(super) fn next_epoch(&mut self, random: u32) -> Epoch {
        let count = self.epoch_count;
        self.epoch_count += 1;
        count << 32 | u64::from(random)
    }
}
