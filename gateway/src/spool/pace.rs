//! Whether the disk is quick enough for a thread with other duties to wait for it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A commit that takes longer than this is slow. A busy machine adds a time slice of somebody else's to the disk's time.
const QUICK_MAX: Duration = Duration::from_millis(2);

/// So many quick commits in a row say that the disk is quick.
const QUICK_COMMITS: u32 = 16;

/// How the last commits went.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Quick commits since the last slow one, up to [`QUICK_COMMITS`].
    quick: AtomicU32,
}

impl Pace {
    /// A commit took so long. One writer at a time tells.
    pub(super) fn note(&self, took: Duration) {
        let quick = if took > QUICK_MAX { 0 } else { self.quick.load(Ordering::Relaxed) + 1 };
        self.quick.store(quick.min(QUICK_COMMITS), Ordering::Relaxed);
    }

    /// Whether the next commit is likely to be quick, too.
    pub(super) fn is_quick(&self) -> bool {
        self.quick.load(Ordering::Relaxed) >= QUICK_COMMITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_quick_after_many_quick_commits_and_slow_after_one_slow() {
        let pace = Pace::default();
        for _ in 1..QUICK_COMMITS {
            pace.note(QUICK_MAX);
            assert!(!pace.is_quick());
        }
        pace.note(QUICK_MAX);
        assert!(pace.is_quick());
        pace.note(QUICK_MAX + Duration::from_micros(1));
        assert!(!pace.is_quick());
    }
}
