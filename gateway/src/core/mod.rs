//! The live bus for services inside the gateway: rumqttd's router, fed from what is durable.
//!
//! ```text
//! spool -> feeder (a thread) -> router (a thread) -> link -> Follower, on the service's own thread
//!      \________________________________________________________^   whenever something is missing
//! ```
//!
//! A [`Follower`] gives a service the durable records of both lanes in order, from wherever it wants to begin. It takes
//! them from the router while all goes well, and from the spool whenever it is behind, a message is missing, or there
//! is no router: what the router loses costs time and no record. Nothing that a device is promised depends on it.
//!
//! **Invariant:** the core holds nothing back: neither an acknowledgement nor the deletion of a record waits for it.

mod broker;
mod feeder;
mod follower;
mod hub;
mod message;

use std::{sync::Arc, thread};

use schemars::JsonSchema;
use serde::Deserialize;

use self::{feeder::Feeder, hub::Hub};
pub use self::{follower::Follower, hub::Status};
use crate::spool::{Offset, PerLane, Spool};

/// Topic of a record that has the router's thread panic, so that tests can see it built again.
#[cfg(any(test, feature = "fault-injection"))]
const KILL_TOPIC: &str = "test/kill-core";

/// Bytes of the smallest segment that the router takes.
pub const SEGMENT_BYTES_MIN: usize = 1024;
/// Bytes of the largest segment.
pub const SEGMENT_BYTES_MAX: usize = 64 << 20;
/// Segments of the longest log.
pub const SEGMENTS_MAX: usize = 1024;
/// Topics that an owner may allow.
pub const TOPICS_MAX: usize = 1_000_000;

/// `[core]`: memory of the live bus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `segment_bytes_max`: bytes of payload in a segment of the router's log.
    #[schemars(range(min = SEGMENT_BYTES_MIN, max = SEGMENT_BYTES_MAX))]
    pub segment_bytes_max: usize,
    /// `segments_max`: segments of the log. A service that falls behind them reads on in the spool.
    #[schemars(range(min = 1, max = SEGMENTS_MAX))]
    pub segments_max: usize,
    /// `topics_max`: devices with a topic of their own, by lane; the router never forgets one. More share one.
    #[schemars(range(min = 1, max = TOPICS_MAX))]
    pub topics_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { segment_bytes_max: 128 << 10, segments_max: 4, topics_max: 4096 }
    }
}

/// The running core.
pub struct Core {
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

/// The way to the core for services. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    spool: Spool,
}

impl Core {
    /// Starts the feeder, which starts a router as soon as somebody follows. When it cannot, those who follow read the
    /// spool.
    #[must_use]
    pub fn start(spool: Spool, config: Config) -> Self {
        let hub = Arc::new(Hub::default());
        let feeder = Feeder::new(Arc::clone(&hub), spool.clone(), config);
        let thread = thread::Builder::new().name("core".to_owned()).spawn(move || feeder.run());
        let thread = match thread {
            Ok(thread) => {
                hub.note_feeder(thread.thread().clone());
                let woken = Arc::clone(&hub);
                spool.watermark().on_commit(Box::new(move || woken.note_commit()));
                Some(thread)
            }
            Err(error) => {
                tracing::warn!(%error, "the core cannot start; services read the spool");
                None
            }
        };
        Self { handle: Handle { hub, spool }, thread }
    }

    /// For services.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops the feeder. The router's thread stays, without anything to do, until the process ends: rumqttd has no way
    /// to end it.
    pub fn stop(self) {
        self.handle.hub.stop();
        if let Some(thread) = self.thread {
            // A panic of the thread has been reported on its own.
            drop(thread.join());
        }
    }
}

impl Handle {
    /// The durable records from `from` on.
    #[must_use]
    pub fn follow(&self, from: PerLane<Offset>) -> Follower {
        Follower::new(Arc::clone(&self.hub), self.spool.clone(), from)
    }

    /// The spool that the core is fed from.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// How the core is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.hub.status()
    }
}

#[cfg(test)]
pub(crate) mod tests;
