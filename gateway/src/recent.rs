//! What was of use lately, and no more of it than was said; and the only place that names `foldhash`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
};

use foldhash::quality::FixedState;

use crate::clock::Millis;

/// How long a generation lasts at most.
pub const GENERATION_MS_MAX: Millis = 300_000;

/// A hash that nobody can foresee who does not know `seed`.
#[must_use]
pub fn hash_with(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut hasher = FixedState::with_seed(seed).build_hasher();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

/// Takes a key for its own hash: for keys that [`hash_with`] made, or that differ in their low and in their high bits.
#[derive(Debug, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A table that forgets what was not asked for lately. Its keys are hashes.
///
/// Two generations: what is asked for is in the younger one from then on, and when that one is full or old the older one
/// is forgotten.
#[derive(Debug)]
pub struct Recent<V> {
    per_generation_max: usize,
    young: HashMap<u64, V, BuildHasherDefault<AsIs>>,
    old: HashMap<u64, V, BuildHasherDefault<AsIs>>,
    began_ms: Millis,
}

impl<V> Recent<V> {
    /// An empty table for `entries_max` entries, of at least two.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            per_generation_max: (entries_max / 2).max(1),
            young: HashMap::default(),
            old: HashMap::default(),
            began_ms: 0,
        }
    }

    /// What is known under `key`.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key)?;
            self.insert(key, value);
        }
        self.young.get_mut(&key)
    }

    /// Puts `value` in place of what is known under `key`.
    pub fn insert(&mut self, key: u64, value: V) {
        if self.young.len() >= self.per_generation_max && !self.young.contains_key(&key) {
            self.begin_generation();
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Forgets what was not asked for in the last five to ten minutes.
    pub fn handle_timeout(&mut self, now_ms: Millis) {
        if now_ms.saturating_sub(self.began_ms) >= GENERATION_MS_MAX {
            self.begin_generation();
            self.began_ms = now_ms;
        }
    }

    /// Entries in both generations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn begin_generation(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_known_than_was_said_and_those_asked_for_stay() {
        let mut recent: Recent<u64> = Recent::new(10);
        for key in 0..1_000 {
            recent.insert(key, key);
            assert!(recent.len() <= 10);
            assert_eq!(recent.get_mut(0).copied(), Some(0), "it is asked for each time");
        }
        assert_eq!(recent.get_mut(999).copied(), Some(999));
        assert_eq!(recent.get_mut(500), None);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_in_ten_minutes() {
        let mut recent: Recent<u64> = Recent::new(10);
        recent.insert(1, 1);
        recent.insert(2, 2);
        recent.handle_timeout(GENERATION_MS_MAX);
        assert_eq!(recent.get_mut(1).copied(), Some(1));
        recent.handle_timeout(2 * GENERATION_MS_MAX);
        assert_eq!((recent.get_mut(1).copied(), recent.get_mut(2)), (Some(1), None));
        recent.handle_timeout(3 * GENERATION_MS_MAX);
        recent.handle_timeout(4 * GENERATION_MS_MAX);
        assert!(recent.is_empty());
    }

    #[test]
    fn a_newer_value_takes_the_place_of_the_older_one() {
        let mut recent: Recent<u64> = Recent::new(4);
        recent.insert(1, 1);
        recent.handle_timeout(GENERATION_MS_MAX);
        recent.insert(1, 2);
        assert_eq!((recent.get_mut(1).copied(), recent.len()), (Some(2), 1));
    }
}
