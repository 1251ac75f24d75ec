use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    io,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::{JoinSet, LocalSet},
};

use super::{
    Config,
    coap::{self, Coap},
    connection::Connection,
    counters::Counters,
    directory::{Directory, Place},
    downlink, mqtt, serial,
};
use crate::{
    auth::{Registry, Throttle, ThrottleLimits},
    clock::Clock,
    health::{Health, Pulse},
    pipeline::Pipeline,
    session::mqtt::{SubscriberId, SubscriptionIndex},
    spool::{Durable, Lane, Offset, Reader},
};

/// Bytes that one read takes from a socket at most; one such buffer a worker.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How often a worker looks at its connections' deadlines.
const TICK: Duration = Duration::from_millis(250);
/// Looks at the sockets for more, before what was appended is written.
const LOOKS_MAX: usize = 32;
/// Looks in a row that bring nothing, after which nobody waits for more.
const IDLE_LOOKS_MAX: usize = 2;
/// How long a stopping worker waits for its sessions' receipts.
const DRAIN_MS_MAX: u64 = 5_000;

/// What all workers share.
pub struct Shared {
    /// Listener settings.
    pub config: Config,
    /// The way into the spool.
    pub pipeline: Pipeline,
    /// Who may log in.
    pub registry: Registry,
    /// Live client ids.
    pub directory: Directory,
    /// Slows down who guesses passwords.
    pub throttle: Mutex<Throttle>,
    /// The process's clock.
    pub clock: Clock,
    /// Open connections, of all workers.
    pub connections: AtomicUsize,
    /// What the listeners had to do about their clients.
    pub counters: Counters,
    /// Where CoAP is listened for, if it is.
    pub coap: Option<coap::Config>,
    /// What the CoAP sockets did.
    pub coap_counters: coap::Counters,
    /// What the serial ports did.
    pub serial: serial::Counters,
    /// Boards that ask for a name.
    pub adoptions: serial::Adoptions,
    /// What boards are to do.
    pub orders: serial::Orders,
    /// Which threads are alive.
    pub health: Arc<Health>,
    /// One a worker: rights have changed, and sessions whose login is no more are to be closed.
    pub(super) changed: Vec<Arc<Notify>>,
}

impl Shared {
    /// Nothing connected, to be shared by so many `workers`.
    #[must_use]
    pub fn new(config: Config, pipeline: Pipeline, registry: Registry, clock: Clock, workers: usize) -> Self {
        Self {
            config,
            pipeline,
            registry,
            directory: Directory::default(),
            throttle: Mutex::new(Throttle::new(ThrottleLimits::default())),
            health: Arc::new(Health::new(clock.clone())),
            clock,
            connections: AtomicUsize::new(0),
            counters: Counters::default(),
            coap: None,
            coap_counters: coap::Counters::default(),
            serial: serial::Counters::default(),
            adoptions: serial::Adoptions::default(),
            orders: serial::Orders::default(),
            changed: (0..workers).map(|_| Arc::default()).collect(),
        }
    }
}

impl Shared {
    /// Workers among which the limits of the whole gateway are shared out.
    pub(crate) fn worker_count(&self) -> usize {
        self.changed.len()
    }
}

/// What other threads ask of a worker.
pub(crate) enum Request {
    /// Another connection has claimed the client id: end this one, and say when its receipts are settled.
    TakeOver { connection: u64, settled: oneshot::Sender<()> },
    /// Stop: no new connections, settle, say goodbye.
    Drain,
}

/// Connections that wait for an offset of a lane, in the order of the offsets.
type Waiting = VecDeque<(Offset, Rc<Connection>)>;

