//! One pipelined connection: many requests on their way, each answer finds its own by its number.
//!
//! Two tasks serve it, one that reads and one that writes; they end with the last handle, or with the first error. A
//! request that is not answered in time ends the connection too when nothing at all came in the meantime: the other
//! side is gone without a word (half open), and everybody else who waits should not have to find out for himself.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    client::Options,
    wire::{Command, FrameError},
};

/// Requests of one connection that may wait for an answer.
pub const REQUESTS_MAX: usize = 1_024;
/// Frames that wait for the writer.
const FRAMES_MAX: usize = 64;
/// Requests of the server that wait to be looked at; one more is dropped, since each of them comes again.
pub const INCOMING_MAX: usize = 256;
/// Bytes that one read may bring.
const READ_BYTES: usize = 64 * 1024;

/// Why a request has no answer.
#[derive(Clone, Debug, Error)]
pub enum RequestError {
    /// No connection could be made.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where to.
        address: Arc<str>,
        /// What the system or TLS said.
        reason: Arc<str>,
    },
    /// The connection ended before the answer came. Whether the request was carried out is not known.
    #[error("the connection to {address} ended: {reason}")]
    Closed {
        /// Where to.
        address: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// No answer came in time. Whether the request was carried out is not known.
    #[error("{address} did not answer in {waited_ms} ms")]
    Timeout {
        /// Where to.
        address: Arc<str>,
        /// How long was waited.
        waited_ms: u64,
    },
    /// More than [`REQUESTS_MAX`] requests wait.
    #[error("{REQUESTS_MAX} requests to {address} wait for an answer already")]
    TooMany {
        /// Where to.
        address: Arc<str>,
    },
    /// The request is longer than a frame may be.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A connection. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    frames: mpsc::Sender<Bytes>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    address: Arc<str>,
    opaque: AtomicI32,
    reads: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    answers: HashMap<i32, oneshot::Sender<Command>>,
    closed: Option<Arc<str>>,
}

/// A handle that does not keep the connection open.
pub(crate) struct Weak(std::sync::Weak<Inner>);

impl Weak {
    pub(crate) fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(|inner| Connection { inner })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Connection {
    /// Connects to `address` (`host:port`). Requests that the server makes go to `incoming`, if anybody listens.
    ///
    /// # Errors
    /// [`RequestError::Connect`], at the latest after the time that `options` give a connection.
    pub async fn connect(
        address: &str,
        options: &Options,
        incoming: Option<mpsc::Sender<Command>>,
    ) -> Result<Self, RequestError> {
        let address: Arc<str> = address.into();
        let failed =
            |reason: String| RequestError::Connect { address: Arc::clone(&address), reason: reason.into() };
        let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
        let connect = async {
            let stream = TcpStream::connect(&*address).await?;
            stream.set_nodelay(true)?;
            match &options.tls {
                None => Ok(Self::start(Arc::clone(&address), stream, incoming)),
                Some(tls) => {
                    let stream = tls.connect(host, stream).await?;
                    Ok(Self::start(Arc::clone(&address), stream, incoming))
                }
            }
        };
        match timeout(options.timeout, connect).await {
            Ok(connected) => connected.map_err(|error: io::Error| failed(error.to_string())),
            Err(_) => Err(failed(format!("no connection in {} ms", options.timeout.as_millis()))),
        }
    }

    fn start<S>(address: Arc<str>, stream: S, incoming: Option<mpsc::Sender<Command>>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (reading, writing) = tokio::io::split(stream);
        let (frames, to_write) = mpsc::channel(FRAMES_MAX);
        let shared = Arc::new(Shared {
            address,
            opaque: AtomicI32::new(0),
            reads: AtomicU64::new(0),
            waiting: Mutex::default(),
        });
        let reader = tokio::spawn(read(Arc::clone(&shared), reading, incoming));
        let writer = tokio::spawn(write(Arc::clone(&shared), writing, to_write));
        let tasks = [reader.abort_handle(), writer.abort_handle()];
        Self { inner: Arc::new(Inner { shared, frames, tasks }) }
    }

    /// A handle that does not keep it open.
    pub(crate) fn downgrade(&self) -> Weak {
        Weak(Arc::downgrade(&self.inner))
    }

    /// Where it goes.
    #[must_use]
    pub fn address(&self) -> &Arc<str> {
        &self.inner.shared.address
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.shared.waiting().closed.is_some()
    }

    /// Sends `command`, which is signed already, and waits for its answer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, mut command: Command, within: Duration) -> Result<Command, RequestError> {
        let shared = &self.inner.shared;
        command.opaque = shared.opaque.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let answer = shared.wait_for(command.opaque)?;
        // However this ends, nobody waits for the answer any more.
        let _forgotten = Forget { shared, opaque: command.opaque };
        let reads = shared.reads.load(Ordering::Relaxed);
        let exchange = async {
            self.put(&command).await?;
            answer.await.map_err(|_| shared.closed())
        };
        match timeout(within, exchange).await {
            Ok(answered) => answered,
            Err(_) => {
                if shared.reads.load(Ordering::Relaxed) == reads {
                    self.close("it is silent");
                }
                let waited_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                Err(RequestError::Timeout { address: Arc::clone(&shared.address), waited_ms })
            }
        }
    }

