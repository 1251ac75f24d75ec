use tidegate_protocol::serial::{Decoder, DeviceKey, Direction, Header, LinkKey, WIRE_BYTES_MAX, encode};

include!(concat!(env!("OUT_DIR"), "/vectors.rs"));

pub(crate) struct Vector {
    name: &'static str,
    kind: u8,
    sequence: u32,
    is_to_gateway: Option<bool>,
    body: &'static [u8],
    wire: &'static [u8],
}

pub(crate) fn read_and_write_as_they_stand() -> usize {
    let salt = SALT.try_into().expect("sixteen bytes");
    let key = DeviceKey::derive(&salt, SECRET.as_bytes());
    let nonces = [NONCE_DEVICE, NONCE_GATEWAY].map(|nonce| nonce.try_into().expect("eight bytes"));
    let key = LinkKey::derive(&key, DEVICE, &nonces[0], &nonces[1]);
    let mut decoder = Decoder::new();
    for vector in VECTORS {
        let header = Header { kind: vector.kind, address: ADDRESS, sequence: vector.sequence };
        let direction =
            |is_to_gateway| if is_to_gateway { Direction::ToGateway } else { Direction::ToDevice };
        let direction = vector.is_to_gateway.map(direction);
        let mut found = 0;
        for byte in vector.wire {
            if let Some(frame) = decoder.push(*byte) {
                let frame = frame.expect(vector.name);
                assert_eq!((frame.header, frame.body), (header, vector.body), "{}", vector.name);
                assert!(direction.is_none_or(|direction| frame.is_from(&key, direction)), "{}", vector.name);
                found += 1;
            }
        }
        assert_eq!(found, 1, "{}", vector.name);
        let mut out = [0; WIRE_BYTES_MAX];
        let seal = direction.map(|direction| (&key, direction));
        assert_eq!(encode(header, vector.body, seal, &mut out), Ok(vector.wire), "{}", vector.name);
    }
    VECTORS.len()
}
