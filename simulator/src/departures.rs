use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Readings of a device whose departure is remembered: the last ones. It divides 256, so that the lowest byte of a number
/// says its place.
pub(crate) const DEPARTURES_MAX: usize = 8;

/// Of an entry, the lower bits are of the reading's number, the others of the time: 203 days, then it begins anew.
const NUMBER_BITS: u32 = 20;
const NUMBERS: u64 = 1 << NUMBER_BITS;
const TIMES_US: u64 = 1 << (u64::BITS - NUMBER_BITS);

/// When a device sent its last readings for the first time, by the wall clock; for an audit in the same process, which
/// would else know the time that a reading says: in whole milliseconds, and before the device's timer had woken it.
#[derive(Debug, Default)]
pub(crate) struct Departures([AtomicU64; DEPARTURES_MAX]);

/// Those of all devices, by name.
pub(crate) type Fleet = HashMap<Box<str>, Arc<Departures>>;

impl Departures {
    /// `sequence` leaves at `wall_us`. What is noted of it before, or of a later one in its place, stays.
    pub(crate) fn note(&self, sequence: u64, wall_us: u64) {
        let Some(entry) = self.entry(sequence) else { return };
        let before = entry.load(Ordering::Relaxed);
        let is_later = before != 0 && (before % NUMBERS).wrapping_sub(sequence) % NUMBERS < NUMBERS / 2;
        if !is_later {
            entry.store(wall_us % TIMES_US * NUMBERS + sequence % NUMBERS, Ordering::Relaxed);
        }
    }

    /// Microseconds from the first departure of `sequence` to `wall_us`; none if it is not remembered.
    pub(crate) fn elapsed_us(&self, sequence: u64, wall_us: u64) -> Option<u64> {
        let entry = self.entry(sequence)?.load(Ordering::Relaxed);
        if entry == 0 || entry % NUMBERS != sequence % NUMBERS {
            return None;
        }
        let elapsed_us = wall_us.wrapping_sub(entry / NUMBERS) % TIMES_US;
        // A clock that was set back in between.
        Some(if elapsed_us < TIMES_US / 2 { elapsed_us } else { 0 })
    }

    fn entry(&self, sequence: u64) -> Option<&AtomicU64> {
        let [.., low] = sequence.to_be_bytes();
        self.0.get(usize::from(low) % DEPARTURES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL_US: u64 = 1_800_000_000_000_000;

    #[test]
    fn a_reading_travels_from_its_first_departure() {
        let departures = Departures::default();
        departures.note(1, WALL_US);
        departures.note(2, WALL_US + 5);
        departures.note(1, WALL_US + 700);
        assert_eq!(departures.elapsed_us(1, WALL_US + 1_000), Some(1_000));
        assert_eq!(departures.elapsed_us(2, WALL_US + 1_000), Some(995));
        assert_eq!(departures.elapsed_us(3, WALL_US + 1_000), None);
        assert_eq!(departures.elapsed_us(2, WALL_US), Some(0), "the clock was set back");
    }

    #[test]
    fn departures_max_are_remembered_and_an_older_one_sent_again_displaces_none() {
        let departures = Departures::default();
        let last = DEPARTURES_MAX as u64 + 1;
        for sequence in 1..=last {
            departures.note(sequence, WALL_US + sequence);
        }
        departures.note(1, WALL_US + 100);
        let known: Vec<_> =
            (0..20).filter(|at| departures.elapsed_us(*at, WALL_US + 200).is_some()).collect();
        assert_eq!(known, (2..=last).collect::<Vec<_>>());
        assert_eq!(departures.elapsed_us(last, WALL_US + 200), Some(200 - last));
    }

    #[test]
    fn numbers_and_times_go_round() {
        let departures = Departures::default();
        let wall_us = TIMES_US - 3;
        for sequence in NUMBERS - 20..NUMBERS + 20 {
            departures.note(sequence, wall_us);
            assert_eq!(departures.elapsed_us(sequence, wall_us + 10), Some(10), "{sequence}");
        }
    }
}
