//! Tells sessions that logins changed: a number that moves, who changed lately, and wakes.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What changed since a change number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The change number this goes up to; ask from here next time.
    pub upto: u64,
    /// The users changed, or `None` when there were too many to remember: look at every session.
    pub users: Option<Vec<Arc<str>>>,
}

/// The log of changes, bounded.
pub(super) struct ChangeLog {
    number: AtomicU64,
    recent: Mutex<VecDeque<Arc<str>>>,
    recent_max: usize,
    wakes: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>,
}

impl ChangeLog {
    pub(super) fn new(recent_max: usize) -> Self {
        let (recent, wakes) = (Mutex::default(), Mutex::default());
        Self { number: AtomicU64::new(0), recent, recent_max, wakes }
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Each user changed moves the number by one, so that the last `recent_max` numbers name the users
    /// remembered.
    pub(super) fn record(&self, users: impl Iterator<Item = Arc<str>>) {
        let mut count = 0;
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            for user in users {
                if recent.len() >= self.recent_max {
                    recent.pop_front();
                }
                recent.push_back(user);
                count += 1;
            }
            recent.truncate(self.recent_max);
            self.number.fetch_add(count, Ordering::Release);
        }
        if count > 0 {
            // Called outside the lock, so that a wake may ask what changed.
            let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            wakes.iter().for_each(|wake| wake());
        }
    }

    pub(super) fn since(&self, seen: u64) -> Changes {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let upto = self.number();
        let missed = usize::try_from(upto.saturating_sub(seen)).unwrap_or(usize::MAX);
        let known = recent.len().checked_sub(missed);
        let users = known.map(|skipped| recent.iter().skip(skipped).cloned().collect());
        Changes { upto, users }
    }

    pub(super) fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner).push(wake.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &[&str]) -> impl Iterator<Item = Arc<str>> {
        names.iter().map(|&name| name.into()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn who_asks_learns_who_changed_or_that_there_were_too_many() {
        let log = ChangeLog::new(3);
        assert_eq!(log.since(0), Changes { upto: 0, users: Some(Vec::new()) });
        log.record(users(&["a", "b"]));
        assert_eq!(log.since(0), Changes { upto: 2, users: Some(users(&["a", "b"]).collect()) });
        assert_eq!(log.since(1), Changes { upto: 2, users: Some(users(&["b"]).collect()) });
        log.record(users(&["c", "d"]));
        assert_eq!(log.since(1), Changes { upto: 4, users: Some(users(&["b", "c", "d"]).collect()) });
        assert_eq!(log.since(0), Changes { upto: 4, users: None });
        assert_eq!(log.since(99), Changes { upto: 4, users: Some(Vec::new()) });
    }

    #[test]
    fn every_wake_is_called_once_a_change_and_may_ask() {
        let log = Arc::new(ChangeLog::new(3));
        let woken = Arc::new(AtomicU64::new(0));
        for _ in 0..2 {
            let (weak, woken) = (Arc::downgrade(&log), woken.clone());
            log.on_change(Box::new(move || {
                let upto = weak.upgrade().unwrap().since(0).upto;
                woken.fetch_add(upto, Ordering::SeqCst);
            }));
        }
        log.record(users(&[]));
        assert_eq!(woken.load(Ordering::SeqCst), 0);
        log.record(users(&["a"]));
        assert_eq!(woken.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn remembering_none_still_counts() {
        let log = ChangeLog::new(0);
        log.record(users(&["a"]));
        assert_eq!(log.since(0), Changes { upto: 1, users: None });
    }
}
