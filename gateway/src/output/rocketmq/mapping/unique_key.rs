use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Bytes of every message id.
pub const UNIQUE_KEY_LEN: usize = 32;

/// The message id (`UNIQ_KEY`) for a `uid`: 32 hexadecimal digits in capitals, always the same for the same `uid`.
///
/// It has the form of an id that the classic Java clients make (`MessageClientIDSetter`): an address of 4 bytes, a
/// process of 2, a class loader of 4, a time of 4 (milliseconds since the month began) and a counter of 2. Ours holds the
/// first 12 bytes of the SHA-256 of the `uid`, ten in front of the time and two behind it. The time is 0, the beginning
/// of a month, since tools of RocketMQ 4.x look for a message only from the time in its id on, and that must never be
/// later than the message. Twelve bytes: of a thousand million ids, two are equal with a chance of one in 10^11.
#[must_use]
pub fn unique_key(uid: &str) -> String {
    let hash = Sha256::digest(uid.as_bytes());
    let mut key = String::with_capacity(UNIQUE_KEY_LEN);
    for (number, byte) in hash.iter().take(12).enumerate() {
        if number == 10 {
            key.push_str("00000000");
        }
        // Writing into a String does not fail.
        let _infallible = write!(key, "{byte:02X}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_kept() {
        // printf 'sensor_1/7/42' | sha256sum
        let key = unique_key("sensor_1/7/42");
        assert_eq!(key.len(), UNIQUE_KEY_LEN);
        assert_eq!(&key[20..28], "00000000");
        assert_eq!(key, "1F89E66E8266083D75C80000000064AD");
        assert_ne!(key, unique_key("sensor_1/7/43"));
    }
}
