use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::control::Services;

/// The CoAP listener since the start, all its sockets together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoapStatus {
    /// Devices heard of in the last minutes, by address.
    pub peers: u64,
    /// Requests, repetitions included.
    pub requests: u64,
    /// Repetitions, stored once.
    pub duplicates: u64,
    /// Requests remembered so that a repetition is stored once.
    pub remembered: u64,
    /// Requests that are not answered yet.
    pub pending: u64,
    /// Requests refused.
    pub refused: u64,
    /// Datagrams that are no CoAP, or not allowed in it.
    pub malformed: u64,
    /// Pings.
    pub pings: u64,
    /// Requests acknowledged before their answer was known, because the disk or a password took long.
    pub separate: u64,
    /// Answers sent once more.
    pub retransmitted: u64,
    /// Answers that nobody acknowledged.
    pub given_up: u64,
    /// Answers dropped because the kernel took none for too long.
    pub dropped: u64,
}

/// The numbers of this moment.
pub(super) fn observe(services: &Services) -> Option<CoapStatus> {
    services.shared.coap.as_ref()?;
    let counters = &services.shared.coap_counters;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Some(CoapStatus {
        peers: get(&counters.peers),
        requests: get(&counters.requests),
        duplicates: get(&counters.duplicates),
        remembered: get(&counters.remembered),
        pending: get(&counters.pending),
        refused: get(&counters.refused),
        malformed: get(&counters.malformed),
        pings: get(&counters.pings),
        separate: get(&counters.separate),
        retransmitted: get(&counters.retransmitted),
        given_up: get(&counters.given_up),
        dropped: get(&counters.dropped),
    })
}

impl fmt::Display for CoapStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peers, requests, duplicates, refused, malformed, separate, .. } = self;
        writeln!(
            f,
            "coap        {peers} peers; {requests} requests, {duplicates} of them repetitions, {refused} refused, \
             {separate} answered late; {malformed} malformed"
        )?;
        let Self { retransmitted, given_up, dropped, .. } = self;
        if retransmitted + given_up + dropped > 0 {
            writeln!(f, "  answers   {retransmitted} repeated, {given_up} given up, {dropped} dropped")?;
        }
        Ok(())
    }
}
