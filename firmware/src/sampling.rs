//! When to measure, and which measurements are worth a reading. Pure.

use crate::Values;

/// The shortest period between two readings.
pub const PERIOD_MS_MIN: u32 = 100;
/// The longest: a day.
pub const PERIOD_MS_MAX: u32 = 24 * 60 * 60 * 1000;
/// Measurements of one reading at most.
pub const AVERAGE_MAX: u8 = 64;

/// How a board samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Milliseconds between two readings.
    pub period_ms: u32,
    /// Measurements, spread over the period, whose mean is the reading.
    pub average: u8,
    /// A reading goes out only when a channel has moved this far, in units of its last place, since the one before;
    /// 0: every reading.
    pub threshold: i32,
    /// A reading goes out after so long whatever it is, so that the gateway knows that the board lives.
    pub silence_ms_max: u32,
}

/// Collects measurements and says which readings come of them.
#[derive(Debug)]
pub struct Sampler<const C: usize> {
    sampling: Sampling,
    sums: [(i64, i32); C],
    taken: u8,
    due_ms: u64,
    last: Option<(u64, Values<C>)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { period_ms: 1_000, average: 4, threshold: 0, silence_ms_max: 60_000 }
    }
}

impl<const C: usize> Sampler<C> {
    /// The first measurement is due at once.
    #[must_use]
    pub const fn new(sampling: Sampling) -> Self {
        Self { sampling, sums: [(0, 0); C], taken: 0, due_ms: 0, last: None }
    }

    /// Changes the period from the next measurement on. Says whether it is one.
    pub fn set_period(&mut self, period_ms: u32, now_ms: u64) -> bool {
        if !is_period(period_ms) {
            return false;
        }
        self.sampling.period_ms = period_ms;
        self.due_ms = now_ms.saturating_add(self.step_ms());
        true
    }

    /// Milliseconds between two readings.
    #[must_use]
    pub const fn period_ms(&self) -> u32 {
        self.sampling.period_ms
    }

    /// When to measure next.
    #[must_use]
    pub const fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Takes a measurement, and gives a reading when it is complete and worth sending.
    pub fn handle_measured(&mut self, values: Values<C>, now_ms: u64) -> Option<Values<C>> {
        // Steps are counted from the one that was due, so that the period holds on average; a board that slept
        // through several of them takes up from here.
        let next_ms = self.due_ms.saturating_add(self.step_ms());
        self.due_ms = if next_ms <= now_ms { now_ms.saturating_add(self.step_ms()) } else { next_ms };
        for ((sum, count), value) in self.sums.iter_mut().zip(values) {
            if let Some(value) = value {
                *sum = sum.saturating_add(i64::from(value));
                *count = count.saturating_add(1);
            }
        }
        self.taken = self.taken.saturating_add(1);
        if self.taken < self.average() {
            return None;
        }
        self.taken = 0;
        let reading = core::mem::replace(&mut self.sums, [(0, 0); C]).map(mean);
        // A sensor that does not answer at all says nothing, and so does the board.
        if reading.iter().all(Option::is_none) || !self.is_worth(&reading, now_ms) {
            return None;
        }
        self.last = Some((now_ms, reading));
        Some(reading)
    }

    fn is_worth(&self, reading: &Values<C>, now_ms: u64) -> bool {
        let Some((at_ms, last)) = &self.last else { return true };
        let is_silent = now_ms.saturating_sub(*at_ms) >= u64::from(self.sampling.silence_ms_max);
        let moved = |(value, before): (&Option<i32>, &Option<i32>)| match (value, before) {
            (Some(value), Some(before)) => {
                value.saturating_sub(*before).saturating_abs() >= self.sampling.threshold
            }
            (None, None) => self.sampling.threshold <= 0,
            _ => true,
        };
        is_silent || reading.iter().zip(last).any(moved)
    }

    fn average(&self) -> u8 {
        self.sampling.average.clamp(1, AVERAGE_MAX)
    }

