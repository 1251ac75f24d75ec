//! How many wrong passwords one address may try: a token bucket an address, in a bounded table. Pure.

use core::net::IpAddr;
use std::collections::HashMap;

/// Limits of a [`Throttle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Failures one address may make at once before it has to wait.
    pub failures_burst_max: u32,
    /// Milliseconds after which one failure is forgiven.
    pub forgive_ms: u64,
    /// Addresses remembered; the one that has failed least is forgotten for a new one.
    pub addresses_max: usize,
}

/// Counts failed logins by address: IPv4 by /32, IPv6 by /64. A success costs nothing.
///
/// The order for whoever listens: an attempt that is `Accepted` goes in whatever this says, since a
/// machine-made secret cannot be guessed and a neighbour behind the same address must not lock others out. A
/// `Refused` one is counted by [`Throttle::note_failure`]. A `Person` one is checked only if
/// [`Throttle::permits`] says so, and counted before the check, so that many at once get no more tries; a
/// right password takes the count back by [`Throttle::forgive_one`].
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    addresses: HashMap<Prefix, Failures>,
}

/// The part of an address that one party is taken to control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4([u8; 4]),
    V6([u8; 8]),
}

/// What is held against an address: it runs down by one failure each `forgive_ms`.
#[derive(Clone, Copy, Debug)]
struct Failures {
    /// When all will be forgiven. The failures held at `now` are the time left divided by `forgive_ms`,
    /// rounded up.
    clean_at_ms: u64,
}

impl Throttle {
    /// An empty table.
    #[must_use]
    pub fn new(limits: ThrottleLimits) -> Self {
        Self { limits, addresses: HashMap::new() }
    }

    /// Whether `address` may try (again) at `now_ms`. Counts nothing.
    #[must_use]
    pub fn permits(&self, address: IpAddr, now_ms: u64) -> bool {
        let held_ms = self.addresses.get(&Prefix::of(address)).map_or(0, |f| f.held_ms(now_ms));
        held_ms.saturating_add(self.limits.forgive_ms) <= self.held_ms_max()
    }

    /// Counts a failed login of `address` and says whether it was within the limit; `false` asks for the
    /// connection to be closed and nothing more to be done for it.
    pub fn note_failure(&mut self, address: IpAddr, now_ms: u64) -> bool {
        let within = self.permits(address, now_ms);
        let prefix = Prefix::of(address);
        if !self.addresses.contains_key(&prefix) {
            self.make_room(now_ms);
        }
        let held_ms_max = self.held_ms_max();
        let failures = self.addresses.entry(prefix).or_insert(Failures { clean_at_ms: now_ms });
        let held_ms = failures.held_ms(now_ms).saturating_add(self.limits.forgive_ms).min(held_ms_max);
        failures.clean_at_ms = now_ms.saturating_add(held_ms);
        within
    }

    /// Takes one counted failure of `address` back: the check it was counted for turned out right.
    pub fn forgive_one(&mut self, address: IpAddr, now_ms: u64) {
        let prefix = Prefix::of(address);
        if let Some(failures) = self.addresses.get_mut(&prefix) {
            failures.clean_at_ms = failures.clean_at_ms.saturating_sub(self.limits.forgive_ms);
            if failures.held_ms(now_ms) == 0 {
                self.addresses.remove(&prefix);
            }
        }
    }

    /// Addresses something is held against, at most [`ThrottleLimits::addresses_max`].
    #[must_use]
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }

    fn held_ms_max(&self) -> u64 {
        self.limits.forgive_ms.saturating_mul(u64::from(self.limits.failures_burst_max))
    }

    /// Forgets the clean ones when the table is full, and if all have failed, the one that is clean soonest.
    fn make_room(&mut self, now_ms: u64) {
        if self.addresses.len() < self.limits.addresses_max.max(1) {
            return;
        }
        self.addresses.retain(|_, failures| failures.held_ms(now_ms) > 0);
        if self.addresses.len() >= self.limits.addresses_max.max(1) {
            let soonest = self.addresses.iter().min_by_key(|(_, f)| f.clean_at_ms).map(|(prefix, _)| *prefix);
            soonest.map(|prefix| self.addresses.remove(&prefix));
        }
    }
}

