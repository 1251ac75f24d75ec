//! Another MQTT broker: everything as the gateway's own subscribers see it, with QoS 1.
//!
//! What was delivered is kept until the server has acknowledged it. A connection that fails is followed by a new one,
//! and what was not acknowledged goes again before anything else, so that what one device sent stays in order. What the
//! server refuses for good goes to the dead letters, and the rest flows on.

use std::{io, sync::Arc, time::Duration};

use tokio_rustls::rustls::ClientConfig;

use super::{
    Items, OutputError,
    dead::{DeadLetters, Letter},
};
use crate::{clock::wall_ms, config::MqttOutputConfig, spool::Lost};

mod connection;
mod message;
#[cfg(test)]
mod tests;
mod tls;
mod window;

pub use connection::Failure;
use connection::{Connection, Event, Version};
use message::Outgoing;
pub use message::{GAP_TOPIC, LOST_TOPIC, UID};
use window::Window;

/// How long the server may take to acknowledge something, when something is on its way.
const ACKNOWLEDGE: Duration = Duration::from_secs(30);

/// Which versions may be spoken.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub enum Versions {
    /// MQTT 5, and 3.1.1 with a server that does not know it.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
}

/// How to reach the server.
struct Settings {
    host: String,
    port: u16,
    client_id: String,
    login: Option<(String, String)>,
    tls: Option<Arc<ClientConfig>>,
    in_flight_max: u16,
    prefix: String,
    versions: Versions,
}

/// Readings to another broker.
pub struct MqttOutput {
    settings: Settings,
    connection: Option<Connection>,
    window: Window,
    dead: DeadLetters,
    /// What is spoken at the next try.
    version: Version,
}

impl std::fmt::Debug for MqttOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MqttOutput").field("host", &self.settings.host).finish_non_exhaustive()
    }
}

