extern crate std;

use std::{format, panic, prelude::v1::*, vec};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::Name;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/serial/frames.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &Value) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn link_key(vectors: &Value) -> LinkKey {
    let key = DeviceKey::derive(&array(&vectors["salt"]), vectors["secret"].as_str().unwrap().as_bytes());
    let device = vectors["device"].as_str().unwrap();
    LinkKey::derive(&key, device, &array(&vectors["nonce_device"]), &array(&vectors["nonce_gateway"]))
}

fn direction(word: &Value) -> Option<Direction> {
    word.as_str().map(|word| if word == "to_gateway" { Direction::ToGateway } else { Direction::ToDevice })
}

/// Feeds all of `wire`; what came out.
fn decoded(decoder: &mut Decoder, wire: &[u8]) -> Vec<Result<(Header, Vec<u8>), FrameError>> {
    let mut found = Vec::new();
    for byte in wire {
        if let Some(outcome) = decoder.push(*byte) {
            found.push(outcome.map(|frame| (frame.header, frame.body.to_vec())));
        }
    }
    found
}

/// Reads a body as whoever it is for, and writes it again.
fn written_again(kind: u8, body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut out = [0; BODY_BYTES_MAX];
    let written = match (FromDevice::decode(kind, body), FromGateway::decode(kind, body)) {
        (Ok(FromDevice::Hello(body)), _) => body.encode(&mut out),
        (Ok(FromDevice::Ready(body)), _) => body.encode(&mut out),
        (Ok(FromDevice::Readings(body)), _) => body.encode(&mut out),
        (Ok(FromDevice::Gap(body)), _) => body.encode(&mut out),
        (Ok(FromDevice::Refuse(body)), _) => body.encode(&mut out),
        (Ok(FromDevice::Answer(body)), _) => body.encode(&mut out),
        (_, Ok(FromGateway::Challenge(body))) => body.encode(&mut out),
        (_, Ok(FromGateway::Welcome(body))) => body.encode(&mut out),
        (_, Ok(FromGateway::Acknowledge(body))) => body.encode(&mut out),
        (_, Ok(FromGateway::Refuse(body))) => body.encode(&mut out),
        (_, Ok(FromGateway::Command(body))) => body.encode(&mut out),
        (_, Ok(FromGateway::Time(body))) => body.encode(&mut out),
        (_, Ok(FromGateway::Adopt(body))) => body.encode(&mut out),
        (Err(BodyError::UnknownKind(_)), Err(error)) | (Err(error), _) => return Err(error),
    };
    written.map(<[u8]>::to_vec)
}

#[test]
fn the_vectors_read_and_write_as_they_stand() {
    let vectors = vectors();
    let key = link_key(&vectors);
    let mut decoder = Decoder::new();
    for vector in vectors["frames"].as_array().unwrap() {
        let name = &vector["name"];
        let (wire, body) = (bytes(&vector["wire"]), bytes(&vector["body"]));
        let header = Header {
            kind: u8::try_from(vector["kind"].as_u64().unwrap()).unwrap(),
            address: u16::try_from(vectors["address"].as_u64().unwrap()).unwrap(),
            sequence: u32::try_from(vector["sequence"].as_u64().unwrap()).unwrap(),
        };
        assert_eq!(decoded(&mut decoder, &wire), [Ok((header, body.clone()))], "{name}");
        let seal = direction(&vector["direction"]).map(|direction| (&key, direction));
        let mut out = [0; WIRE_BYTES_MAX];
        assert_eq!(encode(header, &body, seal, &mut out).unwrap(), wire, "{name}");
        match written_again(header.kind, &body) {
            Ok(written) => {
                assert!(body.starts_with(&written), "{name}");
                let later = body.len() - written.len();
                assert_eq!(later > 0, name.as_str().unwrap().contains("later"), "{name}");
            }
            Err(error) => assert_eq!(error, BodyError::UnknownKind(200), "{name}"),
        }
    }
}

