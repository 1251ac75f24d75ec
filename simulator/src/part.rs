//! The part of the fleet that speaks to one target: what it counts, and how fast it goes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::{
    Counts, LatencyMs, Target, count::Counters, device::Micros, latency::Latencies, progress::TargetProgress,
    report::TargetReport,
};

/// Looks that a present rate is made of.
const LOOKS_MAX: usize = 5;

/// The devices of one target.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) target: Target,
    pub(crate) devices: u32,
    pub(crate) counters: Arc<Counters>,
    /// When the first of them connects.
    pub(crate) first_connect_us: Micros,
    rate: Rate,
}

/// Acknowledgements at the last few looks.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<(Duration, u64)>);

impl Part {
    pub(crate) fn new(target: Target) -> Self {
        let counters = Arc::new(Counters::new());
        Self { target, devices: 0, counters, first_connect_us: Micros::MAX, rate: Rate::default() }
    }

    /// One device more, which connects at this time.
    pub(crate) fn take_device(&mut self, connect_us: Micros) {
        self.devices = self.devices.saturating_add(1);
        self.first_connect_us = self.first_connect_us.min(connect_us);
    }

    pub(crate) fn progress(&mut self, elapsed: Duration) -> TargetProgress {
        let counts = self.counters.counts();
        let (latency_ms, round_trip_ms) = self.counters.latencies();
        TargetProgress {
            target: self.target.clone(),
            devices: self.devices,
            counts,
            rate_per_s: self.rate.look(elapsed, counts.acknowledged),
            latency_ms,
            round_trip_ms,
        }
    }

    pub(crate) fn report(&self, elapsed: Duration) -> TargetReport {
        let counts = self.counters.counts();
        let (latency_ms, round_trip_ms) = self.counters.latencies();
        TargetReport {
            target: self.target.to_string(),
            devices: self.devices,
            counts,
            rate_per_s: per_second(counts.acknowledged, elapsed),
            causes: self.counters.causes(),
            latency_ms,
            round_trip_ms,
        }
    }
}

/// What all parts count together.
pub(crate) fn sum(parts: &[Part]) -> Counts {
    let mut sum = Counts::default();
    parts.iter().for_each(|part| sum += part.counters.counts());
    sum
}

/// Latencies and round trips of all parts together.
pub(crate) fn latencies(parts: &[Part]) -> (LatencyMs, LatencyMs) {
    if let [only] = parts {
        return only.counters.latencies();
    }
    let (mut latencies, mut round_trips) = (Latencies::new(), Latencies::new());
    parts.iter().for_each(|part| part.counters.add_latencies_to(&mut latencies, &mut round_trips));
    (latencies.summary(), round_trips.summary())
}

/// Latencies of all parts since the last call; `None` when nothing was acknowledged.
pub(crate) fn take_recent(parts: &[Part]) -> Option<LatencyMs> {
    let mut recent = Latencies::new();
    parts.iter().for_each(|part| part.counters.take_recent_to(&mut recent));
    (!recent.is_empty()).then(|| recent.summary())
}

/// Causes of errors of all parts together.
pub(crate) fn causes(parts: &[Part]) -> BTreeMap<String, u64> {
    let mut causes = BTreeMap::new();
    for (cause, count) in parts.iter().flat_map(|part| part.counters.causes()) {
        *causes.entry(cause).or_default() += count;
    }
    causes
}

impl Rate {
    /// What has come since a second or so ago, per second, when `acknowledged` have come in all.
    pub(crate) fn look(&mut self, elapsed: Duration, acknowledged: u64) -> f64 {
        self.0.push_back((elapsed, acknowledged));
        if self.0.len() > LOOKS_MAX {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().copied().unwrap_or_default();
        per_second(acknowledged.saturating_sub(before), elapsed.saturating_sub(since))
    }
}

pub(crate) fn per_second(count: u64, during: Duration) -> f64 {
    let seconds = during.as_secs_f64();
    if seconds > 0.0 { f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_max_is_reached_and_the_rate_is_of_the_last_second() {
        let mut rate = Rate::default();
        for look in 0..20_u32 {
            let acknowledged = u64::from(look) * 10 + if look >= 10 { 1000 } else { 0 };
            let per_s = rate.look(Duration::from_millis(250) * look, acknowledged);
            assert!(look == 0 || !(1..=9).contains(&look) || (per_s - 40.0).abs() < 1e-9, "{look}: {per_s}");
            assert!(look < 14 || (per_s - 40.0).abs() < 1e-9, "{look}: {per_s}");
        }
        assert_eq!(rate.0.len(), LOOKS_MAX);
    }

    #[test]
    fn parts_add_up() {
        let parts = ["a", "b"].map(|host| Part::new(Target::mqtt(host, 1)));
        for (part, (count, ms)) in parts.iter().zip([(3, 10), (4, 1000)]) {
            part.counters.planned.add(count + 2);
            part.counters.acknowledged.add(count);
            for _ in 0..count {
                part.counters.note_latency(ms * 1000, ms * 500);
            }
        }
        let counts = sum(&parts);
        assert_eq!((counts.acknowledged, counts.planned, counts.unacknowledged), (7, 11, 4));
        let (latency, round_trip) = latencies(&parts);
        let near = |is: f64, should: f64| (is - should).abs() <= should / 500.0;
        assert!(near(latency.p50, 1000.0) && near(round_trip.max, 500.0), "{latency:?} {round_trip:?}");
        assert!(near(parts[0].report(Duration::from_secs(1)).latency_ms.max, 10.0));
        parts.iter().for_each(|part| part.counters.note_cause("closed"));
        assert_eq!(causes(&parts), BTreeMap::from([("closed".to_owned(), 2)]));
    }

    #[test]
    fn what_is_recent_comes_once() {
        let parts = ["a", "b"].map(|host| Part::new(Target::mqtt(host, 1)));
        assert_eq!(take_recent(&parts), None);
        parts.iter().for_each(|part| part.counters.note_latency(2000, 1000));
        assert_eq!(take_recent(&parts).map(|recent| recent.max), Some(2.0));
        parts[1].counters.note_latency(500, 100);
        assert_eq!(take_recent(&parts).map(|recent| recent.max), Some(0.5));
        assert_eq!(take_recent(&parts), None);
    }
}
