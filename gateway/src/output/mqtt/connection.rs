//! One connection to another broker. The only place of the outputs that names rumqttc.
//!
//! A connection is thrown away when it fails, with all that it holds: the library would publish again by itself, but
//! only in a session that the server kept, and in the order of packet ids. There is one way to send again, and it is
//! the [`Window`](super::window::Window)'s.

use std::time::Duration;

use rumqttc::{NetworkOptions, TlsConfiguration, Transport};
use thiserror::Error;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Settings, message::Outgoing};

mod v4;
mod v5;

/// Bytes of the largest packet from the server: none of those that a publisher gets is long.
const INCOMING_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of the largest packet to the server, where it does not say how many it takes.
const OUTGOING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Time within which the server has to answer on the way in.
const CONNECT_MS_MAX: u64 = 10_000;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V5,
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Event {
    Connected,
    /// The next message has this packet id.
    Written(u16),
    Acknowledged(u16),
    /// The server refuses a message, for good or until its owner has changed something.
    Refused {
        packet: u16,
        said: String,
        is_final: bool,
    },
    /// The connection is no more.
    Failed(Failure),
}

/// Why a connection failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// The server says no to the login, or ends the connection with a reason.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// The server does not speak this version of MQTT, or something else.
    #[error("the server does not answer in this version of MQTT: {0}")]
    Version(String),
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// The server does not answer.
    #[error("the server does not answer in time")]
    Timeout,
    /// One of the messages on their way will never be taken; which one is not said.
    #[error("the server refuses a message for good: {0}")]
    Final(String),
    /// A message that will never be taken cannot be set aside.
    #[error("cannot write a dead letter: {0}")]
    DeadLetter(String),
    /// The server refuses a message.
    #[error("the server refuses a publish to {topic}: {said}")]
    Message {
        /// Its topic.
        topic: String,
        /// The reason.
        said: String,
    },
}

enum Publisher {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// A connection that is open. The bytes move in a task of their own, so that it lives while nothing is delivered.
pub(super) struct Connection {
    publisher: Publisher,
    pub(super) events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn open(settings: &Settings, version: Version) -> Result<Self, Failure> {
        // Each message in flight is written once and acknowledged once, and the connection begins and ends once.
        let events_max = usize::from(settings.in_flight_max).saturating_mul(2).saturating_add(8);
        let (send, events) = mpsc::channel(events_max);
        let (publisher, task) = match version {
            Version::V4 => v4::spawn(settings, send),
            Version::V5 => v5::spawn(settings, send),
        };
        let mut connection = Self { publisher, events, task };
        let wait = Duration::from_millis(CONNECT_MS_MAX);
        match tokio::time::timeout(wait, connection.events.recv()).await {
            Ok(Some(Event::Connected)) => Ok(connection),
            Ok(Some(Event::Failed(failure))) => Err(failure),
            Ok(_) => Err(Failure::Broken("it ended at once".to_owned())),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// Hands a message over. The window has no more on their way than there is room for.
    ///
    /// # Errors
    /// The connection is no more, or the topic holds a wildcard.
    pub(super) fn publish(&self, message: &Outgoing) -> Result<(), Failure> {
        let taken = match &self.publisher {
            Publisher::V4(client) => v4::publish(client, message),
            Publisher::V5(client) => v5::publish(client, message),
        };
        if taken { Ok(()) } else { Err(Failure::Broken(format!("{} is not taken", message.topic))) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Settings {
    /// Packet ids to go round in: twice the window, so that an id is free again when its turn comes.
    fn packet_ids_max(&self) -> u16 {
        self.in_flight_max.saturating_mul(2).max(2)
    }

    fn transport(&self) -> Transport {
        match &self.tls {
            Some(tls) => Transport::Tls(TlsConfiguration::Rustls(std::sync::Arc::clone(tls))),
            None => Transport::Tcp,
        }
    }
}

fn network() -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_MS_MAX / 1_000);
    network
}

/// `BadUserNamePassword` as `bad user name password`, with the number of the standard.
fn said(packet: &str, code: u8, name: &str) -> String {
    let mut words = format!("{packet} {code:#04x}");
    for letter in name.chars() {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
