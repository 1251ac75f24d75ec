//! The last commits in memory, so that whoever reads along does not touch the disk.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Offset, commit::Commit};

/// The last commits of one lane, at most `bytes_max` bytes of them.
#[derive(Debug)]
pub(super) struct Recent {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
}

impl Recent {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// Adds the lane's next durable commit and lets the oldest go.
    pub(super) fn push(&self, commit: Arc<Commit>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += commit.bytes().len();
        held.commits.push_back(commit);
        while held.bytes > self.bytes_max
            && let Some(oldest) = held.commits.pop_front()
        {
            held.bytes -= oldest.bytes().len();
        }
    }

    /// The commit that holds `offset`, if it is one of the last.
    pub(super) fn find(&self, offset: Offset) -> Option<Arc<Commit>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let at = held.commits.partition_point(|commit| commit.header.end() <= offset);
        held.commits.get(at).filter(|commit| commit.header.base <= offset).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::Lane;

    use super::*;
    use crate::spool::commit::CommitHeader;

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes() {
        let recent = Recent::new(1_000);
        for number in 0..10_u32 {
            let header = CommitHeader {
                lane: Lane::Event,
                epoch: 1,
                number,
                base: u64::from(number) * 3,
                records: 3,
                records_bytes: 236,
                rejects: 0,
                rejects_bytes: 0,
                ts_min: 0,
                ts_max: 0,
            };
            recent.push(Arc::new(Commit::sealed(header, vec![0; 300])));
        }
        let base = |offset| recent.find(offset).map(|commit| commit.header.base);
        assert_eq!(
            [base(20), base(21), base(23), base(29), base(30)],
            [None, Some(21), Some(21), Some(27), None]
        );
    }
}
