//! Gives out what is durable, in order.

use super::{Lane, Offset, ReadError, Record};

/// Reads one lane in order. Blocking: file reads.
#[derive(Debug)]
pub struct Reader {
    pub(super) lane: Lane,
    pub(super) offset: Offset,
}

/// Durable records in order. Cheap to move to another thread.
#[derive(Debug, Default)]
pub struct Batch {
    lost: Option<Lost>,
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

impl Reader {
    /// The offset that the next batch begins with.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// The next durable records, at most about `bytes_max` bytes of them but at least one; none when caught up.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next_batch(&mut self, bytes_max: usize) -> Result<Batch, ReadError> {
        let _ = (bytes_max, self.lane);
        Ok(Batch::default())
    }
}

impl Batch {
    /// What is missing before the first record.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        std::iter::empty()
    }

    /// Whether there is nothing: no record and nothing lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lost.is_none()
    }
}