/// One thread's connections. Nothing in it is shared with another thread but [`Shared`].
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) peers: Vec<mpsc::Sender<Request>>,
    pub(crate) connections: RefCell<HashMap<u64, Rc<Connection>>>,
    pub(crate) subscriptions: RefCell<SubscriptionIndex>,
    /// Where the subscribers of this worker read on; none while there are no subscriptions.
    pub(crate) readers: RefCell<Option<[Reader; 2]>>,
    /// Connections whose session holds a publish back until there is room.
    pub(crate) held: RefCell<Vec<Rc<Connection>>>,
    pub(crate) read_buffer: RefCell<Vec<u8>>,
    pub(crate) write_buffer: RefCell<Vec<u8>>,
    /// Who waits for which offset, by lane, in order: one entry a connection and read, not one a publish.
    unsettled: [RefCell<Waiting>; 2],
    next_connection: Cell<u64>,
    coap: RefCell<Option<Rc<Coap>>>,
    /// Something was appended, and no turn is under way.
    appended: Notify,
    is_turning: Cell<bool>,
    /// Something that somebody waits for was appended since the worker last looked at its sockets.
    has_appended: Cell<bool>,
    /// Connections that have not logged in.
    unauthenticated: Cell<usize>,
}

impl Worker {
    pub(super) fn run(
        index: usize,
        shared: Arc<Shared>,
        peers: Vec<mpsc::Sender<Request>>,
        (socket, coap_socket): (std::net::TcpListener, Option<std::net::UdpSocket>),
        inbox: mpsc::Receiver<Request>,
    ) -> io::Result<()> {
        let worker = Rc::new(Self {
            index,
            shared,
            peers,
            connections: RefCell::default(),
            subscriptions: RefCell::default(),
            readers: RefCell::default(),
            held: RefCell::default(),
            read_buffer: RefCell::new(vec![0; READ_BYTES_MAX]),
            write_buffer: RefCell::default(),
            unsettled: Default::default(),
            next_connection: Cell::new(1),
            coap: RefCell::default(),
            appended: Notify::new(),
            is_turning: Cell::new(false),
            has_appended: Cell::new(false),
            unauthenticated: Cell::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let listener = tokio::net::TcpListener::from_std(socket)?;
            let accepting = tokio::task::spawn_local(mqtt::accept_all(Rc::clone(&worker), listener));
            let mut duties = JoinSet::new();
            if let Some(coap) = Coap::start(coap_socket, &worker.shared)? {
                duties.spawn_local(Rc::clone(&coap).serve(Rc::clone(&worker)));
                *worker.coap.borrow_mut() = Some(coap);
            }
            duties.spawn_local(Rc::clone(&worker).follow_commits());
            let pulse = worker.shared.health.watch(format!("worker-{index}"));
            duties.spawn_local(Rc::clone(&worker).follow_turns(Arc::clone(&pulse)));
            duties.spawn_local(Rc::clone(&worker).follow_deadlines(pulse));
            duties.spawn_local(Rc::clone(&worker).follow_changes());
            tokio::select! {
                () = Rc::clone(&worker).follow_inbox(inbox) => {}
                // Without one of them nobody would be acknowledged: better to end, and be started again.
                _ = duties.join_next() => return Err(io::Error::other("a duty of the worker has ended")),
            }
            accepting.abort();
            worker.drain().await;
            Ok(())
        })
    }

    /// Settles receipts after each commit. One wake a commit reaches this task, whatever the number of sessions.
    async fn follow_commits(self: Rc<Self>) {
        let committed = Arc::new(Notify::new());
        let wake = Arc::clone(&committed);
        let spool = self.shared.pipeline.spool().clone();
        spool.watermark().on_commit(Box::new(move || wake.notify_one()));
        loop {
            committed.notified().await;
            self.settle(&spool.watermark().durable());
            while downlink::deliver(&self) {
                tokio::task::yield_now().await;
                // Acknowledgements do not wait for subscribers.
                self.settle(&spool.watermark().durable());
            }
        }
    }

    /// Has what a turn of the worker has appended written: this task stands in line behind all connections that were
    /// ready with the first one that appended, so that their publishes share a commit.
    async fn follow_turns(self: Rc<Self>, pulse: Arc<Pulse>) {
        loop {
            self.appended.notified().await;
            self.gather().await;
            self.is_turning.set(false);
            pulse.await_disk();
            self.shared.pipeline.spool().write_out();
            pulse.beat();
        }
    }

    /// Lets more publishes come in while they do: whoever has just been acknowledged is about to send the next one. With
    /// nothing more to read this takes two looks at the sockets, a few microseconds.
    async fn gather(&self) {
        let mut idle_looks = 0;
        for _ in 0..LOOKS_MAX {
            self.has_appended.set(false);
            // Behind this the runtime looks at its sockets without waiting, and whoever is ready has a turn.
            tokio::task::yield_now().await;
            idle_looks = if self.has_appended.get() { 0 } else { idle_looks + 1 };
            if idle_looks == IDLE_LOOKS_MAX {
                return;
            }
        }
    }

