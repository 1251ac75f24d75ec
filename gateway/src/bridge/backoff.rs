use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(30);
/// The longest wait for a destination that is not there: what is sent to find out is a connection or a greeting.
const LAST_AWAY: Duration = Duration::from_secs(5);

/// Waits that double from 0.1 s to 30 s, or to 5 s for a destination that is not there, each shortened by up to a half
/// at random, so that many bridges do not come back to a recovered server in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure; `random` is any number.
    pub(crate) fn next(&mut self, is_away: bool, random: u32) -> Duration {
        let last = if is_away { LAST_AWAY } else { LAST };
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(last);
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
        let waits: Vec<_> = (0..12).map(|_| backoff.next(false, 0)).collect();
        assert_eq!(waits.first(), Some(&FIRST));
        assert!(waits.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] <= pair[0] * 2));
        assert_eq!(waits.last(), Some(&LAST));
        assert_eq!(backoff.next(false, u32::MAX), LAST / 2);
        assert_eq!(backoff.next(true, 0), LAST_AWAY);
        backoff.reset();
        assert!(!backoff.is_failing());
        assert_eq!(backoff.next(false, 0), FIRST);
    }
}