#[test]
fn the_keys_are_those_of_the_vectors() {
    let vectors = vectors();
    let key = link_key(&vectors);
    let known = array::<KEY_BYTES>(&vectors["link_key"]);
    let wire = bytes(&vectors["frames"][2]["wire"]);
    let mut decoder = Decoder::new();
    let frame =
        wire.iter().fold(None, |found, byte| found.or(decoder.push(*byte).map(|frame| frame.unwrap().tag)));
    assert_eq!(frame.unwrap().len(), TAG_BYTES);
    let device_key = DeviceKey::new(array(&vectors["device_key"]));
    let same = LinkKey::derive(
        &device_key,
        "greenhouse-1",
        &array(&vectors["nonce_device"]),
        &array(&vectors["nonce_gateway"]),
    );
    for signed in [&known[..], b"", b"x"] {
        let tag = key.tag(Direction::ToDevice, signed);
        assert!(same.vouches(Direction::ToDevice, signed, &tag));
        assert!(!same.vouches(Direction::ToGateway, signed, &tag), "the other direction");
    }
}

#[test]
fn what_the_readings_of_the_vectors_say() {
    let vectors = vectors();
    let vector = vectors["frames"].as_array().unwrap().iter().find(|v| v["name"] == "readings").unwrap();
    let body = bytes(&vector["body"]);
    let Ok(FromDevice::Readings(readings)) = FromDevice::decode(5, &body) else { panic!("readings") };
    assert_eq!(readings.boot, 7);
    assert_eq!(readings.channels[0], Channel { name: "temperature", unit: "°C" });
    assert_eq!(readings.entries[0].samples[0], Sample::Number(Decimal { digits: 366, places: 1 }));
    assert_eq!(readings.entries[1].samples[0], Sample::Number(Decimal { digits: -5, places: 2 }));
    assert_eq!(readings.entries[2].samples[..], [Sample::Absent, Sample::Text("ajar")]);
    assert_eq!(readings.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [41, 42, 44]);
}

#[test]
fn a_command_of_a_later_version_keeps_its_number() {
    let Ok(FromGateway::Command(body)) = FromGateway::decode(9, &[5, 77, 1, 2, 3]) else {
        panic!("a command")
    };
    assert_eq!(body, CommandBody { id: 5, command: None });
}

#[test]
fn the_longest_body_fits_and_one_byte_more_does_not() {
    let header = Header { kind: 5, address: 1, sequence: 9 };
    for fill in [0, 1, 0xff] {
        let mut out = [0; WIRE_BYTES_MAX];
        let wire = encode(header, &[fill; BODY_BYTES_MAX], None, &mut out).unwrap();
        assert_eq!(wire.len(), WIRE_BYTES_MAX);
        let found = decoded(&mut Decoder::new(), wire);
        assert_eq!(found, [Ok((header, vec![fill; BODY_BYTES_MAX]))]);
    }
    let mut out = [0; WIRE_BYTES_MAX];
    assert_eq!(encode(header, &[1; BODY_BYTES_MAX + 1], None, &mut out), Err(TooLong));
    assert_eq!(encode(header, &[1; 400], None, &mut out), Err(TooLong));
}

#[test]
fn more_than_a_frame_is_said_once_and_the_next_frame_is_whole() {
    let mut decoder = Decoder::new();
    let mut out = [0; WIRE_BYTES_MAX];
    let header = Header { kind: 1, address: 0, sequence: 0 };
    let wire = encode(header, b"body", None, &mut out).unwrap();
    let stream = [&[7; FRAME_BYTES_MAX + 2][..], wire].concat();
    assert_eq!(decoded(&mut decoder, &stream), [Err(FrameError::TooLong), Ok((header, b"body".to_vec()))]);
    let stream = [&[1; FRAME_BYTES_MAX + 1][..], wire].concat();
    assert!(matches!(
        decoded(&mut decoder, &stream)[..],
        [Err(FrameError::Checksum | FrameError::Malformed), Ok(_)]
    ));
}

