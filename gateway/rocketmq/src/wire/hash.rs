//! Which queue a message goes to, as the classic clients choose it: `SelectMessageQueueByHash` with the sharding key.

/// Java's `String.hashCode`: over UTF-16 units, `h = 31 h + unit`, wrapping at 32 bits.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The place in a list of `queues` queues for a sharding key of this hash: the absolute value of the remainder. 0 for
/// an empty list.
#[must_use]
pub fn place(hash: i32, queues: usize) -> usize {
    let Ok(queues) = i64::try_from(queues) else { return 0 };
    let remainder = i64::from(hash).checked_rem(queues).unwrap_or(0);
    usize::try_from(remainder.unsigned_abs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        // Worked out by hand from the definition, and known from Java's documentation and folklore.
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("a"), 97);
        assert_eq!(java_hash("ab"), 97 * 31 + 98);
        assert_eq!(java_hash("Aa"), java_hash("BB"));
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("hello world"), 1_794_106_052);
    }

    #[test]
    fn places_are_those_of_the_classic_clients() {
        assert_eq!(place(i32::MIN, 8), 0);
        assert_eq!(place(-9, 8), 1);
        assert_eq!(place(9, 8), 1);
        assert_eq!(place(i32::MIN, 7), 2);
        assert_eq!(place(5, 0), 0);
    }

    proptest! {
        #[test]
        fn a_place_is_in_the_list(hash in any::<i32>(), queues in 1_usize..5_000) {
            prop_assert!(place(hash, queues) < queues);
        }
    }
}
