//! What is on disk at the start, made trustworthy.

use super::{Lost, Offset, PerLane};

/// What was found when the spool was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The next offset of each lane.
    pub ends: PerLane<Offset>,
    /// The first record of each lane that is there.
    pub oldest: PerLane<Offset>,
    /// Bytes of an unfinished last commit that were cut off; nobody was told they were safe.
    pub cut_bytes: u64,
    /// Damage, each in a sentence.
    pub damage: Vec<String>,
    /// Records that damage has taken, by lane.
    pub lost: PerLane<Vec<Lost>>,
}
