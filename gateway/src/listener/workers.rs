use std::{io, net::SocketAddr, sync::Arc, thread};

use tokio::sync::mpsc;

use super::{
    coap, mqtt,
    worker::{Request, Shared, Worker},
};

/// Requests from other threads that may wait for a worker.
const INBOX_MAX: usize = 1024;

/// The threads that own the MQTT connections and the CoAP sockets.
pub struct Workers {
    address: SocketAddr,
    coap_address: Option<SocketAddr>,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
    inboxes: Vec<mpsc::Sender<Request>>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {source}; choose another port in [{section}], or stop what uses this one"
)]
pub struct ListenError {
    /// Of the configuration.
    pub section: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl Workers {
    /// Binds the addresses once for each thread and starts them.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub fn start(shared: &Arc<Shared>) -> Result<Self, ListenError> {
        let cannot = |section, address| move |source| ListenError { section, address, source };
        let (coap_address, coap_sockets) = match &shared.coap {
            Some(config) => {
                coap::bind(config, shared.worker_count()).map_err(cannot("coap", config.listen))?
            }
            None => (None, Vec::new()),
        };
        let started = Self::start_mqtt(shared, coap_sockets).map_err(cannot("mqtt", shared.config.listen))?;
        Ok(Self { coap_address, ..started })
    }

    fn start_mqtt(shared: &Arc<Shared>, coap_sockets: Vec<std::net::UdpSocket>) -> io::Result<Self> {
        let count = shared.worker_count();
        let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(INBOX_MAX)).unzip();
        let mut address = shared.config.listen;
        mqtt::check_free(address)?;
        let mut sockets = Vec::new();
        for _ in 0..count {
            let socket = mqtt::bind(address)?;
            // Port 0 is a free one: the first socket finds it, the others share it.
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        let coap_sockets = coap_sockets.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let mut threads = Vec::new();
        let sockets = sockets.into_iter().zip(coap_sockets);
        for (index, (sockets, inbox)) in sockets.zip(receivers).enumerate() {
            let (shared, peers) = (Arc::clone(shared), inboxes.clone());
            let run = move || Worker::run(index, shared, peers, sockets, inbox);
            threads.push(thread::Builder::new().name(format!("worker-{index}")).spawn(run)?);
        }
        let changed: Vec<_> = shared.changed.iter().map(Arc::clone).collect();
        shared.registry.on_change(Box::new(move || changed.iter().for_each(|changed| changed.notify_one())));
        Ok(Self { address, coap_address: None, threads, inboxes })
    }

    /// Where they listen for CoAP, if they do.
    #[must_use]
    pub fn coap_address(&self) -> Option<SocketAddr> {
        self.coap_address
    }

    /// Where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a thread is gone that should run.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(thread::JoinHandle::is_finished)
    }

    /// Ends all sessions after their receipts are settled, five seconds at most, and waits for the threads.
    ///
    /// # Errors
    /// A worker's runtime failed.
    pub fn drain(self) -> io::Result<()> {
        for inbox in &self.inboxes {
            let _delivered = inbox.blocking_send(Request::Drain).is_ok();
        }
        for thread in self.threads {
            thread.join().map_err(|_| io::Error::other("a worker panicked"))??;
        }
        Ok(())
    }
}