    fn settle(&self, durable: &Durable) {
        let mut buffer = self.write_buffer.borrow_mut();
        for lane in Lane::ALL {
            let end = durable.end(lane);
            loop {
                let mut waiting = self.unsettled(lane).borrow_mut();
                let Some((offset, _)) = waiting.front() else { break };
                if *offset >= end {
                    break;
                }
                let Some((_, connection)) = waiting.pop_front() else { break };
                drop(waiting);
                settle_one(&connection, durable, &mut buffer);
            }
        }
        drop(buffer);
        if let Some(coap) = self.coap() {
            coap.settle(self, durable);
        }
        for connection in self.held.take() {
            connection.session.borrow_mut().handle_durable(durable);
            connection.wake();
        }
    }

    fn coap(&self) -> Option<Rc<Coap>> {
        self.coap.borrow().clone()
    }

    /// Something was appended, for which the sender waits or not.
    pub(crate) fn note_appended(&self, is_awaited: bool) {
        self.has_appended.set(self.has_appended.get() || is_awaited);
        // What a turn gathers goes out with it.
        if !self.is_turning.replace(true) {
            self.appended.notify_one();
        }
    }

    /// Remembers that `connection` waits for `offset`.
    pub(crate) fn await_durable(&self, lane: Lane, offset: Offset, connection: &Rc<Connection>) {
        self.note_appended(true);
        self.unsettled(lane).borrow_mut().push_back((offset, Rc::clone(connection)));
    }

    fn unsettled(&self, lane: Lane) -> &RefCell<Waiting> {
        let [event, telemetry] = &self.unsettled;
        match lane {
            Lane::Event => event,
            Lane::Telemetry => telemetry,
        }
    }

