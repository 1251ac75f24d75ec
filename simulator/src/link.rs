//! What a virtual device and a server say to each other, whatever the protocol.

use std::{fmt, io, time::Duration};

use crate::{
    clock::Clock,
    coap,
    mqtt::{self, Version},
    plan::{Protocol, Target},
};

/// At least once, or at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qos {
    /// Nobody acknowledges: MQTT QoS 0, CoAP NON.
    AtMostOnce,
    /// The server acknowledges: MQTT QoS 1, CoAP CON.
    #[default]
    AtLeastOnce,
}

/// How to reach a server, and who does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    pub(crate) target: &'a Target,
    pub(crate) version: Version,
    pub(crate) qos: Qos,
    pub(crate) client_id: &'a str,
    pub(crate) login: Option<(&'a str, &'a str)>,
    pub(crate) topic: &'a str,
    pub(crate) keep_alive: Duration,
    pub(crate) connect_max: Duration,
    /// Publishes without an acknowledgement, at most.
    pub(crate) inflight_max: u16,
    pub(crate) payload_bytes_max: usize,
    /// CoAP: between a message and its first repetition.
    pub(crate) retransmit_wait: Duration,
    /// CoAP: between the acknowledgement of a request and its response.
    pub(crate) acknowledge_max: Duration,
    pub(crate) clock: Clock,
    /// From what ids and jitter are made.
    pub(crate) key: u64,
}

/// What happens on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// There is a socket. The server has not said anything so far, which CoAP does not wait for.
    Open,
    /// The server lets the device in: MQTT with CONNACK, CoAP with its first answer.
    Connected,
    /// The oldest publish handed over was written, under this packet id (0 at MQTT QoS 0).
    Written(u16),
    /// It was written once more, for want of an answer (CoAP).
    Retransmitted,
    /// The server has acknowledged it.
    Acknowledged(u16),
    /// The server has refused it.
    Refused(u16, Refusal),
}

/// A no of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Packet, code and name.
    pub(crate) said: String,
    pub(crate) meaning: Meaning,
}

/// What a device makes of a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same reading may be taken later; after this long, if the server says so.
    Passing(Option<Duration>),
    /// The server wants fewer connections or messages in the same time.
    Rate,
    /// It is the login that is wrong, so that it will be wrong next time.
    Login,
    /// It lies in the reading or the topic.
    Lasting,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

/// Why a link ended or never came about.
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
    Mqtt(mqtt::Publisher),
    Coap(coap::Publisher),
}

/// The half that moves the bytes and says what happened.
pub(crate) enum Connection {
    Mqtt(mqtt::Connection),
    Coap(Box<coap::Connection>),
}

/// What outlives a link, so that a device stays the peer it was: the socket of CoAP.
pub(crate) type Kept = Option<coap::Endpoint>;

/// Makes a link; [`Connection::next`] opens it.
pub(crate) fn connect(options: &Options<'_>, kept: Kept) -> (Publisher, Connection) {
    match options.target.protocol {
        Protocol::Mqtt => {
            let (publisher, connection) = mqtt::connect(options);
            (Publisher::Mqtt(publisher), Connection::Mqtt(connection))
        }
        Protocol::Coap => {
            let (publisher, connection) = coap::connect(options, kept);
            (Publisher::Coap(publisher), Connection::Coap(Box::new(connection)))
        }
    }
}

impl Publisher {
    /// Hands a publish over. `false` when it was not taken: more are handed over and not acknowledged than
    /// `inflight_max`, or the topic holds a wildcard.
    pub(crate) fn publish(&self, topic: &str, qos: Qos, payload: String) -> bool {
        match self {
            Self::Mqtt(publisher) => publisher.publish(topic, qos, payload),
            Self::Coap(publisher) => publisher.publish(payload),
        }
    }

    /// Takes leave; the connection ends when it is written. CoAP knows no leave.
    pub(crate) fn disconnect(&self) {
        match self {
            Self::Mqtt(publisher) => publisher.disconnect(),
            Self::Coap(_) => {}
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
            Self::Mqtt(connection) => connection.next().await,
            Self::Coap(connection) => connection.next().await,
        }
    }

    /// What was read before the connection failed: acknowledgements among it.
    pub(crate) fn leftovers(&mut self) -> Vec<Event> {
        match self {
            Self::Mqtt(connection) => connection.leftovers(),
            Self::Coap(connection) => connection.leftovers(),
        }
    }

    /// Ends the link with a word to the server where the protocol has one.
    pub(crate) async fn leave(&mut self, publisher: &Publisher) {
        publisher.disconnect();
        if let Self::Mqtt(connection) = self {
            while connection.next().await.is_ok() {}
        }
    }

    pub(crate) fn into_kept(self) -> Kept {
        match self {
            Self::Mqtt(_) => None,
            Self::Coap(connection) => connection.into_endpoint(),
        }
    }
}
