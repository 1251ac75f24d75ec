use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
};

use tidegate_protocol::DeviceId;

use crate::clock::Millis;

/// How long a generation lasts at most.
const GENERATION_MS_MAX: Millis = 300_000;
/// How often it is noted again that a device was heard of.
const NOTE_MS: Millis = 60_000;

/// Which devices were heard of, and where, so that the registry is told once a minute and not with each request.
///
/// Two generations: who is in neither is new, and when the younger one is full or old the older one is forgotten.
pub(super) struct Seen {
    per_generation_max: usize,
    hasher: RandomState,
    young: HashMap<u64, Noted>,
    old: HashMap<u64, Noted>,
    began_ms: Millis,
}

#[derive(Clone, Copy, Default)]
struct Noted {
    at_ms: Millis,
    /// Best effort, acknowledged.
    qos: [bool; 2],
}

impl Seen {
    pub(super) fn new(peers_max: usize) -> Self {
        Self {
            per_generation_max: peers_max.div_ceil(2).max(1),
            hasher: RandomState::new(),
            young: HashMap::new(),
            old: HashMap::new(),
            began_ms: 0,
        }
    }

    /// Whether the registry is to be told of this request's device.
    pub(super) fn is_news(
        &mut self,
        peer: SocketAddr,
        device: &DeviceId,
        is_confirmable: bool,
        now_ms: Millis,
    ) -> bool {
        let key = self.hasher.hash_one((peer, device.as_str()));
        if !self.young.contains_key(&key) {
            if self.young.len() >= self.per_generation_max {
                self.begin_generation(now_ms);
            }
            let noted = self.old.remove(&key).unwrap_or_default();
            self.young.insert(key, noted);
        }
        let Some(noted) = self.young.get_mut(&key) else { return true };
        let [best_effort, acknowledged] = noted.qos;
        let is_known = if is_confirmable { acknowledged } else { best_effort };
        if is_known && now_ms.saturating_sub(noted.at_ms) < NOTE_MS {
            return false;
        }
        let is_fresh = now_ms.saturating_sub(noted.at_ms) < NOTE_MS;
        noted.qos = if is_fresh {
            [best_effort || !is_confirmable, acknowledged || is_confirmable]
        } else {
            [!is_confirmable, is_confirmable]
        };
        noted.at_ms = now_ms;
        true
    }

    pub(super) fn handle_timeout(&mut self, now_ms: Millis) {
        if now_ms.saturating_sub(self.began_ms) >= GENERATION_MS_MAX {
            self.begin_generation(now_ms);
        }
    }

    /// Devices in both generations.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn begin_generation(&mut self, now_ms: Millis) {
        self.old = std::mem::take(&mut self.young);
        self.began_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_device_is_news_once_a_minute_with_each_qos_and_from_each_address() {
        let mut seen = Seen::new(10);
        let a = device("a");
        assert!(seen.is_news(peer(1), &a, true, 0));
        assert!(!seen.is_news(peer(1), &a, true, 1));
        assert!(seen.is_news(peer(1), &a, false, 2));
        assert!(!seen.is_news(peer(1), &a, true, 3) && !seen.is_news(peer(1), &a, false, 3));
        assert!(seen.is_news(peer(1), &device("b"), true, 4));
        assert!(seen.is_news(peer(2), &a, true, 5));
        assert!(seen.is_news(peer(1), &a, true, NOTE_MS + 2));
    }

    #[test]
    fn no_more_than_peers_max_are_remembered_and_the_silent_go() {
        let mut seen = Seen::new(10);
        for port in 0..1_000 {
            assert!(seen.is_news(peer(port), &device("a"), true, 0));
            assert!(seen.len() <= 10);
        }
        assert!(!seen.is_news(peer(999), &device("a"), true, 0));
        seen.handle_timeout(GENERATION_MS_MAX);
        assert!(seen.len() > 0);
        seen.handle_timeout(2 * GENERATION_MS_MAX);
        assert_eq!(seen.len(), 0);
    }
}
