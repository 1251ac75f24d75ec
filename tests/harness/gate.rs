//! A gate on the way to a TCP server: connections can be made to hang, as when a router forgets them. Neither side is
//! told, and no packet comes through; new connections pass.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How often a thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// A gate before `server`.
pub struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    is_over: AtomicBool,
    /// Of the connections that are made now; those of before keep theirs.
    hangs: Mutex<Arc<AtomicBool>>,
    connections: AtomicUsize,
}

impl Gate {
    /// Listens at `address`, another one of loopback, and the port of `server`.
    pub fn start(address: Ipv4Addr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, server.port())).expect("loopback has many addresses");
        listener.set_nonblocking(true).expect("a fresh socket");
        let shared = Arc::new(Shared {
            server,
            is_over: AtomicBool::new(false),
            hangs: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            while !accepting.is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => accepting.connect(client),
                    Err(_) => thread::sleep(LOOK),
                }
            }
        });
        Self { shared }
    }

    /// Every connection that is open hangs from here on.
    pub fn hang(&self) {
        let mut hangs = self.shared.hangs.lock().unwrap_or_else(PoisonError::into_inner);
        hangs.store(true, Ordering::Relaxed);
        *hangs = Arc::default();
    }

    /// Connections since the start.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.server) else { return };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let hangs = Arc::clone(&self.hangs.lock().unwrap_or_else(PoisonError::into_inner));
        let both = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
        let Some((from_client, to_server)) = both() else { return };
        for (from, to) in [(from_client, to_server), (server, client)] {
            let (shared, hangs) = (Arc::clone(self), Arc::clone(&hangs));
            thread::spawn(move || shared.carry(from, to, &hangs));
        }
    }

    /// One way of a connection, until either side ends it.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, hangs: &AtomicBool) {
        let mut buffer = vec![0; 64 * 1024];
        let ready = [&from, &to].iter().all(|stream| {
            stream.set_nonblocking(false).is_ok() && stream.set_read_timeout(Some(LOOK)).is_ok()
        });
        while ready && !self.is_over.load(Ordering::Relaxed) {
            if hangs.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                continue;
            }
            match from.read(&mut buffer) {
                Ok(0) => break,
                // What was read when the gate closed is lost on the way, like everything behind it.
                Ok(_) if hangs.load(Ordering::Relaxed) => {}
                Ok(count) if to.write_all(&buffer[..count]).is_ok() => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                _ => break,
            }
        }
        let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}
