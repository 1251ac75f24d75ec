//! Which requests were answered lately, and with what, so that a repetition is stored once (RFC 7252, section 4.5).

use std::{
    collections::{HashMap, VecDeque},
    hash::BuildHasherDefault,
};

use super::{Millis, strict::Kind};
use crate::recent::AsIs;

/// How long a confirmable request may be repeated (RFC 7252, section 4.8.2: `EXCHANGE_LIFETIME`).
pub(super) const EXCHANGE_MS_MAX: Millis = 247_000;
/// How long the network may repeat a non-confirmable one (RFC 7252, section 4.8.2: `NON_LIFETIME`).
pub(super) const NON_MS_MAX: Millis = 145_000;

/// Names a peer's message id, out of as many as are remembered for one peer.
pub(super) type Key = u64;

/// The key of one of a peer's message ids. Tables look where the low bits say, and compare the seven highest: ids that
/// follow each other stand side by side, in memory that the last one has brought into the cache, and yet look different.
pub(super) const fn key(peer: u64, message_id: u16) -> Key {
    let id = message_id as Key;
    peer.wrapping_add(id) ^ (id << DISTINCT_SHIFT)
}

/// Below the highest seven bits.
const DISTINCT_SHIFT: u32 = u64::BITS - 7;

/// Two hashes of a request: of its sender and message id, and of all its bytes.
///
/// A peer with more than 265 new requests a second comes to each message id again before its time is over: the same id
/// is a repetition only if every byte is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) key: Key,
    pub(super) content: u64,
}

/// What was remembered of a request. With its key 24 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    content: u64,
    /// The time, in units of [`UNIT_MS`].
    at: u32,
    /// 0 while the answer is not known.
    answer: u8,
}

/// Times are kept in quarters of a second, which lasts for 34 years.
const UNIT_MS: Millis = 250;

/// The table. Its entries come from peers that have proved who they are, and leave after their lifetime, or when there
/// are too many: the oldest first. A peer has as many as message ids are told apart for it.
#[derive(Debug)]
pub(super) struct Duplicates {
    entries_max: usize,
    entries: HashMap<Key, Entry, BuildHasherDefault<AsIs>>,
    /// Keys by the time they came, of confirmable and of non-confirmable requests.
    ages: [VecDeque<Age>; 2],
}

/// A key in two halves and the time: 12 bytes, without the padding that a whole key would bring.
#[derive(Clone, Copy, Debug)]
struct Age {
    key: [u32; 2],
    at: u32,
}

/// A repetition, and what the first one was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// Not answered yet.
    Pending,
    /// Answered with this.
    Answered(u8),
}

impl Duplicates {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries_max, entries: HashMap::default(), ages: Default::default() }
    }

    /// Whether a request was seen before.
    pub(super) fn find(&self, print: Print) -> Option<Repeated> {
        let entry = self.entries.get(&print.key).filter(|entry| entry.content == print.content)?;
        Some(if entry.answer == 0 { Repeated::Pending } else { Repeated::Answered(entry.answer) })
    }

    /// Remembers a request that waits for its answer, in place of an older one with the same key.
    pub(super) fn insert(&mut self, print: Print, kind: Kind, now_ms: Millis) {
        let at = units(now_ms);
        self.entries.insert(print.key, Entry { content: print.content, at, answer: 0 });
        self.ages_of(kind).push_back(Age::new(print.key, at));
        while self.ages.iter().map(VecDeque::len).sum::<usize>() > self.entries_max {
            self.forget_oldest();
        }
    }

    /// Remembers the answer.
    pub(super) fn answer(&mut self, print: Print, answer: u8) {
        if let Some(entry) = self.entries.get_mut(&print.key).filter(|entry| entry.content == print.content) {
            entry.answer = answer;
        }
    }

    /// Forgets a request, so that a repetition is a new one.
    pub(super) fn forget(&mut self, print: Print) {
        if self.entries.get(&print.key).is_some_and(|entry| entry.content == print.content) {
            self.entries.remove(&print.key);
        }
    }

    /// Forgets what is over.
    pub(super) fn handle_timeout(&mut self, now_ms: Millis) {
        let [confirmable, others] = &mut self.ages;
        for (ages, lifetime_ms) in [(confirmable, EXCHANGE_MS_MAX), (others, NON_MS_MAX)] {
            let Some(oldest) = now_ms.checked_sub(lifetime_ms).map(units) else { continue };
            while let Some(age) = ages.pop_front_if(|age| age.at < oldest) {
                remove(&mut self.entries, age);
            }
        }
        if self.entries.capacity() > self.entries.len().saturating_mul(8).max(1_024) {
            self.entries.shrink_to(self.entries.len().saturating_mul(2));
            self.ages.iter_mut().for_each(|ages| ages.shrink_to(ages.len().saturating_mul(2)));
        }
    }

    /// Requests remembered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn forget_oldest(&mut self) {
        let [confirmable, others] = &mut self.ages;
        let at = |ages: &VecDeque<Age>| ages.front().map_or(u32::MAX, |age| age.at);
        let ages = if at(confirmable) <= at(others) { confirmable } else { others };
        if let Some(age) = ages.pop_front() {
            remove(&mut self.entries, age);
        }
    }

    fn ages_of(&mut self, kind: Kind) -> &mut VecDeque<Age> {
        let [confirmable, others] = &mut self.ages;
        if kind == Kind::Confirmable { confirmable } else { others }
    }
}