    /// The worker's sign of life, too: it shows that its runtime turns.
    async fn follow_deadlines(self: Rc<Self>, pulse: Arc<Pulse>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            pulse.beat();
            let now_ms = self.shared.clock.now_ms();
            if let Some(coap) = self.coap() {
                coap.tick(&self);
            }
            for connection in self.all() {
                if connection.session.borrow().is_closed() && connection.has_unsent() {
                    // It may take its last words a while longer, not for ever.
                    connection.note_closed(now_ms, self.shared.config.limits.drain_ms_max);
                    continue;
                }
                let due = connection.session.borrow().poll_timeout().is_some_and(|at_ms| at_ms <= now_ms);
                if due {
                    connection.session.borrow_mut().handle_timeout(now_ms);
                    self.flush(&connection);
                    connection.wake();
                }
            }
        }
    }

    /// Runs until the gateway stops.
    async fn follow_inbox(self: Rc<Self>, mut inbox: mpsc::Receiver<Request>) {
        while let Some(request) = inbox.recv().await {
            match request {
                Request::TakeOver { connection, settled } => self.take_over(connection, settled),
                Request::Drain => return,
            }
        }
    }

    /// Ends a session whose client id another connection has claimed.
    pub(crate) fn take_over(&self, id: u64, settled: oneshot::Sender<()>) {
        // Dropping `settled` tells the successor that nothing is left to wait for.
        let Some(connection) = self.connections.borrow().get(&id).cloned() else { return };
        connection.session.borrow_mut().handle_takeover(self.shared.clock.now_ms());
        // It may wait itself for the one before it: then `settled` is dropped with the connection, when that is over.
        let is_coming_in = connection.login.borrow().is_some() && connection.is_coming_in.get();
        if is_coming_in || connection.session.borrow().receipts_pending() > 0 {
            *connection.successor.borrow_mut() = Some(settled);
        }
        self.flush(&connection);
        connection.wake();
    }

    /// Closes the sessions of logins that were disabled, removed or changed, at once.
    async fn follow_changes(self: Rc<Self>) {
        let Some(changed) = self.shared.changed.get(self.index) else { return };
        loop {
            changed.notified().await;
            self.revoke();
        }
    }

    fn revoke(&self) {
        for connection in self.all() {
            let revoked = connection
                .login
                .borrow()
                .as_ref()
                .is_some_and(|login| !self.shared.registry.is_current(login));
            if revoked {
                connection.session.borrow_mut().handle_revoked();
                self.flush(&connection);
                connection.wake();
            }
        }
    }

    async fn drain(&self) {
        let until_ms = self.shared.clock.now_ms().saturating_add(DRAIN_MS_MAX);
        for connection in self.all() {
            connection.session.borrow_mut().handle_shutdown(self.shared.clock.now_ms());
            self.flush(&connection);
            connection.wake();
        }
        let coap = self.coap();
        if let Some(coap) = &coap {
            coap.stop(self);
        }
        // A spool that has failed never settles what a connection waits for.
        let has_failed = || self.shared.pipeline.spool().watermark().failure().is_some();
        loop {
            let is_over = self.shared.clock.now_ms() >= until_ms || has_failed();
            let is_settled = coap.as_ref().is_none_or(|coap| coap.is_settled());
            if is_over || (is_settled && self.connections.borrow().is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn flush(&self, connection: &Connection) {
        connection.flush(&mut self.write_buffer.borrow_mut());
    }

    pub(crate) fn place(&self, connection: &Connection) -> Place {
        Place { worker: self.index, connection: connection.id }
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_connection.replace(self.next_connection.get().wrapping_add(1))
    }

    pub(crate) fn all(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().cloned().collect()
    }

    /// Ends the oldest connection that has not logged in when there are as many as there may be, so that a flood of
    /// silent ones does not shut out others.
    pub(crate) fn make_room_before_login(&self) {
        let connections = self.connections.borrow();
        let before_login = || {
            let waits =
                |connection: &&Rc<Connection>| connection.login.borrow().is_none() && !connection.is_broken();
            connections.values().filter(waits)
        };
        let config = &self.shared.config;
        let is_full = self.unauthenticated.get() >= config.unauthenticated_max
            || self.shared.connections.load(Ordering::Relaxed) >= config.connections_max;
        if is_full && let Some(oldest) = before_login().min_by_key(|connection| connection.id) {
            self.shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
            oldest.break_off();
        }
    }

    /// A connection has logged in.
    pub(crate) fn logged_in(&self) {
        self.unauthenticated.set(self.unauthenticated.get().saturating_sub(1));
    }

    /// Takes in a connection that has just been accepted.
    pub(crate) fn enter(&self, connection: &Rc<Connection>) {
        self.unauthenticated.set(self.unauthenticated.get().saturating_add(1));
        self.connections.borrow_mut().insert(connection.id, Rc::clone(connection));
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a connection whose session is over.
    pub(crate) fn leave(&self, connection: &Rc<Connection>) {
        self.subscriptions.borrow_mut().remove(SubscriberId(connection.id));
        if self.subscriptions.borrow().is_empty() {
            *self.readers.borrow_mut() = None;
        }
        if connection.login.borrow().is_none() {
            self.logged_in();
        }
        if let Some(client_id) = connection.client_id.borrow_mut().take() {
            self.shared.directory.release(&client_id, self.place(connection));
        }
        // The socket of a client that is owed acknowledgements stays open until they are written.
        self.held.borrow_mut().retain(|held| !Rc::ptr_eq(held, connection));
        if connection.is_broken() || connection.session.borrow().receipts_pending() == 0 {
            connection.hang_up();
        }
        if let Some(end) = connection.session.borrow().end() {
            self.shared.counters.count_end(&end);
        }
        self.connections.borrow_mut().remove(&connection.id);
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Acknowledges what became durable, in one write, and lets the connection read on if it had to wait.
fn settle_one(connection: &Connection, durable: &Durable, buffer: &mut Vec<u8>) {
    let wanted = connection.wants_bytes();
    connection.session.borrow_mut().handle_durable(durable);
    connection.flush(buffer);
    let settled = connection.session.borrow().receipts_pending() == 0;
    if settled && let Some(successor) = connection.successor.borrow_mut().take() {
        // The successor may have given up.
        let _told = successor.send(()).is_ok();
    }
    if connection.session.borrow().is_closed() || wanted != connection.wants_bytes() {
        connection.wake();
    }
}
