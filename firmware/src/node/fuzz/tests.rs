use std::vec::Vec;

use proptest::prelude::*;

use super::exercise;

/// A record of a script.
fn record() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(what, bytes)| {
        let mut record = Vec::from([what, u8::try_from(bytes.len()).unwrap()]);
        record.extend(bytes);
        record
    })
}

proptest! {
    #[test]
    fn random_bytes_never_break_a_promise(input in prop::collection::vec(any::<u8>(), 0..512)) {
        exercise(&input);
    }

    #[test]
    fn random_scripts_never_break_a_promise(
        setup in any::<u8>(),
        records in prop::collection::vec(record(), 0..60),
    ) {
        let mut input = records.concat();
        input.insert(0, setup);
        exercise(&input);
    }
}
