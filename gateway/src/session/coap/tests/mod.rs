//! Whole conversations, with no socket and no sleep.

mod bad_input;
mod duplicates;
mod known;
mod limits;
mod mutate;
mod requests;
mod separate;

use std::{net::SocketAddr, sync::Arc};

use tidegate_protocol::Lane;

use super::{answer::code_text, codec::read_back::Sent, strict::Kind, *};

/// An endpoint with a spool that takes everything, unless told otherwise.
struct Gateway {
    endpoint: Endpoint,
    now_ms: Millis,
    refusal: Option<Refusal>,
    /// Requests are left waiting, as for a password that is being checked.
    waits: bool,
    seen: Vec<Request>,
    stored: u64,
}

/// What a peer got.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    peer: SocketAddr,
    kind: Kind,
    /// `2.04`; `0.00` for an empty message.
    code: String,
    message_id: u16,
    token: Vec<u8>,
    bytes: Vec<u8>,
}

impl Got {
    fn option(&self, number: u16) -> Option<u32> {
        Sent::new(&self.bytes).uint(number)
    }

    fn text(&self) -> String {
        Sent::new(&self.bytes).payload().to_owned()
    }
}

impl Gateway {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let endpoint = Endpoint::new(Arc::new(limits), 0x5eed_0123_4567_89ab);
        Self { endpoint, now_ms: 1_000, refusal: None, waits: false, seen: Vec::new(), stored: 0 }
    }

    /// One datagram in, what goes out at once.
    fn send(&mut self, datagram: &[u8]) -> Vec<Got> {
        self.send_from(peer(1), datagram)
    }

    fn send_from(&mut self, peer: SocketAddr, datagram: &[u8]) -> Vec<Got> {
        if let Some(request) = self.endpoint.handle_datagram(peer, datagram, self.now_ms) {
            match self.refusal {
                Some(refusal) => self.endpoint.handle_refused(request.receipt, refusal, self.now_ms),
                None if self.waits => self.endpoint.handle_waiting(request.receipt),
                None => self.store(request.receipt),
            }
            self.seen.push(request);
        }
        self.sent()
    }

    fn store(&mut self, receipt: Receipt) {
        self.endpoint.handle_stored(receipt, Position { lane: Lane::Telemetry, offset: self.stored });
        self.stored += 1;
    }

    /// The one answer to a datagram.
    fn answer(&mut self, datagram: &[u8]) -> Got {
        let mut got = self.send(datagram);
        assert_eq!(got.len(), 1, "{got:?}");
        got.remove(0)
    }

    /// The disk confirms everything.
    fn settle(&mut self) -> Vec<Got> {
        self.endpoint.settle(Lane::Telemetry, self.stored, self.now_ms);
        self.sent()
    }

    fn pass(&mut self, ms: Millis) -> Vec<Got> {
        self.now_ms += ms;
        self.endpoint.handle_timeout(self.now_ms);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Got> {
        let mut out = Outbox::default();
        self.endpoint.poll_transmit(&mut out);
        out.iter()
            .map(|(peer, bytes)| {
                let head = strict::head(bytes).expect("what is sent is well formed");
                let token = head.token.as_bytes().to_vec();
                let (kind, code) = (head.kind, code_text(head.code));
                Got { peer, kind, code, message_id: head.message_id, token, bytes: bytes.to_vec() }
            })
            .collect()
    }
}

fn peer(number: u16) -> SocketAddr {
    ([192, 0, 2, 1], number).into()
}

/// A request as it is on the wire.
#[derive(Clone, Debug)]
struct Asking {
    kind: u8,
    code: u8,
    message_id: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

const CON: u8 = 0;
const NON: u8 = 1;
const ACK: u8 = 2;
const RST: u8 = 3;

/// A confirmable POST of a reading with a token of two bytes, a device and its secret.
fn post(path: &str, message_id: u16) -> Asking {
    let mut asking = Asking {
        kind: CON,
        code: 2,
        message_id,
        token: vec![7, 8],
        options: Vec::new(),
        payload: b"{\"temperature\":23.4}".to_vec(),
    };
    for segment in path.split('/').filter(|_| !path.is_empty()) {
        asking.options.push((11, segment.into()));
    }
    asking.options.push((15, b"device=sensor_1".to_vec()));
    asking.options.push((15, b"token=00112233445566778899aabbccddeeff".to_vec()));
    asking
}

impl Asking {
    fn kind(mut self, kind: u8) -> Self {
        self.kind = kind;
        self
    }

    fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    fn option(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self.options.sort_by_key(|(number, _)| *number);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let [high, low] = self.message_id.to_be_bytes();
        let mut out = vec![1 << 6 | self.kind << 4 | byte(short(self.token.len())), self.code, high, low];
        out.extend(&self.token);
        let mut last = 0;
        for (number, value) in &self.options {
            let (delta, delta_more) = nibble(number - last);
            let (length, length_more) = nibble(short(value.len()));
            out.push(delta << 4 | length);
            out.extend(delta_more);
            out.extend(length_more);
            out.extend(value);
            last = *number;
        }
        if !self.payload.is_empty() {
            out.push(0xFF);
            out.extend(&self.payload);
        }
        out
    }
}

fn nibble(value: u16) -> (u8, Vec<u8>) {
    match value {
        0..=12 => (byte(value), Vec::new()),
        13..=268 => (13, vec![byte(value - 13)]),
        _ => (14, (value - 269).to_be_bytes().to_vec()),
    }
}

fn empty(kind: u8, message_id: u16) -> Vec<u8> {
    let [high, low] = message_id.to_be_bytes();
    vec![1 << 6 | kind << 4, 0, high, low]
}

fn short(number: usize) -> u16 {
    number.try_into().expect("a small number")
}

fn byte(number: u16) -> u8 {
    number.try_into().expect("a smaller one")
}
