//! A CoAP client that can say anything, right or wrong: bytes are written here, not by a library (RFC 7252, section 3).

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::{Login, SOON_MAX};

/// Content-Format of JSON (RFC 7252, section 12.3).
pub const JSON: u16 = 50;
/// Numbers of options (RFC 7252, section 12.2).
pub const URI_PATH: u16 = 11;
pub const CONTENT_FORMAT: u16 = 12;
pub const MAX_AGE: u16 = 14;
pub const URI_QUERY: u16 = 15;

/// How often a client looks whether its answer came, before it sends again. Half the shortest of RFC 7252, 4.8, so that
/// tests are quick.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// Bytes of the largest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Type of a message (RFC 7252, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Con = 0,
    Non = 1,
    Ack = 2,
    Rst = 3,
}

/// Code of a message, which prints as `2.04`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    pub const EMPTY: Self = Self(0);
    pub const GET: Self = Self(1);
    pub const POST: Self = Self(2);
    pub const PUT: Self = Self(3);
    pub const DELETE: Self = Self(4);

    pub fn class(self) -> u8 {
        self.0 >> 5
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 0x1f)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub kind: Kind,
    pub code: Code,
    pub id: u16,
    pub token: Vec<u8>,
    /// In order of their numbers.
    pub options: Vec<(u16, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Datagram {
    /// Without token, options and payload.
    pub fn bare(kind: Kind, code: Code, id: u16) -> Self {
        Self { kind, code, id, token: Vec::new(), options: Vec::new(), payload: Vec::new() }
    }

    /// Adds an option behind those with the same or a smaller number.
    #[must_use]
    pub fn with(mut self, number: u16, value: &[u8]) -> Self {
        let at = self.options.partition_point(|(other, _)| *other <= number);
        self.options.insert(at, (number, value.to_vec()));
        self
    }

    /// Adds the path `a/b` and the queries of `login`.
    #[must_use]
    pub fn to(mut self, path: &str, login: Option<&Login>) -> Self {
        for segment in path.split('/') {
            self = self.with(URI_PATH, segment.as_bytes());
        }
        let Some(login) = login else { return self };
        self.with(URI_QUERY, format!("device={}", login.user).as_bytes())
            .with(URI_QUERY, format!("token={}", login.password).as_bytes())
    }

    /// The number in the first option `number`.
    pub fn uint(&self, number: u16) -> Option<u64> {
        let (_, value) = self.options.iter().find(|(other, _)| *other == number)?;
        Some(value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// As bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let token_bytes = u8::try_from(self.token.len()).expect("a short token");
        let mut bytes = vec![1 << 6 | (self.kind as u8) << 4 | token_bytes, self.code.0];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend_from_slice(&self.token);
        let mut before = 0;
        for (number, value) in &self.options {
            let (delta, delta_more) = nibble(usize::from(number - before));
            let (length, length_more) = nibble(value.len());
            bytes.push(delta << 4 | length);
            bytes.extend(delta_more.into_iter().chain(length_more));
            bytes.extend_from_slice(value);
            before = *number;
        }
        if !self.payload.is_empty() {
            bytes.push(0xff);
            bytes.extend_from_slice(&self.payload);
        }
        bytes
    }

    /// Reads what the gateway sent, which has to be right.
    pub fn read(bytes: &[u8]) -> Self {
        Self::try_read(bytes).unwrap_or_else(|| panic!("no CoAP message: {bytes:02x?}"))
    }

    fn try_read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let kinds = [Kind::Con, Kind::Non, Kind::Ack, Kind::Rst];
        let id = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let mut message = Self::bare(kinds[usize::from(first >> 4 & 3)], Code(*bytes.get(1)?), id);
        let token_end = 4 + usize::from(first & 0xf);
        message.token = bytes.get(4..token_end)?.to_vec();
        if first >> 6 != 1 || message.token.len() > 8 {
            return None;
        }
        let mut rest = bytes.get(token_end..)?;
        let mut number = 0_u16;
        while let Some((head, after)) = rest.split_first() {
            if *head == 0xff {
                message.payload = after.to_vec();
                return (!after.is_empty()).then_some(message);
            }
            rest = after;
            let delta = extended(head >> 4, &mut rest)?;
            let length = extended(head & 0xf, &mut rest)?;
            number = number.checked_add(u16::try_from(delta).ok()?)?;
            let (value, after) = rest.split_at_checked(length)?;
            message.options.push((number, value.to_vec()));
            rest = after;
        }
        Some(message)
    }
}

/// Delta or length of an option: four bits and what follows them (RFC 7252, section 3.1).
fn nibble(number: usize) -> (u8, Vec<u8>) {
    match number {
        0..13 => (number as u8, Vec::new()),
        13..269 => (13, vec![(number - 13) as u8]),
        _ => (14, ((number - 269) as u16).to_be_bytes().to_vec()),
    }
}

fn extended(bits: u8, rest: &mut &[u8]) -> Option<usize> {
    let (bytes, least) = match bits {
        0..13 => return Some(usize::from(bits)),
        13 => (1, 13),
        14 => (2, 269),
        _ => return None,
    };
    let (more, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(more.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) + least)
}

/// How an exchange ended, and what it took.
#[derive(Debug)]
pub struct Exchange {
    pub response: Datagram,
    /// An empty acknowledgement came first.
    pub separate: bool,
    pub sent: u32,
}

/// A client with a port of its own.
pub struct CoapClient {
    pub socket: UdpSocket,
    next_id: u16,
}

impl CoapClient {
    pub fn open(server: SocketAddr) -> Self {
        Self::from_address(Ipv4Addr::LOCALHOST, server)
    }

    /// Sends from `address`, which may be any of 127.0.0.0/8.
    pub fn from_address(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("loopback has a free port");
        socket.connect(server).expect("an address of loopback");
        let next_id = socket.local_addr().expect("a bound socket").port();
        Self { socket, next_id }
    }

    pub fn fresh_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// A POST of JSON with an id and a token of its own.
    pub fn post(&mut self, path: &str, login: &Login, payload: &[u8]) -> Datagram {
        let mut request = self.request(Kind::Con, Code::POST).to(path, Some(login));
        request = request.with(CONTENT_FORMAT, &JSON.to_be_bytes()[1..]);
        request.payload = payload.to_vec();
        request
    }

    /// A request without options, with an id and a token of its own.
    pub fn request(&mut self, kind: Kind, code: Code) -> Datagram {
        let id = self.fresh_id();
        let mut request = Datagram::bare(kind, code, id);
        request.token = [&[0xc0][..], &id.to_be_bytes()].concat();
        request
    }

    pub fn send(&self, bytes: &[u8]) {
        // A gateway that is down has its port reported closed on the next call; the network may lose anything.
        let _lost = self.socket.send(bytes);
    }

    /// The next datagram that comes.
    pub fn receive(&self, time_max: Duration) -> Option<Datagram> {
        self.receive_bytes(time_max).map(|bytes| Datagram::read(&bytes))
    }

    pub fn receive_bytes(&self, time_max: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + time_max;
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("a time that is not zero");
            if let Ok(length) = self.socket.recv(&mut buffer) {
                buffer.truncate(length);
                return Some(buffer);
            }
        }
    }

    /// Sends `request` until its response comes, piggybacked or separate, which is acknowledged. It must come within
    /// `SOON_MAX`.
    pub fn exchange(&self, request: &Datagram) -> Exchange {
        self.exchange_within(SOON_MAX, request)
            .unwrap_or_else(|| panic!("no response within {SOON_MAX:?} to {request:?}"))
    }

    pub fn exchange_within(&self, time_max: Duration, request: &Datagram) -> Option<Exchange> {
        let end = Instant::now() + time_max;
        let bytes = request.bytes();
        let (mut sent, mut separate, mut send_at) = (0, false, Instant::now());
        while Instant::now() < end {
            if !separate && Instant::now() >= send_at {
                self.send(&bytes);
                sent += 1;
                send_at = Instant::now() + RETRANSMIT;
            }
            let Some(answer) = self.receive(Duration::from_millis(50)) else { continue };
            let own = answer.id == request.id && matches!(answer.kind, Kind::Ack | Kind::Rst);
            if own && answer.kind == Kind::Ack && answer.code == Code::EMPTY {
                separate = true;
            } else if own || (answer.token == request.token && answer.code.class() >= 2) {
                self.confirm(&answer);
                return Some(Exchange { response: answer, separate, sent });
            } else if answer.kind == Kind::Con {
                // The response to an earlier request, again: its acknowledgement was lost.
                self.confirm(&answer);
            }
        }
        None
    }

    /// Acknowledges a separate response.
    pub fn confirm(&self, answer: &Datagram) {
        if answer.kind == Kind::Con {
            self.send(&Datagram::bare(Kind::Ack, Code::EMPTY, answer.id).bytes());
        }
    }

    /// Posts a reading and waits; the response's code.
    pub fn post_and_wait(&mut self, path: &str, login: &Login, payload: &[u8]) -> Code {
        let request = self.post(path, login, payload);
        self.exchange(&request).response.code
    }

    /// Whether `server` answers a ping with a reset (RFC 7252, section 4.3).
    pub fn ping(&mut self) -> bool {
        let ping = Datagram::bare(Kind::Con, Code::EMPTY, self.fresh_id());
        self.send(&ping.bytes());
        let answer = self.receive(Duration::from_millis(200));
        answer.is_some_and(|answer| answer == Datagram::bare(Kind::Rst, Code::EMPTY, ping.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_rfc() {
        // RFC 7252, appendix A, figure 16, with a token.
        let mut request = Datagram::bare(Kind::Con, Code::GET, 0x7d35).with(URI_PATH, b"temperature");
        request.token = vec![0x20];
        let mut bytes = vec![0x41, 0x01, 0x7d, 0x35, 0x20, 0xbb];
        bytes.extend_from_slice(b"temperature");
        assert_eq!(request.bytes(), bytes);
        assert_eq!(Datagram::read(&bytes), request);
    }

    #[test]
    fn long_options_come_back() {
        let login = Login { user: "sensor_1".to_owned(), password: "x".repeat(300) };
        let mut request =
            Datagram::bare(Kind::Non, Code::POST, 1).to("telemetry", Some(&login)).with(2_053, &[7; 20]);
        request.payload = b"1".to_vec();
        assert_eq!(Datagram::read(&request.bytes()), request);
        let numbers: Vec<u16> = request.options.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [URI_PATH, URI_QUERY, URI_QUERY, 2_053]);
    }
}
