use std::net::{IpAddr, SocketAddr};

use tidegate_protocol::DeviceId;

use crate::{
    clock::Millis,
    recent::{Recent, hash_with},
};

/// How often it is noted again that a device was heard of.
const NOTE_MS: Millis = 60_000;

/// Which devices were heard of, and where, so that the registry is told once a minute and not with each request.
pub(super) struct Seen {
    seed: u64,
    noted: Recent<Noted>,
}

#[derive(Clone, Copy, Default)]
struct Noted {
    at_ms: Millis,
    /// Best effort, acknowledged.
    qos: [bool; 2],
}

impl Seen {
    /// `seed` is a number that nobody can guess.
    pub(super) fn new(peers_max: usize, seed: u64) -> Self {
        Self { seed, noted: Recent::new(peers_max) }
    }

    /// Whether the registry is to be told of this request's device.
    pub(super) fn is_news(
        &mut self,
        peer: SocketAddr,
        device: &DeviceId,
        is_confirmable: bool,
        now_ms: Millis,
    ) -> bool {
        let key = self.key(peer, device);
        let Some(noted) = self.noted.get_mut(key) else {
            let qos = [!is_confirmable, is_confirmable];
            self.noted.insert(key, Noted { at_ms: now_ms, qos });
            return true;
        };
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

    fn key(&self, peer: SocketAddr, device: &DeviceId) -> u64 {
        let (port, device) = (peer.port().to_be_bytes(), device.as_str().as_bytes());
        match peer.ip() {
            IpAddr::V4(ip) => hash_with(self.seed, &[&ip.octets(), &port, device]),
            IpAddr::V6(ip) => hash_with(self.seed, &[&ip.octets(), &port, device]),
        }
    }

    pub(super) fn handle_timeout(&mut self, now_ms: Millis) {
        self.noted.handle_timeout(now_ms);
    }

    /// Devices that are remembered, by address.
    pub(super) fn len(&self) -> usize {
        self.noted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recent::GENERATION_MS_MAX;

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_device_is_news_once_a_minute_with_each_qos_and_from_each_address() {
        let mut seen = Seen::new(10, 7);
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
        let mut seen = Seen::new(10, 7);
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
