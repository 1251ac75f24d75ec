//! MQTT connections of virtual devices. Nothing else in the simulator names `rumqttc`.
//!
//! Each connection is a client of its own with a clean session, and is thrown away with all that it holds when it
//! ends. `rumqttc` would publish again by itself what was not acknowledged, but only in a session that the server has
//! kept, in the order of packet ids, which is not the order of readings once the ids have wrapped, and behind a
//! fresh connection's requests; with a clean session it drops them. So there is one way to send again, and it is
//! [`Device`](crate::device::Device)'s.

mod subscriber;
mod v4;
mod v5;

pub(crate) use subscriber::{Heard, Subscriber};

use crate::link::{Event, Failure, Meaning, Options, Qos, Refusal};

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

impl Options<'_> {
    /// Packet ids to go round in: twice the window, so that an id is free again when its turn comes even where the
    /// server acknowledges out of order.
    fn packet_ids_max(&self) -> u16 {
        self.inflight_max.saturating_mul(2).max(1)
    }
}

/// `packet` is `CONNACK`, `PUBACK` or `DISCONNECT`; `name` the library's for the reason code.
fn refusal(packet: &'static str, code: u8, name: &str) -> Refusal {
    let meaning = match (packet, code) {
        ("CONNACK", 4 | 5 | 0x86 | 0x87 | 0x8A | 0x8C) => Meaning::Login,
        (_, 0x96 | 0x9F) => Meaning::Rate,
        (_, 0x80 | 0x83 | 0x97) => Meaning::Passing(None),
        _ => Meaning::Lasting,
    };
    Refusal { said: format!("{packet} {code:#04x} {}", words(name)), meaning }
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
        let quota = refusal("PUBACK", 0x97, "QuotaExceeded");
        assert_eq!(quota.to_string(), "PUBACK 0x97 quota exceeded");
        assert_eq!(quota.meaning, Meaning::Passing(None));
        assert_eq!(refusal("CONNACK", 0x86, "BadUserNamePassword").meaning, Meaning::Login);
        assert_eq!(refusal("PUBACK", 0x87, "NotAuthorized").meaning, Meaning::Lasting);
        assert_eq!(refusal("DISCONNECT", 0x96, "MessageRateTooHigh").meaning, Meaning::Rate);
    }
}