#[test]
fn a_frame_of_another_version_says_so() {
    let header = Header { kind: 1, address: 0, sequence: 0 };
    let mut raw = vec![9, header.kind, 0, 0, 0, 0, 0, 0, 0, 0];
    raw.extend([0; TAG_BYTES]);
    raw.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&raw).to_le_bytes());
    assert_eq!(super::frame::Frame::parse(&raw).unwrap_err(), FrameError::Version(9));
}

#[test]
fn bodies_beyond_their_limits_are_malformed() {
    let hello = |device: &str, hardware: &str, model: &str| {
        let body = Hello { device, hardware, model, firmware: "1", nonce: [0; 8] };
        let mut out = [0; BODY_BYTES_MAX];
        let written = body.encode(&mut out).unwrap().to_vec();
        FromDevice::decode(1, &written).map(|_| ())
    };
    let long = |len: usize| "x".repeat(len);
    assert_eq!(hello(&long(64), &long(HARDWARE_LEN_MAX), &long(MODEL_LEN_MAX)), Ok(()));
    for (device, hardware, model) in [
        (long(65), long(1), long(1)),
        (long(1), long(HARDWARE_LEN_MAX + 1), long(1)),
        (long(1), String::new(), long(1)),
        (long(1), String::from("a b"), long(1)),
        (long(1), long(1), long(MODEL_LEN_MAX + 1)),
        (long(1), long(1), String::from("\u{1b}[2J")),
    ] {
        assert_eq!(
            hello(&device, &hardware, &model),
            Err(BodyError::Malformed),
            "{device} {hardware} {model}"
        );
    }
    let nine = [&[1, 9][..], &[0; 18], &[0]].concat();
    assert_eq!(FromDevice::decode(5, &nine).unwrap_err(), BodyError::Malformed, "nine channels");
    for gap in [[1, 0, 5], [1, 6, 5]] {
        assert_eq!(FromDevice::decode(7, &gap).unwrap_err(), BodyError::Malformed);
    }
    // Two entries of one number; an entry with fewer samples than channels.
    for body in [&[1, 0, 2, 3, 0, 0, 3, 0, 0][..], &[1, 1, 1, b'a', 0, 1, 3, 0, 0]] {
        assert_eq!(FromDevice::decode(5, body).unwrap_err(), BodyError::Malformed, "{body:?}");
    }
}

#[test]
fn decimals_are_the_numbers_that_they_look_like() {
    for (digits, places, number) in
        [(366, 1, 36.6), (-5, 2, -0.05), (0, 0, 0.0), (123_456_789, 9, 0.123_456_789)]
    {
        assert_eq!(
            Decimal::new(digits, places).unwrap().to_f64().to_bits(),
            f64::to_bits(number),
            "{number}"
        );
    }
    assert_eq!(Decimal::new(1, DECIMAL_PLACES_MAX + 1), None);
    let (low, high) = (Decimal { digits: 234, places: 1 }, Decimal { digits: 2391, places: 2 });
    assert_eq!(low.distance(high), Decimal { digits: 51, places: 2 });
    assert!(low.distance(high).reaches(Decimal { digits: 5, places: 1 }));
    assert!(!low.distance(high).reaches(Decimal { digits: 52, places: 2 }));
}

#[test]
fn a_reason_of_a_later_version_is_another_reason() {
    for code in 0..=u8::MAX {
        let reason = Reason::from_code(code);
        assert!(reason.code() == code || reason == Reason::Other, "{code}");
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z]{1,12}".prop_filter("a name", |text| Name::new(text).is_ok())
}

