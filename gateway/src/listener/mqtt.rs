use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::{
    connection::{Connection, Event},
    uplink,
    worker::Worker,
};
use crate::session::mqtt::{Limits, Session};

/// Connections that the kernel keeps before they are accepted.
const BACKLOG_MAX: i32 = 1024;
/// Silence after which the kernel asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Full reads that one connection gets before the others have their turn.
const READS_MAX: usize = 4;

/// `[mqtt]`: where to listen, and how much a peer may ask for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address and port.
    pub listen: SocketAddr,
    /// Limits of one session.
    pub limits: Arc<Limits>,
    /// Open connections at most; one more is closed at once.
    pub connections_max: usize,
    /// Sessions of one login, such as that of a group.
    pub sessions_per_login_max: usize,
    /// Connections of a worker that have not logged in; one more ends the oldest of them.
    pub unauthenticated_max: usize,
    /// Lets anybody on this machine in without a password.
    pub anonymous: bool,
}

/// Whether nobody else listens on `address`. A shared port would let another gateway of the same user in, and devices
/// would land on either of them.
///
/// # Errors
/// Somebody does, or the address is not this machine's.
pub(crate) fn check_free(address: SocketAddr) -> io::Result<()> {
    StdListener::bind(address).map(drop)
}

/// Opens a socket on `address` that shares its port with the other workers' sockets.
///
/// # Errors
/// The address cannot be bound.
pub(crate) fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_port(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_MAX)?;
    Ok(socket.into())
}

/// Accepts connections until the task is aborted.
pub(crate) async fn accept_all(worker: Rc<Worker>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&worker, stream, peer),
            Err(error) => {
                // Out of file descriptors, mostly: there is room again when somebody leaves.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let config = &worker.shared.config;
    worker.make_room_before_login();
    if worker.shared.connections.load(Ordering::Relaxed) >= config.connections_max {
        worker.shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%peer, "connections_max reached");
        return;
    }
    // Small answers must not wait for the peer's delayed TCP acknowledgements.
    // A peer that has vanished without a word is found by the kernel.
    let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
    if stream.set_nodelay(true).is_err() || SockRef::from(&stream).set_tcp_keepalive(&keep_alive).is_err() {
        return;
    }
    let session = Session::new(Arc::clone(&config.limits), worker.shared.clock.now_ms());
    let connection = Connection::new(worker.next_id(), stream, peer, session);
    worker.enter(&connection);
    tokio::task::spawn_local(serve(Stay { worker: Rc::clone(worker), connection }));
}

async fn serve(stay: Stay) {
    let Stay { worker, connection } = &stay;
    loop {
        match connection.event().await {
            Event::Readable => read(worker, connection).await,
            Event::Writable => connection.send_unsent(),
            Event::Woken => {}
        }
        uplink::drain(worker, connection).await;
        let said_all = connection.session.borrow().is_closed() && !connection.has_unsent();
        if said_all || connection.is_broken() {
            break;
        }
    }
    connection.session.borrow_mut().handle_eof();
    // A last will may still have to be stored.
    uplink::drain(worker, connection).await;
}

/// Takes the connection out of the worker's books however its task ends.
struct Stay {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.worker.leave(&self.connection);
    }
}

async fn read(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    for _ in 0..READS_MAX {
        let full = {
            let mut buffer = worker.read_buffer.borrow_mut();
            match connection.read(&mut buffer) {
                None => return,
                Some(0) => return connection.break_off(),
                Some(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    connection.session.borrow_mut().handle_bytes(bytes, worker.shared.clock.now_ms());
                    count == buffer.len()
                }
            }
        };
        if !full {
            return;
        }
        uplink::drain(worker, connection).await;
        if !connection.wants_bytes() {
            return;
        }
    }
    // More is there; the others have their turn first.
    tokio::task::yield_now().await;
}
