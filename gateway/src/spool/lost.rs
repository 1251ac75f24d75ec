//! Which records damage has taken, each counted once, however many readers come by.

use std::sync::{Mutex, PoisonError};

use super::{Lane, Offset, PerLane};

/// Spans of a lane that are told apart. Spans beyond are counted each time a reader meets them.
const SPANS_MAX: usize = 1_024;

/// The spans that damage has taken since the start, and those that the start found.
#[derive(Default)]
pub(super) struct LostRecords {
    lanes: PerLane<Mutex<Spans>>,
}

#[derive(Default)]
struct Spans {
    /// From, and behind the last; none touches another.
    apart: Vec<(Offset, Offset)>,
    beyond: u64,
}

impl LostRecords {
    /// Records `from..to` of `lane` are gone.
    pub(super) fn note(&self, lane: Lane, mut from: Offset, mut to: Offset) {
        let mut spans = self.lanes.of(lane).lock().unwrap_or_else(PoisonError::into_inner);
        spans.apart.retain(|(first, end)| {
            let is_apart = *end < from || to < *first;
            if !is_apart {
                (from, to) = (from.min(*first), to.max(*end));
            }
            is_apart
        });
        if spans.apart.len() < SPANS_MAX {
            spans.apart.push((from, to));
        } else {
            spans.beyond = spans.beyond.saturating_add(to.saturating_sub(from));
        }
    }

    /// How many records.
    pub(super) fn count(&self) -> u64 {
        let of_lane = |lane| {
            let spans = self.lanes.of(lane).lock().unwrap_or_else(PoisonError::into_inner);
            spans.apart.iter().map(|(from, to)| to.saturating_sub(*from)).sum::<u64>() + spans.beyond
        };
        Lane::ALL.into_iter().map(of_lane).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_once_and_overlaps_grow_it() {
        let lost = LostRecords::default();
        lost.note(Lane::Telemetry, 10, 20);
        lost.note(Lane::Telemetry, 10, 20);
        lost.note(Lane::Telemetry, 30, 40);
        assert_eq!(lost.count(), 20);
        lost.note(Lane::Telemetry, 15, 35);
        assert_eq!(lost.count(), 30);
        lost.note(Lane::Event, 15, 35);
        assert_eq!(lost.count(), 50);
    }

    #[test]
    fn more_spans_than_are_told_apart_are_counted_still() {
        let lost = LostRecords::default();
        let spans = SPANS_MAX as u64 + 5;
        (0..spans).for_each(|number| lost.note(Lane::Event, number * 10, number * 10 + 1));
        assert_eq!(lost.count(), spans);
    }
}
