//! Pages for who runs the gateway: `/metrics`, `/livez`, `/readyz`. The only place that names axum and hyper.
//!
//! One thread with a runtime of its own, so that a flood of requests takes nothing from the devices, and a question
//! about a gateway that hangs is still answered. Each connection carries one request and has a time limit; nobody logs
//! in, so the pages are on loopback unless the owner names another address.

mod exposition;
mod metrics;
mod pages;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{AbortHandle, LocalSet},
};

use crate::{
    config::{HttpConfig, HttpLimits},
    control::Services,
    health::Pulse,
};

/// Header lines of a request.
const HEADERS_MAX: usize = 64;
/// hyper reads into a buffer of at least this size.
const BUFFER_BYTES_MIN: usize = 8 * 1024;
/// Threads that gather numbers, which may read files: the pages themselves never wait for the disk.
const GATHERERS_MAX: usize = 2;
/// Wait after a connection that could not be taken.
const RETRY: Duration = Duration::from_millis(100);
/// How often the thread shows that it is there.
const TICK: Duration = Duration::from_millis(500);

/// The thread behind the pages.
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Server {
    /// Binds `address` and starts to answer.
    ///
    /// # Errors
    /// The address is taken or not this machine's, or no thread can be started.
    pub fn start(address: SocketAddr, config: &HttpConfig, services: Arc<Services>) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(GATHERERS_MAX)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let config = config.clone();
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || {
            let pulse = services.shared.health.watch("http");
            let outcome = LocalSet::new().block_on(&runtime, async {
                let accepting = accept_all(TcpListener::from_std(socket)?, &config, services);
                tokio::select! {
                    () = accepting => {}
                    () = beat(&pulse) => {}
                    _ = stopped => {}
                }
                Ok(())
            });
            // Who gathers numbers from a disk that does not answer holds up nobody.
            runtime.shutdown_background();
            outcome
        })?;
        Ok(Self { address, stop, thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hangs up on everybody.
    ///
    /// # Errors
    /// The thread has panicked.
    pub fn stop(self) -> io::Result<()> {
        let _told = self.stop.send(()).is_ok();
        self.thread.join().map_err(|_| io::Error::other("the thread of the pages panicked"))?
    }
}

async fn beat(pulse: &Pulse) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        pulse.beat();
    }
}

/// Open connections by their number: the first is the oldest.
type Open = Rc<RefCell<BTreeMap<u64, AbortHandle>>>;

async fn accept_all(listener: TcpListener, config: &HttpConfig, services: Arc<Services>) {
    let turned_away = Arc::new(AtomicU64::new(0));
    let router = pages::router(services, Arc::clone(&turned_away));
    let open = Open::default();
    for number in 0.. {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: there are some again when clients leave.
                tracing::warn!(%error, "cannot take a connection for the pages");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        // Who is silent goes before who has just come: a question about the gateway's health is always answered.
        if open.borrow().len() >= config.connections_max
            && let Some((_, oldest)) = open.borrow_mut().pop_first()
        {
            oldest.abort();
            turned_away.fetch_add(1, Ordering::Relaxed);
        }
        let (router, limits, leaving) = (router.clone(), config.limits, Rc::clone(&open));
        let serving = tokio::task::spawn_local(async move {
            serve(stream, router, limits).await;
            leaving.borrow_mut().remove(&number);
        });
        open.borrow_mut().insert(number, serving.abort_handle());
    }
}

/// One request and its answer.
async fn serve(stream: TcpStream, router: Router, limits: HttpLimits) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .keep_alive(false)
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits.header_bytes_max.max(BUFFER_BYTES_MIN))
        .max_header_size(limits.header_bytes_max)
        .header_read_timeout(Duration::from_millis(limits.header_ms_max));
    let serving = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let time_max = Duration::from_millis(limits.request_ms_max);
    match tokio::time::timeout(time_max, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for a page ended"),
        Err(_) => tracing::debug!("a request for a page took too long"),
    }
}