    /// Sends `command`, for which no answer comes: a one-way request, or an answer to one of the server's.
    ///
    /// # Errors
    /// [`RequestError::Closed`] and [`RequestError::Frame`].
    pub async fn tell(&self, command: &Command) -> Result<(), RequestError> {
        self.put(command).await
    }

    /// Ends it: whoever waits for an answer is told `reason`.
    pub fn close(&self, reason: &str) {
        self.inner.shared.fail(reason.into());
        self.inner.tasks.iter().for_each(AbortHandle::abort);
    }

    async fn put(&self, command: &Command) -> Result<(), RequestError> {
        let mut frame = BytesMut::new();
        command.encode_into(&mut frame)?;
        self.inner.frames.send(frame.freeze()).await.map_err(|_| self.inner.shared.closed())
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, opaque: i32) -> Result<oneshot::Receiver<Command>, RequestError> {
        let mut waiting = self.waiting();
        if waiting.closed.is_some() {
            drop(waiting);
            return Err(self.closed());
        }
        if waiting.answers.len() >= REQUESTS_MAX {
            return Err(RequestError::TooMany { address: Arc::clone(&self.address) });
        }
        let (sender, answer) = oneshot::channel();
        waiting.answers.insert(opaque, sender);
        Ok(answer)
    }

    fn settle(&self, answer: Command) {
        let waiting = self.waiting().answers.remove(&answer.opaque);
        if let Some(waiting) = waiting {
            // Who waited may have gone.
            let _told = waiting.send(answer).is_ok();
        }
    }

    fn fail(&self, reason: Arc<str>) {
        let mut waiting = self.waiting();
        waiting.closed.get_or_insert(reason);
        waiting.answers.clear();
    }

    fn closed(&self) -> RequestError {
        let reason = self.waiting().closed.clone().unwrap_or_else(|| "it was given up".into());
        RequestError::Closed { address: Arc::clone(&self.address), reason }
    }
}

struct Forget<'s> {
    shared: &'s Shared,
    opaque: i32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting().answers.remove(&self.opaque);
    }
}

async fn read<R: AsyncRead + Unpin>(
    shared: Arc<Shared>,
    mut stream: R,
    incoming: Option<mpsc::Sender<Command>>,
) {
    let mut bytes = BytesMut::new();
    let reason = loop {
        bytes.reserve(READ_BYTES);
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break "the server closed it".into(),
            Ok(_) => {
                shared.reads.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => break error.to_string().into(),
        }
        if let Err(error) = take_frames(&shared, &mut bytes, incoming.as_ref()) {
            break error.to_string().into();
        }
    };
    shared.fail(reason);
}

fn take_frames(
    shared: &Shared,
    bytes: &mut BytesMut,
    incoming: Option<&mpsc::Sender<Command>>,
) -> Result<(), FrameError> {
    while let Some(command) = Command::decode_from(bytes)? {
        if command.is_answer() {
            shared.settle(command);
        } else if let Some(incoming) = incoming {
            // What finds no room comes again: servers repeat what they ask for.
            let _taken = incoming.try_send(command).is_ok();
        }
    }
    Ok(())
}

async fn write<W: AsyncWrite + Unpin>(shared: Arc<Shared>, mut stream: W, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        let written = async {
            stream.write_all(&frame).await?;
            if frames.is_empty() { stream.flush().await } else { Ok(()) }
        };
        if let Err(error) = written.await {
            shared.fail(error.to_string().into());
            return;
        }
    }
}

#[cfg(test)]
mod tests;
