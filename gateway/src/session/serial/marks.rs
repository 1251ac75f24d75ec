//! How far each device has come, so that what it sends again is stored once.

use std::collections::HashMap;

use tidegate_protocol::DeviceId;

use super::Place;
use crate::spool::{Durable, Position};

/// The last place of each device that is in the spool. Its size is bounded by the registry: only who has a login gets
/// here.
#[derive(Debug, Default)]
pub struct Marks {
    devices: HashMap<DeviceId, Mark>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    place: Place,
    /// Where it is in the spool, until that is durable.
    position: Option<Position>,
}

impl Marks {
    /// Whether `place` is in the spool already; if so, the position that has to be durable before it may be
    /// acknowledged, or none when it is.
    #[must_use]
    pub fn known(&self, device: &DeviceId, place: Place) -> Option<Option<Position>> {
        self.devices.get(device).filter(|mark| place <= mark.place).map(|mark| mark.position)
    }

    /// `place` is in the spool at `position`, or durable when there is none.
    pub fn note(&mut self, device: &DeviceId, place: Place, position: Option<Position>) {
        let mark = self.devices.entry(device.clone()).or_default();
        if place > mark.place {
            *mark = Mark { place, position };
        }
    }

    /// The first of the readings `from` and on of `boot` that is not in the spool.
    #[must_use]
    pub fn first_missing(&self, device: &DeviceId, boot: u32, from: u64) -> u64 {
        match self.devices.get(device).map(|mark| mark.place) {
            Some((at, sequence)) if at == boot => from.max(sequence.saturating_add(1)),
            _ => from,
        }
    }

    /// The highest boot of `device` in the spool; 0 when there is none.
    #[must_use]
    pub fn boot_seen(&self, device: &DeviceId) -> u32 {
        self.devices.get(device).map_or(0, |mark| mark.place.0)
    }

    /// Forgets the positions that are durable. Says whether all are.
    pub fn settle(&mut self, durable: &Durable) -> bool {
        self.settle_by(|position| durable.covers(position))
    }

    pub(super) fn settle_by(&mut self, covers: impl Fn(Position) -> bool) -> bool {
        let mut all = true;
        for mark in self.devices.values_mut() {
            mark.position = mark.position.filter(|position| !covers(*position));
            all &= mark.position.is_none();
        }
        all
    }

    /// Every device with its last place.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceId, Place)> {
        self.devices.iter().map(|(device, mark)| (device, mark.place))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::Lane;

    use super::*;

    #[test]
    fn what_was_seen_is_known_and_waits_for_the_disk_that_the_last_one_waits_for() {
        let (mut marks, device) = (Marks::default(), DeviceId::new("d").unwrap());
        assert_eq!((marks.known(&device, (1, 1)), marks.boot_seen(&device)), (None, 0));
        let position = Position { lane: Lane::Telemetry, offset: 7 };
        marks.note(&device, (2, 5), Some(position));
        assert_eq!(marks.known(&device, (2, 5)), Some(Some(position)));
        assert_eq!(marks.known(&device, (1, 99)), Some(Some(position)));
        assert_eq!(marks.known(&device, (2, 6)), None);
        assert!(!marks.settle_by(|position| position.offset < 7));
        assert!(marks.settle_by(|position| position.offset < 8));
        assert_eq!(marks.known(&device, (2, 5)), Some(None));
        marks.note(&device, (2, 4), Some(position));
        assert_eq!(marks.known(&device, (2, 5)), Some(None), "an older one changes nothing");
        assert_eq!(marks.boot_seen(&device), 2);
        let missing = [(2, 3), (2, 8), (3, 3)].map(|(boot, from)| marks.first_missing(&device, boot, from));
        assert_eq!(missing, [6, 8, 3], "of a gap that begins with what has arrived");
    }
}
