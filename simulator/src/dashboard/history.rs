use std::collections::VecDeque;

use crate::simulator::{Progress, report::LatencyMs};

/// Seconds that are remembered: more than the widest terminal has columns for.
pub(super) const SECONDS_MAX: usize = 1000;

/// One second of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Second {
    /// Readings acknowledged in it.
    pub(super) acknowledged: u64,
    /// How long their acknowledgements took; `None` when there were none.
    pub(super) latency_ms: Option<LatencyMs>,
}

/// The last seconds of a run, the newest at the end.
#[derive(Debug, Default)]
pub(super) struct History {
    seconds: VecDeque<Second>,
    /// The last whole second that was told, and what was acknowledged by then.
    told: (u64, u64),
}

impl History {
    pub(super) fn handle_progress(&mut self, progress: &Progress) {
        let (told_s, told) = self.told;
        let now_s = progress.elapsed.as_secs();
        let passed = now_s.saturating_sub(told_s);
        if passed == 0 {
            return;
        }
        let acknowledged = progress.acknowledged.saturating_sub(told);
        let second = Second { acknowledged: acknowledged.div_ceil(passed), latency_ms: progress.recent_ms };
        // Where the picture could not keep up, the seconds left out get the mean.
        for _ in 0..passed.min(SECONDS_MAX.try_into().unwrap_or(u64::MAX)) {
            self.seconds.push_back(second);
        }
        let surplus = self.seconds.len().saturating_sub(SECONDS_MAX);
        self.seconds.drain(..surplus);
        self.told = (now_s, progress.acknowledged);
    }

    /// The last `count` seconds, or as many as there are.
    pub(super) fn last(&self, count: usize) -> impl ExactSizeIterator<Item = &Second> + Clone {
        self.seconds.iter().skip(self.seconds.len().saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::view::tests::progress, *};

    fn at(ms: u64, acknowledged: u64) -> Progress {
        Progress { elapsed: Duration::from_millis(ms), acknowledged, ..progress() }
    }

    #[test]
    fn a_second_has_what_was_acknowledged_in_it() {
        let mut history = History::default();
        for (ms, acknowledged) in [(250, 5), (1010, 20), (1260, 30), (2020, 50), (5000, 80)] {
            history.handle_progress(&at(ms, acknowledged));
        }
        let seconds: Vec<_> = history.last(9).map(|second| second.acknowledged).collect();
        assert_eq!(seconds, [20, 30, 10, 10, 10]);
        assert_eq!(history.last(2).len(), 2);
    }

    #[test]
    fn seconds_max_is_reached_and_not_passed() {
        let mut history = History::default();
        for second in 1..=1500 {
            history.handle_progress(&at(second * 1000, second * 7));
        }
        history.handle_progress(&at(9_000_000, 20_000));
        assert_eq!(history.last(usize::MAX).len(), SECONDS_MAX);
    }
}
