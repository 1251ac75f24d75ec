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
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    addresses: HashMap<[u8; 8], ()>,
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
        unimplemented!()
    }

    /// Counts a failed login of `address`; `false` when it has used up what it had, so that the answer is to be a closed
    /// connection.
    pub fn note_failure(&mut self, address: IpAddr, now_ms: u64) -> bool {
        unimplemented!()
    }
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self { failures_burst_max: 20, forgive_ms: 3_000, addresses_max: 4_096 }
    }
}
