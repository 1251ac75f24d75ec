//! A gateway as small as it can be: it stores at once and remembers where it stands.

use std::{borrow::ToOwned, string::String, vec, vec::Vec};

use tidegate_protocol::serial::{
    Acknowledge, Adopt, Answer, BODY_BYTES_MAX, Challenge, Decoder, DeviceKey, Direction, FromDevice, Header,
    LinkKey, Message, Reason, Refuse, WIRE_BYTES_MAX, Welcome, encode,
};

use super::SECRET;

const SALT: [u8; 16] = [5; 16];

pub(super) struct Gateway {
    decoder: Decoder,
    key: Option<LinkKey>,
    device: String,
    sent: u32,
    links: u8,
    pub(super) mark: (u32, u64),
    pub(super) secret: &'static str,
    /// Boot, number, time and digits of all that was taken.
    pub(super) taken: Vec<(u32, u64, u64, Option<i64>)>,
    pub(super) gaps: Vec<(u32, u64, u64)>,
    pub(super) answers: Vec<Answer>,
    pub(super) wall_ms: u64,
    /// Refuses readings for this reason.
    pub(super) refuses: Option<(Reason, u32)>,
    /// Gives this id to a board without one.
    pub(super) adopts: Option<&'static str>,
    pub(super) hellos: u32,
}

impl Gateway {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            key: None,
            device: String::new(),
            sent: 0,
            links: 0,
            mark: (0, 0),
            secret: SECRET,
            taken: vec![],
            gaps: vec![],
            answers: vec![],
            wall_ms: 0,
            refuses: None,
            adopts: None,
            hellos: 0,
        }
    }

    /// It was started again: links are gone, what is stored is not.
    pub(super) fn restart(&mut self) {
        self.key = None;
    }

    pub(super) fn handle(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut answers = vec![];
        for byte in bytes {
            let mut decoder = core::mem::take(&mut self.decoder);
            if let Some(Ok(frame)) = decoder.push(*byte) {
                let body = FromDevice::decode(frame.header.kind, frame.body);
                let is_sealed = self.key.as_ref().is_some_and(|key| frame.is_from(key, Direction::ToGateway));
                match body {
                    Ok(FromDevice::Hello(hello)) => answers.extend(self.greet(&hello)),
                    Ok(body) if is_sealed => answers.extend(self.take(&body, frame.header.sequence)),
                    _ => answers.push(self.no(Reason::NoLink)),
                }
            }
            self.decoder = decoder;
        }
        answers
    }

    fn greet(&mut self, hello: &tidegate_protocol::serial::Hello<'_>) -> Option<Vec<u8>> {
        self.hellos += 1;
        if hello.device.is_empty() {
            let Some(device) = self.adopts else { return Some(self.no(Reason::NotAdopted)) };
            let (hardware, secret) = (hello.hardware, self.secret);
            return Some(self.frame(&Adopt { hardware, device, secret, boot_seen: self.mark.0 }, false));
        }
        self.links += 1;
        let nonce = [self.links; 8];
        let device_key = DeviceKey::derive(&SALT, self.secret.as_bytes());
        self.device = hello.device.to_owned();
        self.key = Some(LinkKey::derive(&device_key, hello.device, &hello.nonce, &nonce));
        self.sent = 0;
        Some(self.frame(&Challenge { echo: hello.nonce, nonce, salt: SALT }, true))
    }

    fn take(&mut self, body: &FromDevice<'_>, number: u32) -> Option<Vec<u8>> {
        match body {
            FromDevice::Ready(_) => {
                Some(self.frame(&Welcome { wall_ms: self.wall_ms, boot_seen: self.mark.0 }, true))
            }
            FromDevice::Readings(readings) => {
                if let Some((reason, wait_ms)) = self.refuses {
                    let (boot, sequence) = (readings.boot, readings.entries[0].sequence);
                    let refuse = Refuse { reason: reason.code(), frame: number, boot, sequence, wait_ms };
                    return Some(self.frame(&refuse, true));
                }
                for entry in &readings.entries {
                    let place = (readings.boot, entry.sequence);
                    if place > self.mark {
                        let digits = match entry.samples[0] {
                            tidegate_protocol::serial::Sample::Number(number) => Some(number.digits),
                            _ => None,
                        };
                        self.taken.push((place.0, place.1, entry.wall_ms, digits));
                        self.mark = place;
                    }
                }
                Some(self.acknowledge())
            }
            FromDevice::Gap(gap) => {
                if (gap.boot, gap.to) > self.mark {
                    self.gaps.push((gap.boot, gap.from, gap.to));
                    self.mark = (gap.boot, gap.to);
                }
                Some(self.acknowledge())
            }
            FromDevice::Answer(answer) => {
                self.answers.push(*answer);
                None
            }
            FromDevice::Hello(_) | FromDevice::Refuse(_) => None,
        }
    }

    fn acknowledge(&mut self) -> Vec<u8> {
        let (boot, sequence) = self.mark;
        self.frame(&Acknowledge { boot, sequence }, true)
    }

    fn no(&mut self, reason: Reason) -> Vec<u8> {
        self.frame(&Refuse { reason: reason.code(), frame: 0, boot: 0, sequence: 0, wait_ms: 0 }, false)
    }

    pub(super) fn frame<M: Message>(&mut self, message: &M, sealed: bool) -> Vec<u8> {
        let mut body = [0; BODY_BYTES_MAX];
        let body = message.encode(&mut body).unwrap().to_vec();
        self.raw(M::KIND as u8, &body, sealed)
    }

    pub(super) fn raw(&mut self, kind: u8, body: &[u8], sealed: bool) -> Vec<u8> {
        self.sent += 1;
        let header = Header { kind, address: 9, sequence: self.sent };
        let seal = self.key.as_ref().filter(|_| sealed).map(|key| (key, Direction::ToDevice));
        let mut out = [0; WIRE_BYTES_MAX];
        encode(header, body, seal, &mut out).unwrap().to_vec()
    }
}
