//! Sets of reading numbers.

use serde::{Deserialize, Serialize};

/// Ranges in the fullest [`Ranges`].
pub const RANGES_MAX: usize = 16_384;

/// A set of reading numbers, kept as the ranges they make: a device that is acknowledged in order costs one range,
/// however long it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranges(Vec<(u64, u64)>);

/// A further range would be the one after [`RANGES_MAX`]: the number was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRanges;

impl Ranges {
    /// Takes `number`; `false` when the set had it already.
    ///
    /// # Errors
    /// [`TooManyRanges`]: the set is left as it was.
    pub fn insert(&mut self, number: u64) -> Result<bool, TooManyRanges> {
        let after = self.0.partition_point(|(from, _)| *from <= number);
        let before = after.checked_sub(1).and_then(|at| self.0.get_mut(at));
        let mut joins_before = false;
        if let Some((_, to)) = before {
            if *to >= number {
                return Ok(false);
            }
            if to.saturating_add(1) == number {
                *to = number;
                joins_before = true;
            }
        }
        let next = self.0.get(after).copied();
        match next.filter(|(from, _)| number.saturating_add(1) == *from) {
            Some((_, to)) if joins_before => {
                self.0.remove(after);
                if let Some(range) = after.checked_sub(1).and_then(|at| self.0.get_mut(at)) {
                    range.1 = to;
                }
            }
            Some(_) => {
                if let Some(range) = self.0.get_mut(after) {
                    range.0 = number;
                }
            }
            None if joins_before => {}
            None if self.0.len() >= RANGES_MAX => return Err(TooManyRanges),
            None => self.0.insert(after, (number, number)),
        }
        Ok(true)
    }

    /// Is `number` in the set?
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, to)| *to >= number)
    }

    /// How many numbers the set has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, (from, to)| sum.saturating_add(to.saturating_sub(*from).saturating_add(1)))
    }

    /// Has the set no number?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of this set that `other` lacks, as inclusive ranges in ascending order.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut theirs = other.0.iter().peekable();
        for (from, to) in &self.0 {
            // `None`: behind the largest number there is.
            let mut next = Some(*from);
            while theirs.next_if(|(_, their_to)| their_to < from).is_some() {}
            while let (Some(from), Some((their_from, their_to))) = (next, theirs.peek().copied()) {
                if from > *to || their_from > to {
                    break;
                }
                if *their_from > from {
                    missing.push((from, their_from.saturating_sub(1)));
                }
                next = their_to.checked_add(1);
                if their_to > to {
                    break;
                }
                theirs.next();
            }
            if let Some(from) = next.filter(|from| from <= to) {
                missing.push((from, *to));
            }
        }
        missing
    }
}

impl FromIterator<u64> for Ranges {
    /// What does not fit is left out.
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut ranges = Self::default();
        for number in numbers {
            let _full = ranges.insert(number).is_err();
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_in_any_order_make_the_ranges_they_make() {
        let ranges: Ranges = [5, 1, 2, 9, 8, 4, 3, 1].into_iter().collect();
        assert_eq!(ranges.0, [(1, 5), (8, 9)]);
        assert_eq!(ranges.len(), 7);
        assert!(ranges.contains(4) && !ranges.contains(6) && !ranges.contains(0));
    }

    #[test]
    fn against_a_plain_set() {
        let mut state = 1_u64;
        let mut random = move || {
            state = crate::value::mix(state);
            state
        };
        for _ in 0..300 {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            let (mut others, mut other_set) = (Ranges::default(), BTreeSet::new());
            for _ in 0..random() % 60 {
                let number = random() % 64;
                assert_eq!(ranges.insert(number), Ok(set.insert(number)));
                let number = random() % 64;
                assert_eq!(others.insert(number), Ok(other_set.insert(number)));
            }
            assert_eq!(ranges.len(), set.len() as u64);
            let missing: Vec<u64> = ranges.minus(&others).into_iter().flat_map(|(a, b)| a..=b).collect();
            assert_eq!(missing, set.difference(&other_set).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_largest_numbers_fit() {
        let ranges: Ranges = [u64::MAX, u64::MAX - 1, 0].into_iter().collect();
        assert_eq!(ranges.minus(&Ranges::default()), [(0, 0), (u64::MAX - 1, u64::MAX)]);
        assert!(ranges.minus(&ranges).is_empty());
    }

    #[test]
    fn ranges_max_is_reached() {
        let max = u64::try_from(RANGES_MAX).unwrap();
        let mut ranges: Ranges = (0..max).map(|n| n * 2).collect();
        assert_eq!(ranges.len(), max);
        assert_eq!(ranges.insert(max * 2), Err(TooManyRanges));
        assert_eq!(ranges.insert(1), Ok(true), "what joins two ranges needs no room");
        assert_eq!(ranges.insert(max * 2), Ok(true));
    }
}