proptest! {
    #[test]
    fn any_frame_comes_back(kind: u8, address: u16, sequence: u32, body in prop::collection::vec(any::<u8>(), 0..=BODY_BYTES_MAX)) {
        let header = Header { kind, address, sequence };
        let key = LinkKey::derive(&DeviceKey::new([3; KEY_BYTES]), "d", &[1; 8], &[2; 8]);
        let mut out = [0; WIRE_BYTES_MAX];
        let wire = encode(header, &body, Some((&key, Direction::ToGateway)), &mut out).unwrap().to_vec();
        prop_assert!(wire[1..wire.len() - 1].iter().all(|byte| *byte != 0));
        let mut decoder = Decoder::new();
        let mut seen = 0;
        for byte in &wire {
            if let Some(frame) = decoder.push(*byte) {
                let frame = frame.unwrap();
                prop_assert_eq!((frame.header, frame.body), (header, &body[..]));
                prop_assert!(frame.is_from(&key, Direction::ToGateway));
                prop_assert!(!frame.is_from(&key, Direction::ToDevice));
                seen += 1;
            }
        }
        prop_assert_eq!(seen, 1);
    }

    #[test]
    fn one_wrong_byte_is_found_out(body in prop::collection::vec(any::<u8>(), 0..60), at: prop::sample::Index, xor in 1_u8..) {
        let header = Header { kind: 5, address: 7, sequence: 9 };
        let mut out = [0; WIRE_BYTES_MAX];
        let mut wire = encode(header, &body, None, &mut out).unwrap().to_vec();
        let at = 1 + at.index(wire.len() - 2);
        wire[at] ^= xor;
        for found in decoded(&mut Decoder::new(), &wire) {
            prop_assert!(found.is_err(), "{:?}", found);
        }
    }

    #[test]
    fn noise_breaks_nothing(noise in prop::collection::vec(any::<u8>(), 0..600), kind: u8) {
        let mut decoder = Decoder::new();
        decoded(&mut decoder, &noise);
        let _read = (FromDevice::decode(kind, &noise).is_ok(), FromGateway::decode(kind, &noise).is_ok());
        let header = Header { kind: 1, address: 0, sequence: 0 };
        let mut out = [0; WIRE_BYTES_MAX];
        let wire = encode(header, b"whole", None, &mut out).unwrap();
        let found = decoded(&mut decoder, wire);
        prop_assert_eq!(found.last(), Some(&Ok((header, b"whole".to_vec()))));
    }

    #[test]
    fn readings_come_back(
        boot: u32,
        names in prop::collection::vec(name(), 1..4),
        digits in prop::collection::vec(any::<i64>(), 0..6),
        places in 0..=DECIMAL_PLACES_MAX,
        wall_ms: u64,
    ) {
        let channels = names.iter().map(|name| Channel { name, unit: "C" }).collect();
        let entries = digits.iter().enumerate().map(|(i, digits)| Entry {
            sequence: i as u64 + 1,
            wall_ms,
            samples: names.iter().map(|_| Sample::Number(Decimal { digits: *digits, places })).collect(),
        }).collect();
        let body = Readings { boot, channels, entries };
        let mut out = [0; BODY_BYTES_MAX];
        if let Ok(written) = body.encode(&mut out) {
            prop_assert_eq!(FromDevice::decode(Kind::Readings as u8, written), Ok(FromDevice::Readings(body.clone())));
            let mut piecewise = [0; BODY_BYTES_MAX];
            let count = u8::try_from(body.entries.len()).unwrap();
            let mut writer =
                ReadingsWriter::begin(&mut piecewise, boot, body.channels.iter().copied(), count).unwrap();
            for entry in &body.entries {
                writer.entry(entry.sequence, entry.wall_ms, entry.samples.iter().copied()).unwrap();
            }
            prop_assert_eq!(writer.finish(), written);
            for len in 0..written.len() {
                prop_assert!(FromDevice::decode(Kind::Readings as u8, &written[..len]).is_err(), "cut at {}", len);
            }
        } else {
            let least = format!("{body:?}").len();
            prop_assert!(least > BODY_BYTES_MAX);
        }
    }
}
