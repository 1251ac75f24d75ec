//! The loop from the spool to one output: at least once, first in first out per device and lane.
//!
//! A bridge has its own thread, so that a slow output holds up nobody, and its own durable cursor. The cursor
//! moves only over what the output has confirmed; what was delivered after it and before a crash is delivered
//! again, with the same uid.
//!
//! **Invariant:** `event` goes first: a `telemetry` batch starts only when `event` has nothing.

use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicU64},
    thread,
};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock::Clock,
    health::{Pulse, SILENCE_MS_MAX},
    normalise::Routes,
    output::Output,
    spool::{Cursor, Lane, Spool},
};

mod backoff;
mod carrier;
mod replay;

use backoff::Backoff;
pub use carrier::UNCONFIRMED_MS_MAX;
use carrier::{Carrier, Unconfirmed};
pub use replay::{Replay, Replayed};

/// Replays that may wait for a bridge.
const REPLAYS_MAX: usize = 8;

/// What a bridge has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records delivered, replays not counted.
    pub delivered: AtomicU64,
    /// Failed tries to deliver.
    pub failed: AtomicU64,
    /// Records lost to damage of the spool, as its readers report them.
    pub lost: AtomicU64,
    /// Messages that the destination has refused for good.
    pub dead_letters: AtomicU64,
    /// Why the last try failed; empty when deliveries go well.
    pub trouble: Mutex<String>,
}

/// What others may know of a running bridge and ask of it.
#[derive(Clone)]
pub struct Handle {
    name: Arc<str>,
    counters: Arc<Counters>,
    pulse: Arc<Pulse>,
    replays: mpsc::Sender<(Replay, oneshot::Sender<Replayed>)>,
}

/// A running bridge.
pub struct Bridge {
    handle: Handle,
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

impl Bridge {
    /// Starts the thread that carries `spool`'s records to `output`, from its cursor on.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        name: &str,
        output: Output,
        spool: Spool,
        cursor: Cursor,
        routes: Arc<ArcSwap<Routes>>,
        clock: Clock,
    ) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let pulse = Arc::new(Pulse::new(format!("bridge-{name}"), clock.clone(), SILENCE_MS_MAX));
        let (replays, replay_requests) = mpsc::channel(REPLAYS_MAX);
        let (stop, stopping) = watch::channel(false);
        let carrier = Carrier {
            name: name.to_owned(),
            readers: Lane::ALL.map(|lane| spool.reader(lane, cursor.get(lane))),
            spool,
            cursor,
            output,
            routes,
            clock,
            counters: Arc::clone(&counters),
            pulse: Arc::clone(&pulse),
            backoff: Backoff::default(),
            unconfirmed: Unconfirmed::default(),
            partly: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name(format!("bridge-{name}"))
            .spawn(move || runtime.block_on(carrier.run(replay_requests, stopping)))?;
        Ok(Self { handle: Handle { name: name.into(), counters, pulse, replays }, stop, thread })
    }

    /// For those who watch it or ask for replays.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether its thread is gone although it should run.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks the bridge to stop, without waiting: several drain side by side.
    pub fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Delivers what is in the spool, five seconds at most, confirms it and ends.
    ///
    /// # Errors
    /// The bridge's thread has panicked.
    pub fn drain(self) -> io::Result<()> {
        self.ask_to_stop();
        self.thread
            .join()
            .map_err(|_| io::Error::other(format!("the bridge to {} panicked", self.handle.name)))
    }
}

impl Handle {
    /// The output's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Its sign of life.
    #[must_use]
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Has a past span delivered again, and waits until it is.
    ///
    /// # Errors
    /// Why it ended early.
    pub async fn replay(&self, replay: Replay) -> Replayed {
        let (done, outcome) = oneshot::channel();
        let stopped = || "the gateway is stopping".to_owned();
        self.replays.send((replay, done)).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}
