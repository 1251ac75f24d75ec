//! Mutated datagrams: never a panic, never a broken promise.

use proptest::prelude::*;

use super::*;

/// One of each datagram that a peer sends.
fn conversation() -> Vec<Vec<u8>> {
    vec![
        post("telemetry", 1).option(12, &[50]).bytes(),
        post("t", 2).kind(NON).option(258, &[2]).bytes(),
        post("telemetry//other", 3).code(3).bytes(),
        post(".well-known/core", 4).code(1).payload(b"").option(17, &[40]).bytes(),
        post("t", 5).option(27, &[0x0E]).option(3, b"gateway.example").bytes(),
        empty(CON, 6),
        empty(ACK, 7),
        empty(RST, 8),
        post("t", 1).bytes(),
    ]
}

/// The script of the fuzz entry for whole datagrams.
fn scripted(datagrams: &[Vec<u8>], whats: &[u8]) -> Vec<u8> {
    let whats = whats.iter().copied().cycle();
    let each = datagrams.iter().zip(whats);
    each.flat_map(|(datagram, what)| {
        let len = u8::try_from(datagram.len()).expect("a short datagram");
        [&[what, len][..], datagram].concat()
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_mutated_datagram_never_breaks_a_promise(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..6),
        whats in proptest::collection::vec(any::<u8>(), 1..20),
        repeat in 1..4usize,
    ) {
        let mut datagrams = conversation();
        let which = which.index(datagrams.len());
        let datagram = &mut datagrams[which];
        for (at, byte, how) in changes {
            if datagram.is_empty() {
                break;
            }
            let at = at.index(datagram.len());
            match how {
                0 => datagram[at] = byte,
                1 => datagram[at] ^= 1 << (byte % 8),
                2 => datagram.insert(at, byte),
                _ => drop(datagram.remove(at)),
            }
        }
        fuzz::exercise(&scripted(&datagrams, &whats).repeat(repeat));
    }

    #[test]
    fn every_datagram_that_is_cut_off_is_no_panic(
        which in any::<prop::sample::Index>(),
        len in any::<prop::sample::Index>(),
    ) {
        let datagrams = conversation();
        let datagram = &datagrams[which.index(datagrams.len())];
        let cut = &datagram[..len.index(datagram.len() + 1)];
        let mut gateway = Gateway::new();
        let answers = gateway.send(cut);
        prop_assert!(answers.iter().map(|got| got.bytes.len()).sum::<usize>() <= 3 * cut.len());
    }
}
