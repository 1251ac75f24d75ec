use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(30);

/// Waits that double from 0.1 s to 30 s, each shortened by up to a half at random, so that many bridges do not
/// come back to a recovered server in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure; `random` is any number.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        let share = f64::from(random) / f64::from(u32::MAX);
        full.mul_f64(1.0 - share / 2.0)
    }

    /// A success: the next failure starts from the shortest wait.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether the last try failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.next(0)).collect();
        assert_eq!(waits.first(), Some(&FIRST));
        assert!(waits.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] <= pair[0] * 2));
        assert_eq!(waits.last(), Some(&LAST));
        assert_eq!(backoff.next(u32::MAX), LAST / 2);
        backoff.reset();
        assert!(!backoff.is_failing());
        assert_eq!(backoff.next(0), FIRST);
    }
}
