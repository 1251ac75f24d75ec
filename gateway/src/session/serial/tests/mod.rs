//! The gateway's half against the firmware's own, with no port, no disk and no sleep.

mod day;
mod said;

use tidegate_firmware::{
    Channel, Config, Node,
    store::{Identity, RamStore, Store},
};
use tidegate_protocol::{
    DeviceId, Lane,
    serial::{DeviceKey, WIRE_BYTES_MAX},
};

use super::*;
use crate::{clock::Millis, session::Refusal, spool::Position};

const SECRET: &str = "00112233445566778899aabbccddeeff";
const SALT: [u8; 16] = [9; 16];
const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 1 }];
const ADDRESS: u16 = 3;

/// A port with a registry and a spool behind it, both as small as they can be.
pub(super) struct Gateway {
    pub(super) port: Port,
    pub(super) marks: Marks,
    links: u8,
    /// Device, place and payload of each record, in order; how many of them are on disk.
    pub(super) spool: Vec<(String, Place, String)>,
    pub(super) durable: usize,
    names: Vec<(LinkId, String)>,
    pub(super) refusal: Option<Refusal>,
    /// The secret that is right.
    pub(super) secret: &'static str,
    pub(super) adopts: Option<&'static str>,
    pub(super) seen: Vec<Uplink>,
    pub(super) wall_ms: Millis,
}

impl Gateway {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        Self {
            port: Port::new(limits),
            marks: Marks::default(),
            links: 0,
            spool: Vec::new(),
            durable: 0,
            names: Vec::new(),
            refusal: None,
            secret: SECRET,
            adopts: None,
            seen: Vec::new(),
            wall_ms: 1_790_000_000_000,
        }
    }

    /// The process is killed and started again: what is not on disk is gone, and so is every link.
    pub(super) fn restart(&mut self) {
        self.spool.truncate(self.durable);
        self.port = Port::new(Limits::default());
        self.marks = Marks::default();
        for (device, place, _) in &self.spool {
            self.marks.note(&DeviceId::new(device).unwrap(), *place, None);
        }
    }

    /// Bytes in, bytes out.
    pub(super) fn handle(&mut self, bytes: &[u8], now_ms: Millis) -> Vec<u8> {
        self.port.handle_bytes(bytes, now_ms);
        self.answer_all(now_ms);
        self.said()
    }

    pub(super) fn said(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.port.poll_transmit(&mut out);
        out
    }

    pub(super) fn answer_all(&mut self, now_ms: Millis) {
        while let Some(uplink) = self.port.poll_uplink() {
            self.seen.push(uplink.clone());
            match uplink {
                Uplink::Hello(greeting) => {
                    self.links += 1;
                    self.names.push((greeting.link, greeting.device));
                    let key = DeviceKey::derive(&SALT, self.secret.as_bytes());
                    let offer = Offer { salt: SALT, key, nonce: [self.links; 8] };
                    self.port.handle_offer(greeting.link, &offer, now_ms);
                }
                Uplink::Announce(greeting) => match self.adopts {
                    None => self.port.handle_not_adopted(greeting.link),
                    Some(device) => {
                        let (hardware, secret) = (&*greeting.hardware, self.secret);
                        let adopt =
                            tidegate_protocol::serial::Adopt { hardware, device, secret, boot_seen: 0 };
                        self.port.handle_adopted(greeting.link, &adopt);
                    }
                },
                Uplink::Proven(link) => {
                    let boot_seen = self.marks.boot_seen(&self.device(link));
                    self.port.handle_login(link, boot_seen, (now_ms, self.wall_ms));
                }
                Uplink::Readings(batch) => {
                    for (receipt, taken) in batch.readings {
                        let outcome = match taken {
                            Taken::Payload(payload) => self.store(receipt.link, receipt.place, payload),
                            Taken::Unfit(_) => Err(Refusal::PayloadFormatInvalid),
                        };
                        if !self.port.handle_stored(&receipt, outcome) {
                            break;
                        }
                    }
                }
                Uplink::Gap(Gone { receipt, boot, from, to }) => {
                    let device = self.device(receipt.link);
                    let payload = gap_payload(device.as_str(), boot, from, to);
                    let outcome = self.store(receipt.link, receipt.place, payload);
                    self.port.handle_stored(&receipt, outcome);
                }
                Uplink::Answer(..) | Uplink::Unproven(_) => {}
            }
        }
    }

    fn device(&self, link: LinkId) -> DeviceId {
        let name = self.names.iter().find(|(held, _)| *held == link).map(|(_, name)| name);
        DeviceId::new(name.unwrap()).unwrap()
    }

    fn store(&mut self, link: LinkId, place: Place, payload: String) -> Result<Option<Position>, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let device = self.device(link);
        if let Some(position) = self.marks.known(&device, place) {
            return Ok(position);
        }
        let position = Position { lane: Lane::Telemetry, offset: self.spool.len() as u64 };
        self.spool.push((device.to_string(), place, payload));
        self.marks.note(&device, place, Some(position));
        Ok(Some(position))
    }

    /// The disk confirms everything.
    pub(super) fn commit(&mut self) -> Vec<u8> {
        self.durable = self.spool.len();
        let end = self.durable as u64;
        self.port.settle(|position| position.offset < end);
        self.marks.settle_by(|position| position.offset < end);
        self.said()
    }

    pub(super) fn payloads(&self) -> Vec<&str> {
        self.spool.iter().map(|(_, _, payload)| payload.as_str()).collect()
    }
}

pub(super) fn identity(device: &str) -> Identity {
    Identity { device: device.try_into().unwrap(), secret: SECRET.try_into().unwrap(), boot_base: 0 }
}

pub(super) fn config(address: u16, seed: u8) -> Config {
    Config {
        hardware: "e6614103e7452c2f".try_into().unwrap(),
        model: "test".try_into().unwrap(),
        firmware: "0.1.0".try_into().unwrap(),
        address,
        seed: [seed; 32],
        period_ms: 1_000,
    }
}

pub(super) fn board(device: &str, address: u16) -> Node<RamStore<1, 64>, 1> {
    Node::new(RamStore::new(Some(identity(device))), CHANNELS, config(address, 1))
}

/// All that a board has to send.
pub(super) fn sent<S: Store<1>>(node: &mut Node<S, 1>, now_ms: Millis) -> Vec<u8> {
    let mut out = [0; WIRE_BYTES_MAX];
    let mut all = Vec::new();
    while let Some(bytes) = node.poll_transmit(now_ms, &mut out) {
        all.extend_from_slice(bytes);
    }
    all
}

/// Lets both talk over a perfect line and a quick disk until the board has nothing to say at `now_ms`.
pub(super) fn talk<S: Store<1>>(node: &mut Node<S, 1>, gateway: &mut Gateway, now_ms: Millis) {
    loop {
        let bytes = sent(node, now_ms);
        if bytes.is_empty() {
            return;
        }
        let mut answer = gateway.handle(&bytes, now_ms);
        answer.extend(gateway.commit());
        node.handle_bytes(&answer, now_ms);
    }
}
