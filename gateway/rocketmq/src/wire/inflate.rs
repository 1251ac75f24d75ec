//! Bodies that their sender has compressed with zlib, as classic clients do above 4 KiB.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// The bytes behind `compressed`; none when it is no zlib or would be more than `bytes_max`.
pub(super) fn inflate(compressed: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let limit = u64::try_from(bytes_max).ok()?.checked_add(1)?;
    ZlibDecoder::new(compressed).take(limit).read_to_end(&mut body).ok()?;
    (body.len() <= bytes_max).then_some(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn deflated(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_grows_to_the_limit_and_not_over_it() {
        let body = vec![7; 100_000];
        assert_eq!(inflate(&deflated(&body), 100_000), Some(body.clone()));
        assert_eq!(inflate(&deflated(&body), 99_999), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(inflate(&bytes, 1_000).is_none_or(|body| body.len() <= 1_000));
        }
    }
}