impl MqttOutput {
    /// Reads the files that `config` names, which start at the folder `data`. Connects when there is something to
    /// deliver.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub fn open(config: &MqttOutputConfig, data: &std::path::Path) -> io::Result<Self> {
        let settings = Settings::new(config, data)?;
        let version = if config.version == Versions::V311 { Version::V4 } else { Version::V5 };
        let dead = DeadLetters::new(data, &config.name);
        Ok(Self { settings, connection: None, window: Window::default(), dead, version })
    }

    /// Hands a batch over, and returns when no more than `in_flight_max` messages are not acknowledged.
    ///
    /// # Errors
    /// The server is away or refuses; nothing of this batch counts as delivered then.
    pub async fn deliver(&mut self, items: Items<'_>, lost: Option<Lost>) -> Result<(), OutputError> {
        let mark = self.window.mark();
        let prefix = &self.settings.prefix;
        if let Some(lost) = lost {
            self.window.push(Outgoing::of_lost(prefix, items.lane, lost));
        }
        let window = &mut self.window;
        items.each(|item| window.push(Outgoing::of(prefix, item)));
        let delivered = self.pump(Window::is_handed_over).await;
        if delivered.is_err() {
            self.window.cut(mark);
        }
        delivered
    }

    /// Returns when the server has acknowledged everything.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub async fn confirm(&mut self) -> Result<(), OutputError> {
        self.pump(Window::is_empty).await?;
        Ok(self.dead.sync()?)
    }

    /// Messages refused for good since the start.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead.count()
    }

    /// Forgets what was delivered: all since the last confirmation comes again.
    pub fn begin_anew(&mut self) {
        self.connection = None;
        self.window.clear();
    }

    async fn pump(&mut self, is_done: fn(&Window) -> bool) -> Result<(), OutputError> {
        loop {
            let pumped = self.try_pump(is_done).await;
            let Err(failure) = pumped else { return Ok(()) };
            self.connection = None;
            let goes_on = match &failure {
                Failure::Final(said) => self.set_aside(said)?,
                // It may have said why, and was not heard while more was sent.
                _ => {
                    self.window.be_careful();
                    false
                }
            };
            self.window.begin_again();
            if !goes_on {
                let kind = match &failure {
                    Failure::Broken(_) | Failure::Timeout => io::ErrorKind::NotConnected,
                    _ => io::ErrorKind::Other,
                };
                return Err(OutputError::Io(io::Error::new(kind, failure)));
            }
        }
    }

    /// One of the messages on their way is refused for good. The only one is dead; several go again one by one. False
    /// when there is none that could be meant.
    fn set_aside(&mut self, said: &str) -> io::Result<bool> {
        let Some(message) = self.window.only_one() else { return Ok(self.window.be_careful()) };
        bury(&mut self.dead, message, said)?;
        self.window.drop_first();
        Ok(true)
    }

    /// Moves messages until `is_done`. An idle connection may have ended meanwhile: that alone is no failure.
    async fn try_pump(&mut self, is_done: fn(&Window) -> bool) -> Result<(), Failure> {
        while let Some(Ok(event)) = self.connection.as_mut().map(|open| open.events.try_recv()) {
            if let Err(failure) = self.note(event) {
                tracing::debug!(%failure, "the connection of an output ended");
                self.window.be_careful();
                self.connection = None;
                self.window.begin_again();
            }
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None if is_done(&self.window) => return Ok(()),
            None => self.connect().await?,
        };
        loop {
            while let Some(message) = self.window.next(self.settings.in_flight_max.into()) {
                connection.publish(message)?;
            }
            if is_done(&self.window) {
                self.connection = Some(connection);
                return Ok(());
            }
            match tokio::time::timeout(ACKNOWLEDGE, connection.events.recv()).await {
                Ok(Some(event)) => self.note(event)?,
                Ok(None) => return Err(Failure::Broken("it ended".to_owned())),
                Err(_) => return Err(Failure::Timeout),
            }
        }
    }

    /// Opens a connection. With [`Versions::Auto`] the next try is in MQTT 3.1.1 where the server did not understand
    /// MQTT 5, and in MQTT 5 again behind that: a server that merely closed at the wrong moment is no old one.
    async fn connect(&mut self) -> Result<Connection, Failure> {
        let version = self.version;
        let opened = Connection::open(&self.settings, version).await;
        if self.settings.versions == Versions::Auto {
            self.version = match (&opened, version) {
                (Err(Failure::Version(_)), Version::V5) => Version::V4,
                _ => Version::V5,
            };
        }
        if opened.is_ok() {
            let Settings { host, port, .. } = &self.settings;
            let version = if version == Version::V5 { "5" } else { "3.1.1" };
            tracing::info!(%host, port, version, "connected to another broker");
        }
        opened
    }

    fn note(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Connected => {}
            Event::Written(packet) => self.window.note_written(packet),
            Event::Acknowledged(packet) => self.window.note_acknowledged(packet),
            Event::Refused { packet, said, is_final } => {
                let Some(message) = self.window.message(packet) else { return Ok(()) };
                if !is_final {
                    return Err(Failure::Message { topic: message.topic.clone(), said });
                }
                bury(&mut self.dead, message, &said)
                    .map_err(|error| Failure::DeadLetter(error.to_string()))?;
                self.window.note_acknowledged(packet);
            }
            Event::Failed(failure) => return Err(failure),
        }
        Ok(())
    }
}

fn bury(letters: &mut DeadLetters, message: &Outgoing, why: &str) -> io::Result<()> {
    let head = [
        ("topic", message.topic.as_str()),
        ("content_type", message.content_type.as_deref().unwrap_or_default()),
    ];
    let properties = message.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    letters.bury(&Letter { why, head: &head, body: &message.payload }, properties, wall_ms())?;
    tracing::warn!(topic = %message.topic, %why, "the server refuses a message for good; it is with the dead letters");
    Ok(())
}

impl Settings {
    fn new(config: &MqttOutputConfig, data: &std::path::Path) -> io::Result<Self> {
        let tls = config.tls.then(|| tls::load(config, data)).transpose()?;
        Ok(Self {
            host: config.host.clone(),
            port: config.port.unwrap_or(if config.tls { 8883 } else { 1883 }),
            client_id: config.client_id.clone(),
            login: login(config, data)?,
            tls,
            in_flight_max: config.in_flight_max.max(1),
            prefix: config.topic_prefix.clone(),
            versions: config.version,
        })
    }
}

fn login(config: &MqttOutputConfig, data: &std::path::Path) -> io::Result<Option<(String, String)>> {
    let Some(user) = &config.user else { return Ok(None) };
    let password = match (&config.password, &config.password_file) {
        (Some(password), _) => password.clone(),
        (None, Some(file)) => {
            std::fs::read_to_string(data.join(file))?.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, None) => String::new(),
    };
    Ok(Some((user.clone(), password)))
}