/// Removes an entry unless a newer one has taken its place.
fn remove(entries: &mut HashMap<Key, Entry, BuildHasherDefault<AsIs>>, age: Age) {
    let key = age.key();
    if entries.get(&key).is_some_and(|entry| entry.at == age.at) {
        entries.remove(&key);
    }
}

fn units(ms: Millis) -> u32 {
    u32::try_from(ms / UNIT_MS).unwrap_or(u32::MAX)
}

impl Age {
    fn new(key: Key, at: u32) -> Self {
        let [a, b, c, d, e, f, g, h] = key.to_ne_bytes();
        Self { key: [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])], at }
    }

    fn key(self) -> Key {
        let [low, high] = self.key.map(u32::to_ne_bytes);
        let ([a, b, c, d], [e, f, g, h]) = (low, high);
        Key::from_ne_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(key: Key, content: u64) -> Print {
        Print { key, content }
    }

    #[test]
    fn ids_of_a_peer_have_keys_of_their_own_side_by_side() {
        for peer in [0, u64::MAX - 100, 0x0123_4567_89ab_cdef] {
            let keys: std::collections::HashSet<Key> = (0..=u16::MAX).map(|id| key(peer, id)).collect();
            assert_eq!(keys.len(), 1 << 16);
            let place = |id| key(peer, id) & 0xffff;
            assert!((0..264).all(|id| (place(id) + 1) & 0xffff == place(id + 1)));
            assert_ne!(key(peer, 1) >> DISTINCT_SHIFT, key(peer, 2) >> DISTINCT_SHIFT);
        }
    }

    #[test]
    fn an_entry_and_its_age_are_small() {
        assert_eq!(size_of::<(Key, Entry)>(), 24);
        assert_eq!(size_of::<Age>(), 12);
        assert_eq!(Age::new(0x0123_4567_89ab_cdef, 7).key(), 0x0123_4567_89ab_cdef);
    }

    #[test]
    fn confirmable_requests_are_remembered_for_247_s_and_others_for_145_s() {
        let mut table = Duplicates::new(10);
        table.insert(print(1, 1), Kind::Confirmable, 1_000);
        table.insert(print(2, 2), Kind::NonConfirmable, 1_000);
        table.answer(print(2, 2), 5);
        table.handle_timeout(1_000 + NON_MS_MAX);
        assert_eq!(table.find(print(2, 2)), Some(Repeated::Answered(5)));
        table.handle_timeout(1_000 + NON_MS_MAX + UNIT_MS);
        assert_eq!(table.find(print(2, 2)), None);
        table.handle_timeout(1_000 + EXCHANGE_MS_MAX);
        assert_eq!(table.find(print(1, 1)), Some(Repeated::Pending));
        table.handle_timeout(1_000 + EXCHANGE_MS_MAX + UNIT_MS);
        assert_eq!((table.find(print(1, 1)), table.len()), (None, 0));
    }

    #[test]
    fn other_bytes_under_the_same_key_are_another_request_and_take_its_place() {
        let mut table = Duplicates::new(10);
        table.insert(print(1, 1), Kind::Confirmable, 0);
        table.answer(print(1, 1), 1);
        assert_eq!(table.find(print(1, 2)), None);
        table.insert(print(1, 2), Kind::Confirmable, 10_000);
        table.answer(print(1, 1), 9);
        table.forget(print(1, 1));
        assert_eq!(table.find(print(1, 2)), Some(Repeated::Pending));
        // The first one's age does not take the second one away.
        table.handle_timeout(EXCHANGE_MS_MAX + UNIT_MS);
        assert_eq!(table.find(print(1, 2)), Some(Repeated::Pending));
        table.forget(print(1, 2));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_full_table_forgets_the_oldest() {
        let mut table = Duplicates::new(100);
        for i in 0..1_000 {
            let kind = if i % 3 == 0 { Kind::NonConfirmable } else { Kind::Confirmable };
            table.insert(print(i, i), kind, i * UNIT_MS);
            assert!(table.len() <= 100);
        }
        assert_eq!(table.len(), 100);
        assert!((900..1_000).all(|i| table.find(print(i, i)).is_some()));
        assert_eq!(table.find(print(899, 899)), None);
        table.handle_timeout(1_000 * UNIT_MS + EXCHANGE_MS_MAX);
        assert_eq!((table.len(), table.ages.iter().map(VecDeque::len).sum::<usize>()), (0, 0));
        assert!(table.entries.capacity() <= 1_024, "memory is given back");
    }
}
