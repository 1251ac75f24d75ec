use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use crate::{
    device::Micros,
    latency::{Latencies, LatencyMs},
    link::{Failure, Meaning},
};

/// Different causes counted apart; further ones are counted as `other`.
pub(crate) const CAUSES_MAX: usize = 64;

/// What became of readings and connections: of a whole run, or of the devices of one target.
///
/// Readings: `planned = acknowledged + skipped + given_up + unacknowledged` at QoS 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Connections open at present.
    pub connected: u64,
    /// Devices that were let in at least once.
    pub devices_accepted: u64,
    /// Readings that came due.
    pub planned: u64,
    /// Different readings that were sent.
    pub sent: u64,
    /// Further times that they were sent, after a lost connection or a passing refusal.
    pub resent: u64,
    /// Datagrams that CoAP repeated for want of an answer (RFC 7252 section 4.2).
    pub retransmitted: u64,
    /// Readings acknowledged.
    pub acknowledged: u64,
    /// Those of them above [`HOT_CELSIUS`](crate::value::HOT_CELSIUS).
    pub hot: u64,
    /// Readings that the devices still owe: at QoS 1 sent or not, at QoS 0 not sent.
    pub unacknowledged: u64,
    /// Readings never sent, because the device's backlog was full.
    pub skipped: u64,
    /// Readings that the server refused for good, or refused before it took a later one.
    pub given_up: u64,
    /// Refusals of readings, each time counted.
    pub refused: u64,
    /// Connections that were lost or did not come about, and refused readings.
    pub errors: u64,
    /// Connections opened again.
    pub reconnects: u64,
    /// Publishes acknowledged before one that was sent earlier on the same MQTT connection \[MQTT-4.6.0-2\].
    pub acknowledged_out_of_order: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.connected += other.connected;
        self.devices_accepted += other.devices_accepted;
        self.planned += other.planned;
        self.sent += other.sent;
        self.resent += other.resent;
        self.retransmitted += other.retransmitted;
        self.acknowledged += other.acknowledged;
        self.hot += other.hot;
        self.unacknowledged += other.unacknowledged;
        self.skipped += other.skipped;
        self.given_up += other.given_up;
        self.refused += other.refused;
        self.errors += other.errors;
        self.reconnects += other.reconnects;
        self.acknowledged_out_of_order += other.acknowledged_out_of_order;
    }
}

/// What all devices of a target count together.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) planned: Counter,
    pub(crate) sent: Counter,
    pub(crate) resent: Counter,
    pub(crate) retransmitted: Counter,
    pub(crate) acknowledged: Counter,
    /// Written at QoS 0, after which nothing more is known of a reading.
    pub(crate) written: Counter,
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
    /// When a reading was written for the first time.
    first_written_us: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    causes: BTreeMap<String, u64>,
    latencies: Latencies,
    /// Those since [`Counters::take_recent_to`].
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
            retransmitted: Counter::default(),
            acknowledged: Counter::default(),
            written: Counter::default(),
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
            first_written_us: AtomicU64::new(Micros::MAX),
            told: Mutex::new(told),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nothing in it can be left half changed.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_written(&self, now_us: Micros) {
        self.first_written_us.fetch_min(now_us, Ordering::Relaxed);
    }

    /// When a reading was written for the first time; the end of time before that.
    pub(crate) fn first_written_us(&self) -> Micros {
        self.first_written_us.load(Ordering::Relaxed)
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
        let is_login = matches!(&failure, Failure::Refused(refusal) if refusal.meaning == Meaning::Login);
        let mut told = self.told();
        if is_login {
            self.login_refusals.add(1);
            told.last_login_refusal = Some((device.to_owned(), failure.clone()));
        }
        told.last_failure = Some((device.to_owned(), failure));
    }

    /// Times from the planned time of a reading, and from its last sending, to its acknowledgement.
    pub(crate) fn latencies(&self) -> (LatencyMs, LatencyMs) {
        let told = self.told();
        (told.latencies.summary(), told.round_trips.summary())
    }

    /// Adds the times since the last call to those of other targets.
    pub(crate) fn take_recent_to(&self, recent: &mut Latencies) {
        let mut told = self.told();
        recent.add(&told.recent);
        told.recent.reset();
    }

    /// Adds the same times to those of other targets.
    pub(crate) fn add_latencies_to(&self, latencies: &mut Latencies, round_trips: &mut Latencies) {
        let told = self.told();
        latencies.add(&told.latencies);
        round_trips.add(&told.round_trips);
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

    pub(crate) fn counts(&self) -> Counts {
        let refused = self.refused.get();
        let settled = [&self.acknowledged, &self.written, &self.skipped, &self.given_up];
        let settled: u64 = settled.iter().map(|counter| counter.get()).sum();
        Counts {
            connected: self.connected.get(),
            devices_accepted: self.accepted.get(),
            planned: self.planned.get(),
            sent: self.sent.get(),
            resent: self.resent.get(),
            retransmitted: self.retransmitted.get(),
            acknowledged: self.acknowledged.get(),
            hot: self.hot.get(),
            unacknowledged: self.planned.get().saturating_sub(settled),
            skipped: self.skipped.get(),
            given_up: self.given_up.get(),
            refused,
            errors: self.failures.get() + refused,
            reconnects: self.reconnects.get(),
            acknowledged_out_of_order: self.acknowledged_out_of_order.get(),
        }
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
