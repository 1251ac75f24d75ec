//! What the feeder and those who follow share.

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::Thread,
};

use serde::{Deserialize, Serialize};

use super::broker::Link;

/// How the core is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The router gives heartbeats back. Without anybody who follows there is no router.
    pub alive: bool,
    /// Services that follow.
    pub followers: u64,
    /// Routers that were given up since the start.
    pub rebuilt: u64,
    /// Times that a service found a hole in what the router gave it and read the spool instead.
    pub reread: u64,
    /// Times that so much became durable at once that it was left to the spool.
    #[serde(default)]
    pub passed_over: u64,
}

#[derive(Default)]
pub(super) struct Hub {
    /// Links to the present router that nobody uses.
    links: Mutex<Vec<Link>>,
    /// Number of the present router.
    router: AtomicU64,
    feeder: OnceLock<Thread>,
    /// The feeder waits for a commit.
    waits: AtomicBool,
    stopping: AtomicBool,
    alive: AtomicBool,
    followers: AtomicUsize,
    rebuilt: AtomicU64,
    reread: AtomicU64,
    passed_over: AtomicU64,
}

impl Hub {
    pub(super) fn note_feeder(&self, thread: Thread) {
        // Set once, by the one that started it.
        let _first = self.feeder.set(thread).is_ok();
        self.wake();
    }

    /// Called after every commit: wakes the feeder only when it waits.
    pub(super) fn note_commit(&self) {
        if self.waits.load(Ordering::Relaxed) && self.waits.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// From here on a commit wakes the feeder, once.
    pub(super) fn await_commit(&self) {
        self.waits.store(true, Ordering::SeqCst);
    }

    fn wake(&self) {
        if let Some(feeder) = self.feeder.get() {
            feeder.unpark();
        }
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn enter(&self) {
        self.followers.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    pub(super) fn leave(&self) {
        self.followers.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Acquire) > 0
    }

    /// A router is there, with these links.
    pub(super) fn open(&self, links: Vec<Link>) {
        let mut held = self.links();
        *held = links;
        self.router.fetch_add(1, Ordering::AcqRel);
        self.alive.store(true, Ordering::Release);
    }

    /// The router is given up: so are its links.
    pub(super) fn close(&self) {
        let mut held = self.links();
        held.clear();
        self.alive.store(false, Ordering::Release);
    }

    /// Whether this is the number of the router that there is.
    pub(super) fn is_present(&self, router: u64) -> bool {
        self.alive.load(Ordering::Acquire) && self.router.load(Ordering::Acquire) == router
    }

    pub(super) fn note_rebuilt(&self) {
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_reread(&self) {
        self.reread.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_passed_over(&self) {
        self.passed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// A link that nobody uses, with the number of its router.
    pub(super) fn take_link(&self) -> Option<(Link, u64)> {
        let mut held = self.links();
        let router = self.router.load(Ordering::Acquire);
        held.pop().map(|link| (link, router))
    }

    /// Takes a link back, unless its router is gone.
    pub(super) fn put_link(&self, link: Link, router: u64) {
        let mut held = self.links();
        if self.is_present(router) {
            held.push(link);
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        Status {
            alive: self.alive.load(Ordering::Acquire),
            followers: u64::try_from(self.followers.load(Ordering::Acquire)).unwrap_or(u64::MAX),
            rebuilt: self.rebuilt.load(Ordering::Relaxed),
            reread: self.reread.load(Ordering::Relaxed),
            passed_over: self.passed_over.load(Ordering::Relaxed),
        }
    }
}
