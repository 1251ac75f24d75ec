//! Mutated frames and random cuts: never a panic, and never another outcome because of how the bytes were cut.

use proptest::prelude::*;

use super::client::{Frames, PINGREQ, puback};
use super::*;

/// One of each frame a client sends.
fn conversation(version: Version) -> Vec<Vec<u8>> {
    let frames = Frames(version);
    let properties: &[u8] = b"\x01\x01\x03\0\x04text\x08\0\x02re\x26\0\x01a\0\x01b\x23\0\x03";
    vec![
        frames.connect_with_will(0b1000, b"\x18\0\0\0\x05\x03\0\x04text", "will", b"gone"),
        frames.publish("telemetry", 1, b"{\"temperature\":36.12}"),
        frames.subscribe(2, &[("a/+/#", 1), ("b", 0)]),
        frames.publish_raw(0x3A, b"event", 3, properties, b"door"),
        PINGREQ.to_vec(),
        frames.publish("t", 0, b"23.4"),
        frames.unsubscribe(4, &["b"]),
        puback(1),
        frames.publish("$SYS/x", 5, b""),
        frames.publish("telemetry", 6, b"1"),
    ]
}

/// Everything that can be seen of a session that gets `bytes` cut at `cuts`.
fn play(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, String, Option<End>) {
    let mut gateway = Gateway::new(Limits::default());
    let mut out = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().chain([&usize::MAX]) {
        let (read, behind) = rest.split_at((*cut).min(rest.len()));
        rest = behind;
        out.extend(gateway.send(read));
    }
    out.extend(gateway.durable_to(u64::MAX));
    if let Some(version) = gateway.session.version() {
        codec::read_back(version, &out).unwrap();
    }
    let end = gateway.session.end();
    gateway.session.handle_eof();
    gateway.turn();
    (out, format!("{:?}", gateway.seen), end)
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_outcome_does_not_depend_on_the_cuts(
        version in version(),
        cuts in proptest::collection::vec(1..60usize, 0..40),
    ) {
        let bytes = conversation(version).concat();
        let (out, seen, end) = play(&bytes, &cuts);
        let (out_whole, seen_whole, end_whole) = play(&bytes, &[]);
        // QoS 1 waits for the disk, which comes last, so the writes are alike too.
        prop_assert_eq!(out, out_whole);
        prop_assert_eq!(seen, seen_whole);
        prop_assert_eq!(end, end_whole);
    }

    #[test]
    fn mutated_frames_never_panic_and_do_not_depend_on_the_cuts(
        version in version(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
        cuts in proptest::collection::vec(1..60usize, 0..40),
    ) {
        let mut bytes = conversation(version).concat();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        prop_assert_eq!(play(&bytes, &cuts), play(&bytes, &[]));
    }

    #[test]
    fn one_mutated_frame_behind_a_connect_never_panics(
        version in version(),
        frame in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let frames = conversation(version);
        let mut bytes = frames[frame.index(frames.len())].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        play(&[Frames(version).connect("client"), bytes, PINGREQ.to_vec()].concat(), &[]);
    }

    #[test]
    fn the_fuzz_entry_keeps_its_promises(
        version in version(),
        script in any::<[u8; 4]>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        repeat in 1..4usize,
    ) {
        let mut bytes = conversation(version);
        let rest = bytes.split_off(1).concat().repeat(repeat);
        let mut bytes = [bytes.concat(), rest].concat();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz::exercise(&[&script[..], &bytes].concat());
    }
}

#[test]
fn every_prefix_of_a_conversation_is_no_panic_and_no_violation() {
    for version in BOTH {
        let bytes = conversation(version);
        // The publish to `$SYS` ends 3.1.1.
        let bytes = if version == Version::V311 { bytes[..8].concat() } else { bytes.concat() };
        for end in 0..bytes.len() {
            assert_eq!(play(&bytes[..end], &[]).2, None);
        }
    }
}
