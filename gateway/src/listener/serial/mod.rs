//! Serial ports: one thread for all of them, since a line carries some kilobytes a second at most.
//!
//! ```text
//! pattern -> port -> open -> frames: session -> login, marks, pipeline -> one release for all
//!                         -> lines: pipeline, best effort
//! a commit -> each port's acknowledgements
//! ```

mod adoption;
mod catch_up;
mod config;
mod conversation;
mod counters;
mod lines;
mod open;
mod orders;
mod ports;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    task::{JoinSet, LocalSet},
};

pub use self::{
    adoption::{AdoptError, Adoptions, Announced},
    config::{Config, Mode, PortConfig},
    counters::{Counters, PortState},
    orders::{OrderError, Orders},
};
use self::{catch_up::Checkpoint, open::OpenPort, orders::Given, ports::Resting};
use super::worker::Shared;
use crate::session::serial::Marks;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long a stop waits for the disk.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The thread that has the serial ports.
pub struct Listener {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<io::Result<()>>,
}

/// All of the thread's state. It stays there.
struct Serial {
    shared: Arc<Shared>,
    config: Config,
    marks: RefCell<Marks>,
    checkpoint: Checkpoint,
    /// Open ports, by what they really are.
    open: RefCell<HashMap<PathBuf, Rc<OpenPort>>>,
    resting: RefCell<Resting>,
    is_stopping: Cell<bool>,
    /// Devices have come further since the checkpoint.
    has_news: Cell<bool>,
    /// Orders that are out, and the number of the next.
    given: RefCell<Vec<Given>>,
    next_order: Cell<u32>,
}

impl Listener {
    /// Catches up with what is in the spool and begins to look for the ports of `config`. `data` is where it remembers
    /// how far the devices have come.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(config: &Config, data: &Path, shared: &Arc<Shared>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (config, shared) = (config.clone(), Arc::clone(shared));
        let checkpoint = Checkpoint::at(data);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, async {
                let marks = checkpoint.catch_up(shared.pipeline.spool())?;
                let serial = Serial {
                    shared,
                    config,
                    marks: RefCell::new(marks),
                    checkpoint,
                    open: RefCell::default(),
                    resting: RefCell::default(),
                    is_stopping: Cell::new(false),
                    has_news: Cell::new(true),
                    given: RefCell::default(),
                    next_order: Cell::new(1),
                };
                Rc::new(serial).run(stopped).await
            })
        };
        let thread = thread::Builder::new().name("serial".to_owned()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Whether the thread is gone that should run.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes nothing more, acknowledges what is on disk within five seconds, and closes the ports.
    ///
    /// # Errors
    /// The thread failed.
    pub fn drain(self) -> io::Result<()> {
        let _told = self.stop.send(()).is_ok();
        self.thread.join().map_err(|_| io::Error::other("the serial thread panicked"))?
    }
}

impl Serial {
    async fn run(self: Rc<Self>, stopped: oneshot::Receiver<()>) -> io::Result<()> {
        let mut duties = JoinSet::new();
        duties.spawn_local(Rc::clone(&self).follow_commits());
        duties.spawn_local(Rc::clone(&self).follow_changes());
        duties.spawn_local(Rc::clone(&self).follow_deadlines());
        duties.spawn_local(Rc::clone(&self).follow_orders());
        for config in &self.config.ports {
            duties.spawn_local(Rc::clone(&self).follow_port(config.clone()));
        }
        tokio::select! {
            _ = stopped => {}
            // Without one of them nobody would be acknowledged: better to end, and be started again.
            _ = duties.join_next() => return Err(io::Error::other("a duty of the serial thread has ended")),
        }
        self.is_stopping.set(true);
        // The ports' own tasks go on until everything is acknowledged.
        let settled = async {
            while self.ports().iter().any(|port| port.is_owed()) {
                tokio::time::sleep(TICK / 10).await;
            }
        };
        if tokio::time::timeout(DRAIN_MAX, settled).await.is_err() {
            tracing::warn!("some readings of serial devices were not acknowledged; they will come again");
        }
        self.keep_marks();
        Ok(())
    }

    /// Acknowledges after each commit.
    async fn follow_commits(self: Rc<Self>) {
        let committed = Arc::new(Notify::new());
        let wake = Arc::clone(&committed);
        let spool = self.shared.pipeline.spool().clone();
        spool.watermark().on_commit(Box::new(move || wake.notify_one()));
        loop {
            let durable = spool.watermark().durable();
            for port in self.ports() {
                port.settle(&durable);
            }
            committed.notified().await;
        }
    }

    /// Ends the links of logins that are no more.
    async fn follow_changes(self: Rc<Self>) {
        let changed = Arc::new(Notify::new());
        let wake = Arc::clone(&changed);
        self.shared.registry.on_change(Box::new(move || wake.notify_one()));
        loop {
            changed.notified().await;
            for port in self.ports() {
                port.revoke(&self.shared.registry);
            }
        }
    }

    /// The thread's sign of life, too.
    async fn follow_deadlines(self: Rc<Self>) {
        let pulse = self.shared.health.watch("serial");
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            pulse.beat();
            let (now_ms, wall_ms) = (self.shared.clock.now_ms(), self.shared.clock.wall_ms());
            for port in self.ports() {
                port.tick(&self.shared, (now_ms, wall_ms));
            }
            if self.checkpoint.is_due(now_ms) {
                pulse.await_disk();
                self.keep_marks();
                pulse.beat();
            }
        }
    }

    /// Writes down how far the devices have come, if all of that is on disk.
    fn keep_marks(&self) {
        if !self.has_news.get() {
            return;
        }
        let durable = self.shared.pipeline.spool().watermark().durable();
        let mut marks = self.marks.borrow_mut();
        if !marks.settle(&durable) {
            return;
        }
        match self.checkpoint.keep(&marks, &durable, self.shared.clock.now_ms()) {
            Ok(()) => self.has_news.set(false),
            Err(error) => {
                tracing::warn!(%error, "cannot write down how far serial devices have come; a start takes longer");
            }
        }
    }

    fn ports(&self) -> Vec<Rc<OpenPort>> {
        self.open.borrow().values().cloned().collect()
    }
}
