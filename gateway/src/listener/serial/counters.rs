use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use super::Mode;
use crate::session::serial::Counts;

/// What the serial ports did since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames taken.
    pub frames: AtomicU64,
    /// What was no frame.
    pub noise: AtomicU64,
    /// Frames that were not sealed as they should be, or came again.
    pub unsealed: AtomicU64,
    /// Links that came about.
    pub links: AtomicU64,
    /// Refusals sent.
    pub refused: AtomicU64,
    /// Readings that were in the spool already.
    pub duplicates: AtomicU64,
    /// Lines taken, and lines that were none.
    pub lines: AtomicU64,
    /// Lines that were too long or no text, or for which there was no room.
    pub lines_dropped: AtomicU64,
    ports: Mutex<Vec<PortState>>,
}

/// How a port stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    /// Its path.
    pub path: String,
    /// What is spoken there.
    pub mode: Mode,
    /// The devices behind it that are linked.
    pub devices: Vec<String>,
    /// Why it cannot be used; empty when it can.
    pub trouble: String,
}

impl Counters {
    pub(super) fn add(&self, counts: Counts) {
        let Counts { frames, noise, unsealed, links, refused } = counts;
        for (counter, more) in [
            (&self.frames, frames),
            (&self.noise, noise),
            (&self.unsealed, unsealed),
            (&self.links, links),
            (&self.refused, refused),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// All ports that are open or in trouble.
    #[must_use]
    pub fn ports(&self) -> Vec<PortState> {
        self.held().clone()
    }

    pub(super) fn set_port(&self, state: PortState) {
        let mut ports = self.held();
        match ports.iter_mut().find(|held| held.path == state.path) {
            Some(held) => *held = state,
            None => ports.push(state),
        }
    }

    pub(super) fn remove_port(&self, path: &str) {
        self.held().retain(|held| held.path != path);
    }

    fn held(&self) -> MutexGuard<'_, Vec<PortState>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
