//! Connections by address: made when they are needed, made anew when they have ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    connection::{Connection, INCOMING_MAX, RequestError},
    sign::Credentials,
    tls::Tls,
    wire::Command,
};

/// How servers are spoken to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a connection or an answer may take.
    pub timeout: Duration,
    /// Who this client is; none where the servers ask nobody.
    pub credentials: Option<Credentials>,
    /// None: in plain text.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(3), credentials: None, tls: None }
    }
}

/// A request that a server made, and the connection to answer it on.
#[derive(Clone)]
pub struct Incoming {
    /// Where it came from.
    pub connection: Connection,
    /// What it asks.
    pub command: Command,
}

/// Connections by address. Clones share them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    incoming: Option<mpsc::Sender<Incoming>>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// The connection to one address.
#[derive(Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<Connection>>,
    /// Tries to connect so far, and the last failure: whoever waited for a try that failed does not try again.
    tries: AtomicU64,
    failure: Mutex<Option<RequestError>>,
}

impl Client {
    /// A client without connections yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_incoming(options, None)
    }

    /// A client that hands on what servers ask.
    #[must_use]
    pub fn with_incoming(options: Options, incoming: Option<mpsc::Sender<Incoming>>) -> Self {
        Self { shared: Arc::new(Shared { options, incoming, slots: Mutex::default() }) }
    }

    /// How servers are spoken to.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Asks the server at `address`, within the time of the options.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, address: &str, command: Command) -> Result<Command, RequestError> {
        self.request_within(address, command, self.shared.options.timeout).await
    }

    /// Asks the server at `address`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request_within(
        &self,
        address: &str,
        mut command: Command,
        within: Duration,
    ) -> Result<Command, RequestError> {
        let connection = self.connection(address).await?;
        self.sign(&mut command);
        connection.request(command, within).await
    }

    /// Tells the server at `address` something it does not answer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn tell(&self, address: &str, command: Command) -> Result<(), RequestError> {
        let connection = self.connection(address).await?;
        let mut command = command.one_way();
        self.sign(&mut command);
        connection.tell(&command).await
    }

    /// The connection to `address`, made if there is none that lives.
    ///
    /// # Errors
    /// [`RequestError::Connect`].
    pub async fn connection(&self, address: &str) -> Result<Connection, RequestError> {
        let slot = self.slot(address);
        let tries = slot.tries.load(Ordering::Acquire);
        let mut held = slot.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        if slot.tries.load(Ordering::Acquire) != tries
            && let Some(failure) = slot.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
        {
            return Err(failure);
        }
        let connected = self.connect(address).await;
        slot.tries.fetch_add(1, Ordering::AcqRel);
        *slot.failure.lock().unwrap_or_else(PoisonError::into_inner) = connected.as_ref().err().cloned();
        *held = connected.as_ref().ok().cloned();
        connected
    }

    fn slot(&self, address: &str) -> Arc<Slot> {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(address) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        slots.insert(address.to_owned(), Arc::clone(&slot));
        slot
    }

    async fn connect(&self, address: &str) -> Result<Connection, RequestError> {
        let Some(incoming) = self.shared.incoming.clone() else {
            return Connection::connect(address, &self.shared.options, None).await;
        };
        let (sender, mut commands) = mpsc::channel(INCOMING_MAX);
        let connection = Connection::connect(address, &self.shared.options, Some(sender)).await?;
        let weak = connection.downgrade();
        // Ends with the connection, which holds the sender.
        tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                let Some(connection) = weak.upgrade() else { return };
                if incoming.send(Incoming { connection, command }).await.is_err() {
                    return;
                }
            }
        });
        Ok(connection)
    }

    fn sign(&self, command: &mut Command) {
        if let Some(credentials) = &self.shared.options.credentials {
            credentials.sign(command);
        }
    }
}
