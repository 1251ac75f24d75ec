//! One entry for coverage-guided fuzzing: any bytes, read as what servers answer.

use bytes::{Bytes, BytesMut};

use super::{Command, frame::FRAME_BYTES_MAX, route::QUEUES_MAX, route::Route, stored};

/// Reads `input` as frames, arriving in two parts, and each body as all that a body may be; then as a body itself.
///
/// # Panics
/// When a promise is broken.
pub fn exercise(input: &[u8]) {
    let half = input.len() / 2;
    let (first, second) = input.split_at_checked(half).unwrap_or((input, &[]));
    let mut bytes = BytesMut::from(first);
    frames(&mut bytes);
    bytes.extend_from_slice(second);
    frames(&mut bytes);
    body(&Bytes::copy_from_slice(input));
}

fn frames(bytes: &mut BytesMut) {
    while let Ok(Some(command)) = Command::decode_from(bytes) {
        assert!(command.body.len() <= FRAME_BYTES_MAX, "a body is longer than its frame may be");
        let mut again = BytesMut::new();
        if command.encode_into(&mut again).is_ok() {
            let read = Command::decode_from(&mut again);
            assert!(read == Ok(Some(command.clone())), "a command reads back as written");
        }
        body(&command.body);
    }
}

fn body(bytes: &Bytes) {
    if let Ok(route) = Route::parse(bytes) {
        assert!(route.write_queues().len() <= QUEUES_MAX, "more queues than the limit");
        assert!(route.for_new_topic().read_queues().len() <= QUEUES_MAX, "more queues than the limit");
    }
    if let Ok(messages) = stored::decode_all(bytes.clone()) {
        for message in messages {
            assert!(message.body.is_ok_and(|body| body.len() <= stored::BODY_BYTES_MAX) || !bytes.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTE: &str = r#"{"brokerDatas":[{"brokerAddrs":{0:"b:1"},"brokerName":"b"}],"queueDatas":[{"brokerName":"b","perm":7,"readQueueNums":8,"writeQueueNums":8}]}"#;

    fn answers() -> Vec<u8> {
        let mut bytes = BytesMut::new();
        let request = Command { opaque: 7, ..Command::request(105) };
        for answer in [request.answer(0).with_body(ROUTE), request.answer(13).with("queueOffset", 5)] {
            answer.encode_into(&mut bytes).unwrap();
        }
        bytes.to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn changed_answers_break_nothing(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = answers();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            exercise(&bytes);
        }
    }
}
