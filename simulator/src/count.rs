use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    latency::{Latencies, LatencyMs},
    mqtt::Failure,
};

/// Different causes counted apart; further ones are counted as `other`.
pub(crate) const CAUSES_MAX: usize = 64;

/// What all devices of a run count together.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) planned: Counter,
    pub(crate) sent: Counter,
    pub(crate) resent: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) skipped: Counter,
    pub(crate) given_up: Counter,
    pub(crate) unaudited: Counter,
    pub(crate) refused: Counter,
    /// Acknowledged readings that say more than 35 °C.
    pub(crate) hot: Counter,
    /// Acknowledged before a publish that was sent earlier.
    pub(crate) acknowledged_out_of_order: Counter,
    /// Connections open at present.
    pub(crate) connected: Counter,
    /// Devices that were let in at least once.
    pub(crate) accepted: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) login_refusals: Counter,
    /// Connections that ended, or never came about, without our wish.
    pub(crate) failures: Counter,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    causes: BTreeMap<String, u64>,
    latencies: Latencies,
    /// Those since [`Counters::take_recent`].
    recent: Latencies,
    round_trips: Latencies,
    last_failure: Option<(String, Failure)>,
    last_login_refusal: Option<(String, Failure)>,
}

/// A number that many tasks change.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn new() -> Self {
        let told = Told {
            causes: BTreeMap::new(),
            latencies: Latencies::new(),
            recent: Latencies::new(),
            round_trips: Latencies::new(),
            last_failure: None,
            last_login_refusal: None,
        };
        Self {
            planned: Counter::default(),
            sent: Counter::default(),
            resent: Counter::default(),
            acknowledged: Counter::default(),
            skipped: Counter::default(),
            given_up: Counter::default(),
            unaudited: Counter::default(),
            refused: Counter::default(),
            hot: Counter::default(),
            acknowledged_out_of_order: Counter::default(),
            connected: Counter::default(),
            accepted: Counter::default(),
            reconnects: Counter::default(),
            login_refusals: Counter::default(),
            failures: Counter::default(),
            told: Mutex::new(told),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nothing in it can be left half changed.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_latency(&self, latency_us: u64, round_trip_us: u64) {
        let mut told = self.told();
        told.latencies.record(latency_us);
        told.recent.record(latency_us);
        told.round_trips.record(round_trip_us);
    }

    /// Counts a cause of a refusal or of the end of a connection.
    pub(crate) fn note_cause(&self, cause: &str) {
        let mut told = self.told();
        let full = told.causes.len() >= CAUSES_MAX;
        let key = if full && !told.causes.contains_key(cause) { "other" } else { cause };
        *told.causes.entry(key.to_owned()).or_default() += 1;
    }

    pub(crate) fn note_failure(&self, device: &str, failure: Failure) {
        self.failures.add(1);
        self.note_cause(&failure.to_string());
        let is_login = matches!(&failure, Failure::Refused(refusal) if refusal.is_login());
        let mut told = self.told();
        if is_login {
            self.login_refusals.add(1);
            told.last_login_refusal = Some((device.to_owned(), failure.clone()));
        }
        told.last_failure = Some((device.to_owned(), failure));
    }

    pub(crate) fn latency(&self) -> LatencyMs {
        self.told().latencies.summary()
    }

    /// Latencies since the last call; `None` when nothing was acknowledged.
    pub(crate) fn take_recent(&self) -> Option<LatencyMs> {
        self.told().recent.take()
    }

    pub(crate) fn round_trip(&self) -> LatencyMs {
        self.told().round_trips.summary()
    }

    pub(crate) fn causes(&self) -> BTreeMap<String, u64> {
        self.told().causes.clone()
    }

    /// Who failed last to connect, and why. A refused login goes before what may only be its consequence, such as a
    /// server that makes the address wait.
    pub(crate) fn last_failure(&self) -> Option<(String, Failure)> {
        let told = self.told();
        told.last_login_refusal.clone().or_else(|| told.last_failure.clone())
    }

    /// Readings planned, of which nobody knows yet what becomes of them.
    pub(crate) fn unsettled(&self) -> u64 {
        let settled = self.acknowledged.get() + self.skipped.get() + self.given_up.get();
        self.planned.get().saturating_sub(settled)
    }
}

impl Counters {
    /// Readings planned and not sent so far: at QoS 0 nothing more is known of them.
    pub(crate) fn unsent(&self) -> u64 {
        self.planned.get().saturating_sub(self.sent.get() + self.skipped.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_max_is_reached() {
        let counters = Counters::new();
        for cause in 0..CAUSES_MAX + 5 {
            counters.note_cause(&cause.to_string());
        }
        counters.note_cause("0");
        let causes = counters.causes();
        assert_eq!(causes.len(), CAUSES_MAX + 1);
        assert_eq!((causes["0"], causes["other"]), (2, 5));
    }
}
