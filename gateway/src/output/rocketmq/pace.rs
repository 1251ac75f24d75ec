use std::num::NonZeroU32;

use crate::clock::Millis;

/// How fast messages may go: so many a second, on average over a batch. Pure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate_max: Option<NonZeroU32>,
    /// When the next batch may go, microseconds since the start of the clock.
    due_us: u64,
}

impl Pace {
    pub(super) fn new(rate_max: Option<NonZeroU32>) -> Self {
        Self { rate_max, due_us: 0 }
    }

    /// Milliseconds until the next batch may go.
    pub(super) fn wait_ms(&self, now_ms: Millis) -> Millis {
        self.due_us.div_ceil(1_000).saturating_sub(now_ms)
    }

    /// So many messages go.
    pub(super) fn note(&mut self, messages: usize, now_ms: Millis) {
        let Some(rate_max) = self.rate_max else { return };
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        let takes_us = messages.saturating_mul(1_000_000).checked_div(rate_max.get().into()).unwrap_or(0);
        self.due_us = self.due_us.max(now_ms.saturating_mul(1_000)).saturating_add(takes_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_no_more_than_the_rate() {
        let mut pace = Pace::new(NonZeroU32::new(100));
        let (mut now_ms, mut sent) = (5_000, 0);
        while now_ms < 15_000 {
            assert_eq!(pace.wait_ms(now_ms), 0);
            pace.note(7, now_ms);
            sent += 7;
            now_ms += pace.wait_ms(now_ms);
        }
        assert!((1_000..=1_007).contains(&sent), "{sent} in ten seconds");
    }

    #[test]
    fn time_without_messages_is_not_saved_up_and_no_rate_is_no_wait() {
        let mut pace = Pace::new(NonZeroU32::new(10));
        pace.note(10, 100_000);
        assert_eq!(pace.wait_ms(100_000), 1_000);
        let mut pace = Pace::new(None);
        pace.note(usize::MAX, 0);
        assert_eq!(pace.wait_ms(0), 0);
    }
}
