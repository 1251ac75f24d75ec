use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::{io::Interest, net::TcpStream, sync::oneshot};

use crate::{auth::Login, clock::Millis, session::mqtt::Session};

/// Bytes of answers that a peer may leave unread before its connection is closed.
pub(crate) const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// One TCP connection of a worker. All of it stays on the worker's thread.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) session: RefCell<Session>,
    pub(crate) login: RefCell<Option<Login>>,
    pub(crate) client_id: RefCell<Option<Box<str>>>,
    /// Which QoS this session has published with, as the registry was told.
    pub(crate) noted_qos: Cell<[bool; 2]>,
    /// The client speaks MQTT 5 and can be told of refusals.
    pub(crate) is_v5: Cell<bool>,
    /// Who waits for this session's receipts, to take its client id over.
    pub(crate) successor: RefCell<Option<oneshot::Sender<()>>>,
    stream: TcpStream,
    /// What the kernel did not take yet. Empty, without an allocation, on a connection that keeps up.
    unsent: RefCell<Vec<u8>>,
    /// The login is right, and the session that it takes over is not over yet.
    pub(crate) is_coming_in: Cell<bool>,
    /// When it was first seen closed with words left to send.
    closed_ms: Cell<Option<Millis>>,
    woken: Cell<bool>,
    broken: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// Why a connection's task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Readable,
    Writable,
    Woken,
}

impl Connection {
    pub(crate) fn new(id: u64, stream: TcpStream, peer: SocketAddr, session: Session) -> Rc<Self> {
        Rc::new(Self {
            id,
            peer,
            session: RefCell::new(session),
            login: RefCell::new(None),
            client_id: RefCell::new(None),
            noted_qos: Cell::new([false; 2]),
            is_v5: Cell::new(false),
            successor: RefCell::new(None),
            stream,
            unsent: RefCell::new(Vec::new()),
            is_coming_in: Cell::new(false),
            closed_ms: Cell::new(None),
            woken: Cell::new(false),
            broken: Cell::new(false),
            waker: Cell::new(None),
        })
    }

    /// Waits until there is something to do.
    pub(crate) async fn event(&self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.woken.replace(false) {
            return Poll::Ready(Event::Woken);
        }
        self.waker.set(Some(cx.waker().clone()));
        if self.has_unsent() {
            // Who does not read its answers is not read from.
            return self.stream.poll_write_ready(cx).map(|_| Event::Writable);
        }
        if self.wants_bytes() && self.stream.poll_read_ready(cx).is_ready() {
            return Poll::Ready(Event::Readable);
        }
        Poll::Pending
    }

    /// Whether the next bytes from the socket can be handled.
    pub(crate) fn wants_bytes(&self) -> bool {
        self.session.borrow().wants_bytes()
    }

    /// Makes the connection's task run, from elsewhere on the same thread.
    pub(crate) fn wake(&self) {
        self.woken.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Reads what is there into `buffer`; `None` when nothing is, `Some(0)` when the peer has closed.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        match self.stream.try_read(buffer) {
            Ok(count) => {
                if count < buffer.len() {
                    // The socket is empty: say so, which spares the read that would find that out.
                    let _drained =
                        self.stream.try_io(Interest::READABLE, || Err::<(), _>(would_block())).is_err();
                }
                Some(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        }
    }

    /// Sends all that the session has to say, in one write; what the kernel does not take waits.
    pub(crate) fn flush(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        self.session.borrow_mut().poll_transmit(buffer);
        if self.broken.get() {
            return;
        }
        if self.has_unsent() {
            let mut unsent = self.unsent.borrow_mut();
            if unsent.len().saturating_add(buffer.len()) > UNSENT_BYTES_MAX {
                self.break_off();
                return;
            }
            unsent.extend_from_slice(buffer);
            return;
        }
        if buffer.is_empty() {
            return;
        }
        let sent = self.write(buffer);
        if let Some(rest) = buffer.get(sent..)
            && !rest.is_empty()
            && !self.broken.get()
        {
            self.unsent.borrow_mut().extend_from_slice(rest);
            self.wake();
        }
    }

    /// Sends what waits for the kernel.
    pub(crate) fn send_unsent(&self) {
        let mut unsent = self.unsent.borrow_mut();
        let sent = self.write(&unsent);
        unsent.drain(..sent);
        if unsent.is_empty() {
            *unsent = Vec::new();
        }
    }

    fn write(&self, bytes: &[u8]) -> usize {
        match self.stream.try_write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.break_off();
                0
            }
        }
    }

    /// The session is over and the peer does not take the last words: it gets `wait_ms` more.
    pub(crate) fn note_closed(&self, now_ms: Millis, wait_ms: Millis) {
        let since_ms = self.closed_ms.get().unwrap_or(now_ms);
        self.closed_ms.set(Some(since_ms));
        if now_ms.saturating_sub(since_ms) >= wait_ms {
            self.break_off();
        }
    }

    /// The link is gone: nothing can be said any more.
    pub(crate) fn break_off(&self) {
        self.broken.set(true);
        self.wake();
    }

    /// Ends the link, whoever still holds this connection.
    pub(crate) fn hang_up(&self) {
        if let Err(error) = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both) {
            // The peer was faster.
            tracing::trace!(peer = %self.peer, %error, "hanging up");
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.borrow().is_empty()
    }
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
