//! MQTT connections of virtual devices. Nothing else in the simulator names `rumqttc`.
//!
//! Each connection is a client of its own with a clean session, and is thrown away with all that it holds when it
//! ends. `rumqttc` would publish again by itself what was not acknowledged, but only in a session that the server has
//! kept, in the order of packet ids, which is not the order of readings once the ids have wrapped, and behind a
//! fresh connection's requests; with a clean session it drops them. So there is one way to send again, and it is
//! [`Device`](crate::device::Device)'s.

mod v4;
mod v5;

use std::{fmt, io, time::Duration};

/// Bytes in the longest packet that a virtual device takes.
const INCOMING_BYTES_MAX: u32 = 10 * 1024;

/// Room for a topic and a header in front of the payload.
const OUTGOING_HEAD_BYTES_MAX: usize = 70 * 1024;

/// Which MQTT a virtual device speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.
    #[default]
    V5,
}

/// At least once, or at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qos {
    /// Nobody acknowledges.
    AtMostOnce,
    /// The server acknowledges.
    #[default]
    AtLeastOnce,
}

/// How to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    pub(crate) version: Version,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) client_id: &'a str,
    pub(crate) login: Option<(&'a str, &'a str)>,
    pub(crate) keep_alive: Duration,
    pub(crate) connect_max: Duration,
    /// Publishes without an acknowledgement, at most.
    pub(crate) inflight_max: u16,
    pub(crate) payload_bytes_max: usize,
}

impl Options<'_> {
    /// Packet ids to go round in: twice the window, so that an id is free again when its turn comes even where the
    /// server acknowledges out of order.
    fn packet_ids_max(&self) -> u16 {
        self.inflight_max.saturating_mul(2).max(1)
    }
}

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The server has accepted the login.
    Connected,
    /// The oldest publish handed over was written, under this packet id (0 at QoS 0).
    Written(u16),
    /// The server has acknowledged it.
    Acknowledged(u16),
    /// The server has refused it (MQTT 5).
    Refused(u16, Refusal),
}

/// A reason code of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `CONNACK`, `PUBACK` or `DISCONNECT`.
    pub(crate) packet: &'static str,
    pub(crate) code: u8,
    pub(crate) name: String,
}

impl Refusal {
    /// May the same reading be taken later? Reasons that lie in the reading or the topic do not pass.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self.code, 0x80 | 0x83 | 0x97)
    }

    /// Does the server want fewer connections or messages in the same time?
    pub(crate) const fn is_rate(&self) -> bool {
        matches!(self.code, 0x96 | 0x9F)
    }

    /// Is it the login that is wrong, so that it will be wrong next time?
    pub(crate) fn is_login(&self) -> bool {
        self.packet == "CONNACK" && matches!(self.code, 4 | 5 | 0x86 | 0x87 | 0x8A | 0x8C)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#04x} {}", self.packet, self.code, self.name)
    }
}

/// Why a connection ended or never came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server said so.
    Refused(Refusal),
    /// Nothing listens there.
    NothingListens,
    /// The host's name is unknown, or there is no way to it.
    Network(String),
    /// No answer to CONNECT, or none to a publish for too long.
    Timeout,
    /// The connection was closed without a word.
    Closed,
    /// The server said something that a server does not say.
    Protocol(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NothingListens => f.write_str("connection refused"),
            Self::Network(text) | Self::Protocol(text) => f.write_str(text),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Closed => f.write_str("closed by the server"),
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::NothingListens,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
                Self::Closed
            }
            Kind::TimedOut => Self::Timeout,
            _ => Self::Network(error.to_string()),
        }
    }
}

/// The half that publishes.
#[derive(Debug)]
pub(crate) enum Publisher {
    V4(v4::Publisher),
    V5(v5::Publisher),
}

/// The half that moves the bytes and says what happened.
pub(crate) enum Connection {
    V4(Box<v4::Connection>),
    V5(Box<v5::Connection>),
}

/// Makes a connection; [`Connection::next`] opens it.
pub(crate) fn connect(options: &Options<'_>) -> (Publisher, Connection) {
    match options.version {
        Version::V4 => {
            let (publisher, connection) = v4::connect(options);
            (Publisher::V4(publisher), Connection::V4(Box::new(connection)))
        }
        Version::V5 => {
            let (publisher, connection) = v5::connect(options);
            (Publisher::V5(publisher), Connection::V5(Box::new(connection)))
        }
    }
}

impl Publisher {
    /// Hands a publish over. `false` when it was not taken: more are handed over and not acknowledged than
    /// `inflight_max`, or the topic holds a wildcard.
    pub(crate) fn publish(&self, topic: &str, qos: Qos, payload: String) -> bool {
        match self {
            Self::V4(publisher) => publisher.publish(topic, qos, payload),
            Self::V5(publisher) => publisher.publish(topic, qos, payload),
        }
    }

    /// Takes leave; the connection ends when it is written.
    pub(crate) fn disconnect(&self) {
        match self {
            Self::V4(publisher) => publisher.disconnect(),
            Self::V5(publisher) => publisher.disconnect(),
        }
    }
}

impl Connection {
    /// The next event. Must not be dropped half way, unless the connection is given up with it: a publish might stay
    /// unwritten.
    ///
    /// # Errors
    /// The connection has ended. [`Connection::leftovers`] has what happened before that.
    pub(crate) async fn next(&mut self) -> Result<Event, Failure> {
        match self {
            Self::V4(connection) => connection.next().await,
            Self::V5(connection) => connection.next().await,
        }
    }

    /// What was read before the connection failed: acknowledgements among it.
    pub(crate) fn leftovers(&mut self) -> Vec<Event> {
        match self {
            Self::V4(connection) => connection.leftovers(),
            Self::V5(connection) => connection.leftovers(),
        }
    }
}

/// `BadUserNamePassword` as `bad user name password`.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_the_standard_names_it() {
        let refusal = Refusal { packet: "PUBACK", code: 0x97, name: words("QuotaExceeded") };
        assert_eq!(refusal.to_string(), "PUBACK 0x97 quota exceeded");
        assert!(refusal.is_passing() && !refusal.is_login());
    }
}
