//! A gateway as small as it can be: it lets one board in, stores at once, and remembers where it stands.

use heapless::Vec;
use tidegate_protocol::serial::{
    Acknowledge, BODY_BYTES_MAX, Challenge, Decoder, DeviceKey, Direction, FromDevice, Header, LinkKey,
    Message, WIRE_BYTES_MAX, Welcome, encode,
};

const SALT: [u8; 16] = [5; 16];
const NONCE: [u8; 8] = [7; 8];
const TAKEN_MAX: usize = 256;

pub(crate) struct Gateway {
    decoder: Decoder,
    device_key: DeviceKey,
    key: Option<LinkKey>,
    sent: u32,
    /// Boot and number of all that was taken.
    pub(crate) taken: Vec<(u32, u64), TAKEN_MAX>,
}

impl Gateway {
    pub(crate) fn new(secret: &str) -> Self {
        let device_key = DeviceKey::derive(&SALT, secret.as_bytes());
        Self { decoder: Decoder::new(), device_key, key: None, sent: 0, taken: Vec::new() }
    }

    /// The answer to what is in `bytes`, if there is one.
    pub(crate) fn handle<'o>(&mut self, bytes: &[u8], out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        let Self { decoder, device_key, key, sent, taken } = self;
        let mut body_out = [0; BODY_BYTES_MAX];
        let mut answer = None;
        let mut address = 0;
        for byte in bytes {
            let Some(frame) = decoder.push(*byte) else { continue };
            let frame = frame.expect("a perfect line");
            address = frame.header.address;
            let body = FromDevice::decode(frame.header.kind, frame.body).expect("it speaks our language");
            if let FromDevice::Hello(hello) = &body {
                *key = Some(LinkKey::derive(device_key, hello.device, &hello.nonce, &NONCE));
                let challenge = Challenge { echo: hello.nonce, nonce: NONCE, salt: SALT };
                *sent = 0;
                answer = challenge.encode(&mut body_out).ok().map(|body| (Challenge::KIND, body));
                break;
            }
            assert!(key.as_ref().is_some_and(|key| frame.is_from(key, Direction::ToGateway)), "not its seal");
            match body {
                FromDevice::Ready(_) => {
                    let welcome = Welcome { wall_ms: 1_700_000_000_000, boot_seen: 0 };
                    answer = welcome.encode(&mut body_out).ok().map(|body| (Welcome::KIND, body));
                }
                FromDevice::Readings(readings) => {
                    let places = readings.entries.iter().map(|entry| (readings.boot, entry.sequence));
                    let last = places.clone().next_back().expect("some");
                    taken.extend(
                        places
                            .filter(|place| taken.last().is_none_or(|last| last < place))
                            .collect::<Vec<_, 16>>(),
                    );
                    let acknowledge = Acknowledge { boot: last.0, sequence: last.1 };
                    answer = acknowledge.encode(&mut body_out).ok().map(|body| (Acknowledge::KIND, body));
                }
                other => panic!("nobody asked for {other:?}"),
            }
            break;
        }
        let (kind, body) = answer?;
        *sent += 1;
        let header = Header { kind: kind as u8, address, sequence: *sent };
        let seal = key.as_ref().map(|key| (key, Direction::ToDevice));
        encode(header, body, seal, out).ok()
    }
}
