//! Latency of acknowledgements. Nothing else names `hdrhistogram`.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency told apart from longer ones: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Times from something to the acknowledgement of a reading.
#[derive(Debug)]
pub(crate) struct Latencies(Option<Histogram<u64>>);

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyMs {
    /// Half of the readings took at most this long.
    pub p50: f64,
    /// 90 % did.
    pub p90: f64,
    /// 99 % did.
    pub p99: f64,
    /// 99.9 % did.
    pub p999: f64,
    /// The slowest reading.
    pub max: f64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        debug_assert!(histogram.is_ok(), "the bounds are constants");
        Self(histogram.ok())
    }

    pub(crate) fn record(&mut self, latency_us: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(latency_us);
        }
    }

    /// Takes in all that `other` has recorded.
    pub(crate) fn add(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            let added = histogram.add(other);
            debug_assert!(added.is_ok(), "both have the same bounds");
        }
    }

    /// Forgets all.
    pub(crate) fn reset(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|histogram| histogram.is_empty())
    }

    pub(crate) fn summary(&self) -> LatencyMs {
        let Some(histogram) = self.0.as_ref().filter(|histogram| !histogram.is_empty()) else {
            return LatencyMs::default();
        };
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        LatencyMs {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(histogram.max()),
        }
    }
}

impl fmt::Display for LatencyMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2}")
    }
}

/// To the microsecond.
fn milliseconds(us: u64) -> f64 {
    f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        for us in 1..=1000 {
            latencies.record(us * 1000);
        }
        let summary = latencies.summary();
        let near = |is: f64, should: f64| (is - should).abs() <= should / 500.0;
        assert!(
            near(summary.p50, 500.0) && near(summary.p99, 990.0) && near(summary.max, 1000.0),
            "{summary:?}"
        );
    }

    #[test]
    fn latency_us_max_is_reached_and_not_passed() {
        let mut latencies = Latencies::new();
        latencies.record(LATENCY_US_MAX * 100);
        let max = latencies.summary().max;
        assert!((3_600_000.0..3_610_000.0).contains(&max), "{max}");
    }

    #[test]
    fn nothing_recorded_is_nought() {
        assert_eq!(Latencies::new().summary(), LatencyMs::default());
    }
}
