//! One entry for coverage-guided fuzzing: any bytes on a port, as they are and sealed as a device would.

use tidegate_protocol::{
    Lane,
    serial::{
        DeviceKey, Direction, FRAME_BYTES_MAX, FromGateway, Header, Kind, LinkKey, Nonce, WIRE_BYTES_MAX,
        encode,
    },
};

use super::{Limits, Offer, Port, Taken, Uplink};
use crate::{session::Refusal, spool::Position};

const NONCE: Nonce = [1; 8];
const DEVICE: &str = "d";

/// Limits that a short input can reach.
fn limits() -> Limits {
    Limits { devices_max: 2, pending_max: 6, challenge_ms_max: 100, line_bytes_max: 16, announced_max: 2 }
}

/// Plays `input`: records of two bytes, which say what is done and how long it is, and so many bytes.
///
/// # Panics
/// When the port breaks one of its promises.
pub fn exercise(input: &[u8]) {
    let mut play = Play { port: Port::new(limits()), now_ms: 0, stored: 0, confirmed: 0, sequence: 0 };
    let mut rest = input;
    while let Some((script, behind)) = rest.split_at_checked(2) {
        let [what, len] = [script.first(), script.get(1)].map(|byte| byte.copied().unwrap_or(0));
        let (bytes, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        play.step(what, bytes);
    }
    play.confirmed = u64::MAX;
    play.settle();
    assert_eq!(play.port.pending(), 0, "everything that was taken is confirmed");
}

struct Play {
    port: Port,
    now_ms: u64,
    stored: u64,
    confirmed: u64,
    sequence: u32,
}

impl Play {
    fn step(&mut self, what: u8, bytes: &[u8]) {
        match what & 3 {
            0 => self.port.handle_bytes(bytes, self.now_ms),
            1 => self.sealed(what >> 2, bytes),
            2 => {
                self.now_ms += u64::from(what);
                self.port.handle_timeout(self.now_ms, self.now_ms);
            }
            _ => {
                self.confirmed = self.stored.min(self.confirmed + u64::from(what >> 2));
                self.settle();
            }
        }
        self.answer(what);
        assert!(self.port.pending() <= limits().pending_max * limits().devices_max);
        self.check_said();
    }

    /// A frame as the device of the first link would seal it.
    fn sealed(&mut self, kind: u8, body: &[u8]) {
        let key = LinkKey::derive(&DeviceKey::new([7; 32]), DEVICE, &NONCE, &NONCE);
        self.sequence += 1;
        let header = Header { kind: kind % 16, address: 1, sequence: self.sequence };
        let seal = (header.kind != Kind::Hello as u8).then_some((&key, Direction::ToGateway));
        let mut wire = [0; WIRE_BYTES_MAX];
        if let Ok(bytes) = encode(header, body, seal, &mut wire) {
            self.port.handle_bytes(bytes, self.now_ms);
        }
    }

    fn answer(&mut self, how: u8) {
        while let Some(uplink) = self.port.poll_uplink() {
            match uplink {
                Uplink::Hello(greeting) if how & 0x80 == 0 => {
                    let offer = Offer { salt: [2; 16], key: DeviceKey::new([7; 32]), nonce: NONCE };
                    self.port.handle_offer(greeting.link, &offer, self.now_ms);
                }
                Uplink::Hello(greeting) => {
                    self.port.handle_turned_away(greeting.link, Refusal::BadCredentials);
                }
                Uplink::Announce(greeting) => self.port.handle_not_adopted(greeting.link),
                Uplink::Proven(link) => self.port.handle_login(link, 0, (self.now_ms, self.now_ms)),
                Uplink::Readings(batch) => {
                    for (receipt, taken) in batch.readings {
                        let outcome = match taken {
                            Taken::Payload(payload) => {
                                assert!(payload.starts_with("{\"boot\":"), "{payload}");
                                Ok(Some(self.store()))
                            }
                            Taken::Unfit(_) => Err(Refusal::PayloadFormatInvalid),
                        };
                        if !self.port.handle_stored(&receipt, outcome) {
                            break;
                        }
                    }
                }
                Uplink::Gap(gone) => {
                    let outcome = if how & 0x80 == 0 { Ok(Some(self.store())) } else { Err(Refusal::Busy) };
                    self.port.handle_stored(&gone.receipt, outcome);
                }
                Uplink::Answer(..) | Uplink::Unproven(_) => {}
            }
        }
    }

    fn store(&mut self) -> Position {
        self.stored += 1;
        Position { lane: Lane::Telemetry, offset: self.stored - 1 }
    }

    fn settle(&mut self) {
        let confirmed = self.confirmed;
        self.port.settle(|position| position.offset < confirmed);
    }

    /// Everything that is said is a frame that a device can read.
    fn check_said(&mut self) {
        let mut said = Vec::new();
        self.port.poll_transmit(&mut said);
        let mut decoder = tidegate_protocol::serial::Decoder::new();
        for byte in said {
            if let Some(frame) = decoder.push(byte) {
                let Ok(frame) = frame else { unreachable!("the gateway says what is no frame") };
                assert!(frame.body.len() < FRAME_BYTES_MAX);
                assert!(FromGateway::decode(frame.header.kind, frame.body).is_ok());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_protocol::serial::{BODY_BYTES_MAX, Gap, Hello, Message, Ready};

    fn say<M: Message>(play: &mut Play, message: &M) {
        let mut body = [0; BODY_BYTES_MAX];
        play.sealed(M::KIND as u8, message.encode(&mut body).unwrap());
    }

    #[test]
    fn no_more_gaps_wait_for_the_disk_than_pending_max() {
        let port = Port::new(limits());
        let mut play = Play { port, now_ms: 0, stored: 0, confirmed: 0, sequence: 0 };
        say(&mut play, &Hello { device: DEVICE, hardware: "h", model: "m", firmware: "f", nonce: NONCE });
        play.answer(0);
        say(&mut play, &Ready { boot: 1, uptime_ms: 0 });
        play.answer(0);
        let gap = |number| Gap { boot: 1, from: number, to: number };
        // Those that are about to wait count as those that do.
        (0..4).for_each(|number| say(&mut play, &gap(number)));
        play.answer(0);
        (4..10).for_each(|number| say(&mut play, &gap(number)));
        play.answer(0);
        assert_eq!((play.port.pending(), play.port.take_counts().refused), (limits().pending_max, 4));
        play.confirmed = u64::MAX;
        play.settle();
        say(&mut play, &gap(10));
        play.answer(0);
        assert_eq!(play.port.pending(), 1);
    }

    proptest! {
        #[test]
        fn random_bytes_never_break_a_promise(input in proptest::collection::vec(any::<u8>(), 0..512)) {
            exercise(&input);
        }
    }
}
