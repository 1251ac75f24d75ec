//! What `tidegate status` says of the spool.

use tidegate_protocol::Lane;

use super::{Failure, Offset, PerLane};

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