impl Failures {
    fn held_ms(self, now_ms: u64) -> u64 {
        self.clean_at_ms.saturating_sub(now_ms)
    }
}

impl Prefix {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self { failures_burst_max: 20, forgive_ms: 3_000, addresses_max: 4_096 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ThrottleLimits =
        ThrottleLimits { failures_burst_max: 3, forgive_ms: 1_000, addresses_max: 4 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_a_forgive_time() {
        let mut throttle = Throttle::new(LIMITS);
        let a = address("192.0.2.1");
        for _ in 0..3 {
            assert!(throttle.permits(a, 0));
            assert!(throttle.note_failure(a, 0));
        }
        assert!(!throttle.permits(a, 999));
        assert!(!throttle.note_failure(a, 0));
        assert!(throttle.permits(a, 1_000));
        assert!(throttle.note_failure(a, 1_000));
        assert!(!throttle.permits(a, 1_001));
        assert!(throttle.permits(address("192.0.2.2"), 1_001));
    }

    #[test]
    fn a_thousand_failures_a_second_are_held_no_longer_than_a_burst() {
        let mut throttle = Throttle::new(LIMITS);
        let a = address("192.0.2.1");
        let within = (0..60_000).filter(|&now| throttle.note_failure(a, now)).count();
        assert!((3..=64).contains(&within), "{within}");
        assert!(throttle.permits(a, 60_000 + 3_000));
    }

    #[test]
    fn looking_and_success_cost_nothing() {
        let mut throttle = Throttle::new(LIMITS);
        let a = address("192.0.2.1");
        for now in 0..1_000 {
            assert!(throttle.permits(a, now));
            throttle.note_failure(a, now);
            throttle.forgive_one(a, now);
        }
        assert_eq!(throttle.address_count(), 0);
        throttle.forgive_one(a, 0);
        assert!(throttle.permits(a, 0));
    }

    #[test]
    fn ipv6_counts_by_64_bits_and_mapped_ipv4_as_ipv4() {
        let mut throttle = Throttle::new(LIMITS);
        for i in 0..3 {
            assert!(throttle.note_failure(address(&format!("2001:db8:0:1::{i}")), 0));
        }
        assert!(!throttle.permits(address("2001:db8:0:1:ffff::9"), 0));
        assert!(throttle.permits(address("2001:db8:0:2::1"), 0));
        for _ in 0..3 {
            throttle.note_failure(address("::ffff:192.0.2.9"), 0);
        }
        assert!(!throttle.permits(address("192.0.2.9"), 0));
    }

    #[test]
    fn a_full_table_forgets_the_least_guilty() {
        let mut throttle = Throttle::new(LIMITS);
        let guilty = address("192.0.2.1");
        for _ in 0..3 {
            throttle.note_failure(guilty, 0);
        }
        for i in 0..=255 {
            throttle.note_failure(address(&format!("198.51.100.{i}")), 0);
            assert!(throttle.address_count() <= LIMITS.addresses_max);
        }
        assert_eq!(throttle.address_count(), LIMITS.addresses_max);
        assert!(!throttle.permits(guilty, 0));
    }

    #[test]
    fn odd_limits_and_times_do_not_panic() {
        let none = ThrottleLimits { failures_burst_max: 0, forgive_ms: 0, addresses_max: 0 };
        let huge =
            ThrottleLimits { failures_burst_max: u32::MAX, forgive_ms: u64::MAX, addresses_max: usize::MAX };
        for limits in [none, huge] {
            let mut throttle = Throttle::new(limits);
            for now in [0, u64::MAX, 5, u64::MAX - 1] {
                throttle.note_failure(address("::1"), now);
                throttle.forgive_one(address("::1"), now);
                let _any = throttle.permits(address("127.0.0.1"), now);
            }
            assert!(throttle.address_count() <= 1);
        }
    }
}