    fn step_ms(&self) -> u64 {
        u64::from((self.sampling.period_ms / u32::from(self.average())).max(1))
    }
}

/// Whether a board can be told to take a reading this often.
pub(crate) fn is_period(period_ms: u32) -> bool {
    (PERIOD_MS_MIN..=PERIOD_MS_MAX).contains(&period_ms)
}

/// Rounded to the nearest, half away from zero; none when no measurement was one.
fn mean((sum, count): (i64, i32)) -> Option<i32> {
    let count = i64::from(count);
    if count == 0 {
        return None;
    }
    let half = if sum < 0 { -count / 2 } else { count / 2 };
    i32::try_from(sum.saturating_add(half) / count).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(average: u8, threshold: i32) -> Sampling {
        Sampling { period_ms: 1_000, average, threshold, silence_ms_max: 10_000 }
    }

    #[test]
    fn a_reading_is_the_mean_of_its_measurements() {
        let mut sampler = Sampler::<1>::new(sampling(4, 0));
        let mut now_ms = 0;
        for (value, reading) in
            [(10, None), (11, None), (12, None), (12, Some([Some(11)])), (-1, None), (-2, None)]
        {
            assert_eq!(sampler.handle_measured([Some(value)], now_ms), reading, "{value}");
            assert_eq!(sampler.due_ms(), now_ms + 250);
            now_ms = sampler.due_ms();
        }
        assert_eq!(sampler.handle_measured([None], now_ms), None);
        assert_eq!(
            sampler.handle_measured([Some(-2)], now_ms),
            Some([Some(-2)]),
            "-5/3, of those that answered"
        );
    }

    #[test]
    fn what_has_not_moved_is_sent_when_it_has_been_silent_for_long() {
        let mut sampler = Sampler::<1>::new(sampling(1, 5));
        assert!(sampler.handle_measured([Some(100)], 0).is_some(), "the first");
        for (now_ms, value, goes) in [
            (1_000, 104, false),
            (2_000, 105, true),
            (3_000, 101, false),
            (4_000, 100, true),
            (13_999, 100, false),
            (14_000, 100, true),
        ] {
            assert_eq!(sampler.handle_measured([Some(value)], now_ms).is_some(), goes, "at {now_ms}");
        }
        assert!(
            sampler.handle_measured([None], 24_100).is_none(),
            "a sensor that does not answer says nothing"
        );
        assert!(sampler.handle_measured([Some(100)], 24_300).is_some(), "it is back");
    }

    #[test]
    fn one_of_two_sensors_that_goes_or_comes_back_is_news() {
        let mut sampler = Sampler::<2>::new(sampling(1, 5));
        for (values, goes) in [
            ([Some(1), Some(1)], true),
            ([Some(1), Some(1)], false),
            ([Some(1), None], true),
            ([Some(2), None], false),
            ([Some(2), Some(1)], true),
        ] {
            assert_eq!(sampler.handle_measured(values, 0).is_some(), goes, "{values:?}");
        }
    }

    #[test]
    fn the_period_holds_on_average_and_can_be_changed_within_its_limits() {
        let mut sampler = Sampler::<1>::new(sampling(1, 0));
        assert!(sampler.handle_measured([Some(1)], 30).is_some());
        assert_eq!(sampler.due_ms(), 1_000);
        assert!(sampler.handle_measured([Some(1)], 5_500).is_some());
        assert_eq!(sampler.due_ms(), 6_500, "what was slept through is not caught up with");
        for (period_ms, is_one) in [
            (PERIOD_MS_MIN - 1, false),
            (PERIOD_MS_MIN, true),
            (PERIOD_MS_MAX, true),
            (PERIOD_MS_MAX + 1, false),
        ] {
            assert_eq!(sampler.set_period(period_ms, 6_000), is_one, "{period_ms}");
        }
        assert_eq!(sampler.period_ms(), PERIOD_MS_MAX);
        assert_eq!(sampler.due_ms(), 6_000 + u64::from(PERIOD_MS_MAX));
    }
}
