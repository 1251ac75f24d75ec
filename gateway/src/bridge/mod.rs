//! The loop from the spool to one output: at least once, first in first out per device and lane.
//!
//! A bridge has its own thread, so that a slow output holds up nobody, and its own durable cursor. The cursor
//! moves only over what the output has confirmed; what was delivered after it and before a crash is delivered
//! again, with the same uid.
//!
//! **Invariant:** `event` goes first: a `telemetry` batch starts only when `event` has nothing.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::{
    clock::Clock,
    normalise::Routes,
    output::{Item, Output},
    spool::{Batch, Cursor, Lane, Offset, Reader, Spool},
};

mod backoff;
mod replay;

use backoff::Backoff;
pub use replay::{Replay, Replayed};

/// Bytes of records that one delivery takes.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Bytes of records between two confirmations.
const UNCONFIRMED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Time between two confirmations.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(1);
/// Replays that may wait for a bridge.
const REPLAYS_MAX: usize = 8;
/// How long a stopping bridge goes on delivering what is in the spool.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What a bridge has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records delivered, replays not counted.
    pub delivered: AtomicU64,
    /// Failed tries to deliver.
    pub failed: AtomicU64,
    /// Records lost to damage of the spool, as its readers report them.
    pub lost: AtomicU64,
    /// Why the last try failed; empty when deliveries go well.
    pub trouble: Mutex<String>,
}

/// A running bridge.
pub struct Bridge {
    name: String,
    counters: Arc<Counters>,
    replays: mpsc::Sender<(Replay, oneshot::Sender<Replayed>)>,
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
            unconfirmed_bytes: 0,
            confirmed_at_ms: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name(format!("bridge-{name}"))
            .spawn(move || runtime.block_on(carrier.run(replay_requests, stopping)))?;
        Ok(Self { name: name.to_owned(), counters, replays, stop, thread })
    }

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

    /// Where replays are asked for.
    #[must_use]
    pub fn replays(&self) -> mpsc::Sender<(Replay, oneshot::Sender<Replayed>)> {
        self.replays.clone()
    }

    /// Delivers what is in the spool, five seconds at most, confirms it and ends.
    ///
    /// # Errors
    /// The bridge's thread has panicked.
    pub fn drain(self) -> io::Result<()> {
        self.stop.send_replace(true);
        self.thread.join().map_err(|_| io::Error::other(format!("the bridge to {} panicked", self.name)))
    }
}

/// What lives on the bridge's thread.
struct Carrier {
    name: String,
    spool: Spool,
    cursor: Cursor,
    readers: [Reader; 2],
    output: Output,
    routes: Arc<ArcSwap<Routes>>,
    clock: Clock,
    counters: Arc<Counters>,
    unconfirmed_bytes: usize,
    confirmed_at_ms: u64,
}
