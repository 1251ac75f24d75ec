//! Which segment is given up, made ready or dropped. Pure.
//!
//! **Invariant:** a segment is given up only when every consumer has durably confirmed it, or when the owner chose
//! drop-oldest, there is no other room, and a gap summary stands in its place. A lane's last segment never is.

use tidegate_protocol::Lane;

use super::{Offset, PerLane, config::WhenFull};

/// Ready segments to have at least: one for each lane.
pub(super) const BLANKS_MIN: usize = 2;

/// What the decision rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// The oldest segment of each lane, unless it is the lane's last.
    pub(super) oldest: PerLane<Option<Oldest>>,
    /// Every consumer has confirmed what is below.
    pub(super) confirmed: PerLane<Offset>,
    /// Segments ready, and how many there should be.
    pub(super) blanks: usize,
    pub(super) blanks_wanted: usize,
    /// One segment more fits under `max_disk` and leaves the file system its reserve.
    pub(super) room: bool,
    /// The spool takes more than `max_disk`.
    pub(super) over: bool,
    pub(super) when_full: WhenFull,
    pub(super) keep_ms: u64,
    pub(super) now_ms: u64,
}

/// The oldest segment of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Oldest {
    /// Behind its last record.
    pub(super) end: Offset,
    /// Its latest arrival, Unix milliseconds.
    pub(super) ts_max: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    Rest,
    /// Make a new file.
    Make,
    /// Make the lane's oldest segment ready to be used again.
    Recycle(Lane),
    /// Give the lane's oldest segment back to the file system.
    Delete(Lane),
    /// Give a ready segment back to the file system.
    DeleteBlank,
    /// Put a gap summary in place of the lane's oldest segment and recycle it.
    Drop(Lane),
    /// There is no room.
    Full,
}

impl View {
    /// What to do next.
    pub(super) fn decide(&self) -> Decision {
        if self.over {
            if let Some(lane) = self.oldest_confirmed() {
                return Decision::Delete(lane);
            }
            if self.blanks > BLANKS_MIN {
                return Decision::DeleteBlank;
            }
        }
        let expired = Lane::ALL.into_iter().find(|lane| self.is_confirmed(*lane) && self.is_expired(*lane));
        if self.blanks >= self.blanks_wanted {
            return expired.map_or(Decision::Rest, Decision::Delete);
        }
        if let Some(lane) = expired {
            return Decision::Recycle(lane);
        }
        if self.room {
            return Decision::Make;
        }
        if let Some(lane) = self.oldest_confirmed() {
            return Decision::Recycle(lane);
        }
        if self.blanks >= BLANKS_MIN {
            return Decision::Rest;
        }
        match self.when_full {
            WhenFull::Refuse => Decision::Full,
            WhenFull::DropOldest if self.oldest.telemetry.is_some() => Decision::Drop(Lane::Telemetry),
            WhenFull::DropOldest if self.oldest.event.is_some() => Decision::Drop(Lane::Event),
            WhenFull::DropOldest => Decision::Full,
        }
    }

    fn is_confirmed(&self, lane: Lane) -> bool {
        self.oldest.of(lane).is_some_and(|oldest| oldest.end <= *self.confirmed.of(lane))
    }

    fn is_expired(&self, lane: Lane) -> bool {
        let age_ms = |oldest: Oldest| self.now_ms.saturating_sub(oldest.ts_max);
        self.oldest.of(lane).is_some_and(|oldest| age_ms(oldest) > self.keep_ms)
    }

    /// Of the confirmed segments the one with the older records.
    fn oldest_confirmed(&self) -> Option<Lane> {
        let confirmed = Lane::ALL.into_iter().filter(|lane| self.is_confirmed(*lane));
        confirmed.min_by_key(|lane| self.oldest.of(*lane).map_or(u64::MAX, |oldest| oldest.ts_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            oldest: PerLane { event: None, telemetry: Some(Oldest { end: 100, ts_max: 1_000 }) },
            confirmed: PerLane { event: 0, telemetry: 50 },
            blanks: 1,
            blanks_wanted: 2,
            room: false,
            over: false,
            when_full: WhenFull::Refuse,
            keep_ms: 10_000,
            now_ms: 2_000,
        }
    }

    #[test]
    fn what_is_not_confirmed_stays() {
        assert_eq!(view().decide(), Decision::Full);
        assert_eq!(View { now_ms: 1_000_000, ..view() }.decide(), Decision::Full);
        assert_eq!(View { over: true, ..view() }.decide(), Decision::Full);
        assert_eq!(View { room: true, ..view() }.decide(), Decision::Make);
    }

    #[test]
    fn what_is_confirmed_goes_when_old_or_when_its_place_is_needed() {
        let confirmed = View { confirmed: PerLane { event: 0, telemetry: 100 }, ..view() };
        assert_eq!(confirmed.decide(), Decision::Recycle(Lane::Telemetry));
        assert_eq!(View { room: true, ..confirmed }.decide(), Decision::Make);
        let old = View { now_ms: 11_001, ..confirmed };
        assert_eq!(View { room: true, ..old }.decide(), Decision::Recycle(Lane::Telemetry));
        assert_eq!(View { blanks: 2, ..old }.decide(), Decision::Delete(Lane::Telemetry));
        assert_eq!(View { blanks: 2, now_ms: 11_000, ..confirmed }.decide(), Decision::Rest);
        assert_eq!(View { blanks: 2, over: true, ..confirmed }.decide(), Decision::Delete(Lane::Telemetry));
        assert_eq!(View { blanks: 3, over: true, ..view() }.decide(), Decision::DeleteBlank);
    }

    #[test]
    fn by_choice_the_oldest_is_dropped_telemetry_first() {
        let choice = View { when_full: WhenFull::DropOldest, ..view() };
        assert_eq!(choice.decide(), Decision::Drop(Lane::Telemetry));
        let event = Some(Oldest { end: 5, ts_max: 1 });
        let both = View { oldest: PerLane { event, ..choice.oldest }, ..choice };
        assert_eq!(both.decide(), Decision::Drop(Lane::Telemetry));
        let only_event = View { oldest: PerLane { event, telemetry: None }, ..choice };
        assert_eq!(only_event.decide(), Decision::Drop(Lane::Event));
        assert_eq!(View { oldest: PerLane::default(), ..choice }.decide(), Decision::Full);
    }
}
