//! An MQTT client that can say anything, right or wrong: bytes are written here, not by a library.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{Login, SOON_MAX};

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

/// What goes into a CONNECT.
#[derive(Clone, Debug)]
pub struct Connect<'a> {
    pub version: Version,
    pub client_id: &'a str,
    pub login: Option<&'a Login>,
    pub keep_alive_s: u16,
}

/// What goes into a PUBLISH.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub id: u16,
}

/// A frame that came: first byte and what follows the length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub first: u8,
    pub body: Vec<u8>,
}

impl Answer {
    /// Number of the packet type (MQTT 2.2.1): 2 CONNACK, 4 PUBACK, 14 DISCONNECT.
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// Packet id at the start of the body.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.body[0], self.body[1]])
    }

    /// Reason code of a PUBACK: 0 when it is left out.
    pub fn puback_reason(&self) -> u8 {
        assert_eq!(self.kind(), 4, "{self:?}");
        self.body.get(2).copied().unwrap_or(0)
    }
}

/// A connection.
pub struct Client {
    pub version: Version,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// A TCP connection, nothing sent.
    pub fn open(port: u16) -> Self {
        Self::try_open(port).expect("the gateway listens")
    }

    /// The same, beside a gateway that may just have ended.
    pub fn try_open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { version: Version::V5, stream, received: Vec::new() })
    }

    /// Connects and sends CONNECT; the CONNACK's code.
    pub fn connect(port: u16, connect: &Connect<'_>) -> (Self, u8) {
        let mut client = Self::open(port);
        client.version = connect.version;
        client.send(&connect.bytes());
        let answer = client.answer();
        assert_eq!(answer.kind(), 2, "no CONNACK but {answer:?}");
        let code = answer.body[1];
        (client, code)
    }

    /// Connected as `login`, which must be let in; the client id is the user name.
    pub fn login(port: u16, version: Version, login: &Login) -> Self {
        let connect = Connect { version, client_id: &login.user, login: Some(login), keep_alive_s: 60 };
        let (client, code) = Self::connect(port, &connect);
        assert_eq!(code, 0, "{} is not let in", login.user);
        client
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the connection is open");
    }

    /// # Errors
    /// The other side is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(SOON_MAX))?;
        self.stream.write_all(bytes)
    }

    /// Publishes.
    pub fn publish(&mut self, publish: &Publish<'_>) {
        self.send(&publish.bytes(self.version));
    }

    /// Publishes with QoS 1 and waits for the answer; its reason code.
    pub fn publish_and_wait(&mut self, topic: &str, payload: &[u8], id: u16) -> u8 {
        self.publish(&Publish { topic, payload, qos: 1, id });
        let answer = self.answer();
        assert_eq!((answer.kind(), answer.id()), (4, id), "{answer:?}");
        answer.puback_reason()
    }

    /// Subscribes to `filter` and waits; the reason code.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        let mut body = vec![0, 1];
        if self.version == Version::V5 {
            body.push(0);
        }
        body.extend(text(filter));
        body.push(qos);
        self.send(&frame(0x82, &body));
        let answer = self.answer();
        assert_eq!(answer.kind(), 9, "no SUBACK but {answer:?}");
        *answer.body.last().expect("a SUBACK has a code a filter")
    }

    /// The next frame, within `SOON_MAX`.
    pub fn answer(&mut self) -> Answer {
        match self.answer_within(SOON_MAX) {
            Ok(Some(answer)) => answer,
            Ok(None) => panic!("no answer within {SOON_MAX:?}"),
            Err(error) => panic!("the connection ended instead of an answer: {error}"),
        }
    }

    /// The next frame, or `None` when none came in time.
    ///
    /// # Errors
    /// The other side closed the connection.
    pub fn answer_within(&mut self, time_max: Duration) -> io::Result<Option<Answer>> {
        let end = Instant::now() + time_max;
        loop {
            if let Some(answer) = self.take_frame() {
                return Ok(Some(answer));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whatever came before the other side closed the connection; `None` when it stayed open.
    pub fn last_words(&mut self, time_max: Duration) -> Option<Vec<Answer>> {
        let end = Instant::now() + time_max;
        let mut words = Vec::new();
        loop {
            match self.answer_within(end.saturating_duration_since(Instant::now())) {
                Ok(Some(answer)) => words.push(answer),
                Ok(None) => return None,
                Err(_) => return Some(words),
            }
        }
    }

    fn take_frame(&mut self) -> Option<Answer> {
        let (mut length, mut at) = (0_usize, 1);
        loop {
            let byte = *self.received.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.received.len() < at + length {
            return None;
        }
        let frame: Vec<u8> = self.received.drain(..at + length).collect();
        Some(Answer { first: frame[0], body: frame[at..].to_vec() })
    }
}

impl Connect<'_> {
    /// As bytes (MQTT 3.1).
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = text("MQTT");
        body.push(if self.version == Version::V311 { 4 } else { 5 });
        body.push(0b10 | if self.login.is_some() { 0b1100_0000 } else { 0 });
        body.extend(self.keep_alive_s.to_be_bytes());
        if self.version == Version::V5 {
            body.push(0);
        }
        body.extend(text(self.client_id));
        if let Some(login) = self.login {
            body.extend(text(&login.user));
            body.extend(text(&login.password));
        }
        frame(0x10, &body)
    }
}

impl Publish<'_> {
    /// As bytes (MQTT 3.3).
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = text(self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        if version == Version::V5 {
            body.push(0);
        }
        body.extend_from_slice(self.payload);
        frame(0x30 | self.qos << 1, &body)
    }
}

/// First byte, length, body.
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(remaining_length(body.len()));
    bytes.extend_from_slice(body);
    bytes
}

/// MQTT 2.2.3 (2.1.4 of MQTT 5).
pub fn remaining_length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(length % 128).expect("below 128");
        length /= 128;
        bytes.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return bytes;
        }
    }
}

/// A text with its length in front (MQTT 1.5.3).
pub fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a text of MQTT is short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}
