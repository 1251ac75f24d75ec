//! CoAP: one UDP socket a worker. The kernel gives all that comes from one address to the same socket, so each worker
//! knows its peers alone.
//!
//! ```text
//! a batch of datagrams -> endpoint -> requests -> login, pipeline -> one release for all
//! a commit             -> endpoint -> all its answers in one batch
//! ```

mod counters;
mod proved;
mod seen;
mod uplink;

use std::{
    cell::{Cell, RefCell},
    io,
    net::{SocketAddr, UdpSocket},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{io::Interest, sync::Notify};

pub use counters::Counters;

use self::{counters::Gauges, proved::Proved, seen::Seen, uplink::Held};
use super::{
    datagrams::{self, Datagrams},
    worker::{Shared, Worker},
};
use crate::{
    session::Refusal,
    session::coap::{Endpoint, Limits, Outbox},
    spool::Durable,
};

/// Batches that are taken in before the worker's other tasks have their turn.
const BATCHES_MAX: usize = 4;
/// Pause after an error of the socket.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// `[coap]`: where to listen, and how much peers may ask for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address and port.
    pub listen: SocketAddr,
    /// Limits of the whole gateway.
    pub limits: Limits,
}

/// Binds one socket for each of `count` workers to one port. Says where.
///
/// # Errors
/// The address cannot be bound, or somebody else listens on it.
pub(crate) fn bind(config: &Config, count: usize) -> io::Result<(Option<SocketAddr>, Vec<UdpSocket>)> {
    let mut address = config.listen;
    // A shared port would let another gateway of the same user in, and devices would land on either of them.
    UdpSocket::bind(address).map(drop)?;
    let mut sockets = Vec::new();
    for index in 0..count {
        let (socket, granted_bytes) = datagrams::bind(address)?;
        if index == 0 && granted_bytes < datagrams::RECEIVE_BYTES_MAX {
            let (granted, wanted) = (granted_bytes, datagrams::RECEIVE_BYTES_MAX);
            tracing::warn!(
                granted,
                wanted,
                "the kernel keeps fewer bytes of CoAP datagrams than wanted, and drops some of a burst; \
                 raise it: sysctl -w net.core.rmem_max={wanted}"
            );
        }
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok((Some(address), sockets))
}

/// A worker's socket and all that is known of its peers. All of it stays on the worker's thread.
pub(crate) struct Coap {
    endpoint: RefCell<Endpoint>,
    datagrams: Datagrams,
    /// What is being sent, and how many of it the kernel has taken.
    sending: RefCell<(Outbox, usize)>,
    /// The kernel had no room.
    is_stuck: Notify,
    seen: RefCell<Seen>,
    proved: RefCell<Proved>,
    /// Requests that wait until there is room for them.
    held: RefCell<Vec<Held>>,
    /// What of this worker is in the gauges of [`Counters`].
    gauged: Cell<Gauges>,
}

impl Coap {
    /// `None` where there is no socket.
    ///
    /// # Errors
    /// The runtime does not take the socket, or the system has no random numbers.
    pub(crate) fn start(socket: Option<UdpSocket>, shared: &Shared) -> io::Result<Option<Rc<Self>>> {
        let (Some(socket), Some(config)) = (socket, &shared.coap) else { return Ok(None) };
        Self::new(socket, &config.limits, shared.worker_count()).map(Some)
    }

    fn new(socket: UdpSocket, limits: &Limits, workers: usize) -> io::Result<Rc<Self>> {
        let secret = getrandom::u64().map_err(io::Error::other)?;
        let limits = Arc::new(limits.share(workers));
        Ok(Rc::new(Self {
            datagrams: Datagrams::new(socket, limits.datagram_bytes_max())?,
            sending: RefCell::default(),
            is_stuck: Notify::new(),
            seen: RefCell::new(Seen::new(limits.peers_max, secret.rotate_left(31))),
            proved: RefCell::new(Proved::new()),
            held: RefCell::default(),
            gauged: Cell::default(),
            endpoint: RefCell::new(Endpoint::new(limits, secret)),
        }))
    }

    /// Takes in datagrams for as long as the worker runs.
    pub(crate) async fn serve(self: Rc<Self>, worker: Rc<Worker>) {
        loop {
            if let Err(error) = self.turn(&worker).await {
                tracing::warn!(%error, "cannot take in datagrams");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }

    async fn turn(self: &Rc<Self>, worker: &Rc<Worker>) -> io::Result<()> {
        let interest =
            if self.has_unsent() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        tokio::select! {
            ready = self.datagrams.ready(interest) => ready?,
            () = self.is_stuck.notified() => return Ok(()),
        }
        for _ in 0..BATCHES_MAX {
            let now_ms = worker.shared.clock.now_ms();
            let count = self.datagrams.receive(|peer, datagram| {
                let request = self.endpoint.borrow_mut().handle_datagram(peer, datagram, now_ms);
                if let Some(request) = request {
                    self.ask(worker, request);
                }
            })?;
            self.flush();
            if count < datagrams::BATCH_MAX {
                return Ok(());
            }
        }
        // More is there; the others have their turn first.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Answers all that a commit has made durable, in one batch, and tries again what waited for room.
    pub(crate) fn settle(self: &Rc<Self>, worker: &Worker, durable: &Durable) {
        self.endpoint.borrow_mut().handle_durable(durable, worker.shared.clock.now_ms());
        for Held { request, login } in self.held.take() {
            self.store(worker, request, login);
        }
        self.flush();
    }

    /// For a few times a second.
    pub(crate) fn tick(&self, worker: &Worker) {
        let now_ms = worker.shared.clock.now_ms();
        self.endpoint.borrow_mut().handle_timeout(now_ms);
        self.seen.borrow_mut().handle_timeout(now_ms);
        self.proved.borrow_mut().handle_timeout(now_ms);
        self.flush();
        self.count(&worker.shared.coap_counters);
    }

    /// Takes in no new requests. What is pending will be answered.
    pub(crate) fn stop(&self, worker: &Worker) {
        self.endpoint.borrow_mut().handle_shutdown();
        for held in self.held.take() {
            self.refuse(worker, held.request.receipt, Refusal::Unavailable);
        }
        self.flush();
    }

    /// Whether everything that was taken in is answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.endpoint.borrow().pending() == 0 && !self.has_unsent()
    }

    fn has_unsent(&self) -> bool {
        let (outbox, sent) = &*self.sending.borrow();
        *sent < outbox.len()
    }

    /// Sends what the endpoint has to say. What the kernel has no room for waits until it has.
    fn flush(&self) {
        let (outbox, sent) = &mut *self.sending.borrow_mut();
        loop {
            if *sent >= outbox.len() {
                outbox.clear();
                *sent = 0;
                self.endpoint.borrow_mut().poll_transmit(outbox);
                if outbox.is_empty() {
                    return;
                }
            }
            *sent = self.datagrams.send(outbox, *sent);
            if *sent < outbox.len() {
                self.is_stuck.notify_one();
                return;
            }
        }
    }

    fn count(&self, counters: &Counters) {
        let mut endpoint = self.endpoint.borrow_mut();
        counters.add(&endpoint.take_counts());
        let gauges = Gauges {
            peers: self.seen.borrow().len(),
            remembered: endpoint.remembered(),
            pending: endpoint.pending(),
        };
        counters.gauge(self.gauged.replace(gauges), gauges);
    }
}
