use std::sync::atomic::{AtomicU64, Ordering};

use crate::session::coap::Counts;

/// What the CoAP sockets of all workers did since the start, and what they hold. Up to a quarter of a second old.
#[derive(Debug, Default)]
pub struct Counters {
    /// Devices heard of in the last five to ten minutes, by address.
    pub peers: AtomicU64,
    /// Requests remembered so that a repetition is stored once.
    pub remembered: AtomicU64,
    /// Requests that are not answered yet.
    pub pending: AtomicU64,
    /// Requests, repetitions included.
    pub requests: AtomicU64,
    /// Repetitions.
    pub duplicates: AtomicU64,
    /// Datagrams that are no CoAP, or not allowed in it.
    pub malformed: AtomicU64,
    /// Requests refused.
    pub refused: AtomicU64,
    /// Pings.
    pub pings: AtomicU64,
    /// Requests acknowledged before their answer was known.
    pub separate: AtomicU64,
    /// Answers sent once more.
    pub retransmitted: AtomicU64,
    /// Answers that nobody acknowledged.
    pub given_up: AtomicU64,
    /// Answers dropped because the kernel took none for too long.
    pub dropped: AtomicU64,
}

/// What one worker holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauges {
    pub(super) peers: usize,
    pub(super) remembered: usize,
    pub(super) pending: usize,
}

impl Counters {
    pub(super) fn add(&self, counts: &Counts) {
        let Counts {
            requests,
            duplicates,
            malformed,
            refused,
            pings,
            separate,
            retransmitted,
            given_up,
            dropped,
        } = *counts;
        for (counter, more) in [
            (&self.requests, requests),
            (&self.duplicates, duplicates),
            (&self.malformed, malformed),
            (&self.refused, refused),
            (&self.pings, pings),
            (&self.separate, separate),
            (&self.retransmitted, retransmitted),
            (&self.given_up, given_up),
            (&self.dropped, dropped),
        ] {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    /// One worker holds `after` where it held `before`.
    pub(super) fn gauge(&self, before: Gauges, after: Gauges) {
        for (gauge, before, after) in [
            (&self.peers, before.peers, after.peers),
            (&self.remembered, before.remembered, after.remembered),
            (&self.pending, before.pending, after.pending),
        ] {
            gauge.fetch_add(after as u64, Ordering::Relaxed);
            gauge.fetch_sub(before as u64, Ordering::Relaxed);
        }
    }
}
