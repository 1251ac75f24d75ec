use super::Micros;
use crate::{profile::Timing, value::mix};

/// When the readings of a device are due, counted from its first one's time. Later readings are never due earlier.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Between two readings, on average; 0: as fast as acknowledgements come.
    pub interval_us: Micros,
    /// How they are spread.
    pub timing: Timing,
    /// From what chance is made.
    pub key: u64,
}

impl Schedule {
    /// A reading each `interval_us`.
    #[must_use]
    pub const fn periodic(interval_us: Micros) -> Self {
        Self { interval_us, timing: Timing::Periodic, key: 0 }
    }

    /// After this time the schedule begins anew: a fleet is spread over it.
    #[must_use]
    pub fn period_us(&self) -> Micros {
        match self.timing {
            Timing::Periodic | Timing::Jitter { .. } => self.interval_us,
            Timing::Bursts { readings, .. } => self.interval_us.saturating_mul(readings.into()),
        }
    }

    /// When the reading behind `before` others is due.
    #[must_use]
    pub fn due_us(&self, before: u64) -> Micros {
        let regular_us = before.saturating_mul(self.interval_us);
        match self.timing {
            Timing::Periodic => regular_us,
            Timing::Jitter { percent } => regular_us.saturating_add(self.late_us(before, percent)),
            Timing::Bursts { readings, gap_us } => {
                let readings = u64::from(readings.max(1));
                let in_burst_us = (before % readings).saturating_mul(gap_us);
                (before / readings).saturating_mul(self.period_us()).saturating_add(in_burst_us)
            }
        }
    }

    /// How many readings are due up to `elapsed_us`, which itself counts; 0 without an interval.
    #[must_use]
    pub fn due_by(&self, elapsed_us: Micros) -> u64 {
        let Some(steps) = elapsed_us.checked_div(self.interval_us) else { return 0 };
        match self.timing {
            Timing::Periodic => steps.saturating_add(1),
            // Each is less than an interval late.
            Timing::Jitter { .. } => steps.saturating_add(u64::from(self.due_us(steps) <= elapsed_us)),
            Timing::Bursts { readings, gap_us } => {
                let readings = u64::from(readings.max(1));
                let period_us = self.period_us().max(1);
                let in_burst_us = elapsed_us % period_us;
                let begun = in_burst_us.checked_div(gap_us).map_or(readings, |steps| steps.saturating_add(1));
                (elapsed_us / period_us).saturating_mul(readings).saturating_add(begun.min(readings))
            }
        }
    }

    fn late_us(&self, before: u64, percent: u8) -> Micros {
        let most_us = self.interval_us.saturating_mul(percent.min(100).into()) / 100;
        mix(self.key ^ mix(before)).checked_rem(most_us).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMINGS: [Timing; 5] = [
        Timing::Periodic,
        Timing::Jitter { percent: 30 },
        Timing::Jitter { percent: 100 },
        Timing::Bursts { readings: 4, gap_us: 7 },
        Timing::Bursts { readings: 3, gap_us: 0 },
    ];

    #[test]
    fn both_ways_of_counting_agree() {
        for timing in TIMINGS {
            let schedule = Schedule { interval_us: 100, timing, key: 5 };
            let due: Vec<_> = (0..200).map(|before| schedule.due_us(before)).collect();
            assert!(due.is_sorted(), "{timing:?}");
            for elapsed_us in 0..10_000 {
                let count = due.iter().filter(|due_us| **due_us <= elapsed_us).count();
                assert_eq!(
                    schedule.due_by(elapsed_us),
                    u64::try_from(count).unwrap(),
                    "{timing:?} {elapsed_us}"
                );
            }
        }
    }

    #[test]
    fn the_mean_rate_is_that_of_the_interval() {
        for timing in TIMINGS {
            let count = Schedule { interval_us: 100, timing, key: 5 }.due_by(120_000 - 1);
            assert!((1199..=1200).contains(&count), "{timing:?}: {count}");
        }
    }

    #[test]
    fn jitter_is_late_by_a_part_of_the_interval_and_of_the_seed() {
        let late = |key, percent| -> Vec<_> {
            let schedule = Schedule { interval_us: 1000, timing: Timing::Jitter { percent }, key };
            (0..500).map(|before| schedule.due_us(before) - before * 1000).collect()
        };
        assert_eq!(late(1, 20), late(1, 20));
        assert_ne!(late(1, 20), late(2, 20));
        assert!(late(1, 20).iter().all(|us| *us < 200) && late(1, 20).iter().any(|us| *us > 150));
        assert!(late(1, 100).iter().any(|us| *us > 900));
    }

    #[test]
    fn a_burst_comes_at_once_and_then_there_is_a_rest() {
        let timing = Timing::Bursts { readings: 3, gap_us: 5 };
        let schedule = Schedule { interval_us: 100, timing, key: 0 };
        let due: Vec<_> = (0..7).map(|before| schedule.due_us(before)).collect();
        assert_eq!(due, [0, 5, 10, 300, 305, 310, 600]);
        assert_eq!(schedule.period_us(), 300);
    }

    #[test]
    fn without_an_interval_nothing_is_scheduled() {
        assert_eq!(Schedule::periodic(0).due_by(1000), 0);
    }
}
