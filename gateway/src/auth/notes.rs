//! What is noted about devices between flushes: when last heard of, the last reject and refused login and why, which QoS they
//! use. Pure.

use std::collections::HashMap;

use tidegate_protocol::DeviceId;

use super::command::LastReject;

/// Bytes kept of a reject's reason.
pub(super) const REASON_LEN_MAX: usize = 240;

/// One device's notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// When it was last heard of, Unix ms.
    pub(super) seen_ms: Option<u64>,
    /// What was last rejected of what it published.
    pub(super) reject: Option<LastReject>,
    /// The last login refused under its name.
    pub(super) refused: Option<LastReject>,
    /// It has published without waiting for an acknowledgement.
    pub(super) qos0: bool,
    /// It has published with an acknowledgement.
    pub(super) acknowledged: bool,
    /// The last change of this note, Unix ms; the least recent goes first when there is no room.
    pub(super) touched_ms: u64,
}

/// The table of notes, bounded.
#[derive(Debug)]
pub(super) struct Notes {
    notes_max: usize,
    notes: HashMap<DeviceId, (Note, Dirty)>,
}

/// Whether a note differs from what is on disk.
type Dirty = bool;

impl Note {
    pub(super) fn qos0_only(&self) -> bool {
        self.qos0 && !self.acknowledged
    }
}

impl Notes {
    /// A table of at most `notes_max`, filled with what was stored.
    pub(super) fn new(notes_max: usize, stored: Vec<(DeviceId, Note)>) -> Self {
        let notes =
            stored.into_iter().take(notes_max).map(|(device, note)| (device, (note, false))).collect();
        Self { notes_max, notes }
    }

    pub(super) fn get(&self, device: &DeviceId) -> Option<&Note> {
        self.notes.get(device).map(|(note, _)| note)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&DeviceId, &Note)> {
        self.notes.iter().map(|(device, (note, _))| (device, note))
    }

    pub(super) fn remove(&mut self, device: &DeviceId) {
        self.notes.remove(device);
    }

    /// Notes that `device` was heard of.
    pub(super) fn seen(&mut self, device: &DeviceId, wall_ms: u64) {
        self.change(device, wall_ms, |note| note.seen_ms = Some(wall_ms));
    }

    /// Notes a reject; of a long reason the beginning.
    pub(super) fn reject(&mut self, device: &DeviceId, reason: &str, wall_ms: u64) {
        self.change(device, wall_ms, |note| note.reject = Some(last(reason, wall_ms)));
    }

    /// Notes a refused login; of a long reason the beginning.
    pub(super) fn refused(&mut self, device: &DeviceId, reason: &str, wall_ms: u64) {
        self.change(device, wall_ms, |note| note.refused = Some(last(reason, wall_ms)));
    }

    /// Notes a publish with `qos`.
    pub(super) fn qos(&mut self, device: &DeviceId, qos: u8, wall_ms: u64) {
        self.change(device, wall_ms, |note| {
            note.qos0 |= qos == 0;
            note.acknowledged |= qos > 0;
            note.seen_ms = Some(wall_ms);
        });
    }

    /// What differs from the disk; from then on it counts as written.
    pub(super) fn take_dirty(&mut self) -> Vec<(DeviceId, Note)> {
        let dirty = self.notes.iter_mut().filter(|(_, (_, dirty))| *dirty);
        dirty
            .map(|(device, (note, dirty))| {
                *dirty = false;
                (device.clone(), note.clone())
            })
            .collect()
    }

    /// Takes [`Notes::take_dirty`] back, since they could not be written.
    pub(super) fn keep_dirty(&mut self, devices: &[(DeviceId, Note)]) {
        for (device, _) in devices {
            if let Some((_, dirty)) = self.notes.get_mut(device) {
                *dirty = true;
            }
        }
    }

    fn change(&mut self, device: &DeviceId, wall_ms: u64, change: impl FnOnce(&mut Note)) {
        if !self.notes.contains_key(device) {
            self.make_room();
        }
        let (note, dirty) = self.notes.entry(device.clone()).or_default();
        change(note);
        note.touched_ms = wall_ms;
        *dirty = true;
    }

    /// Forgets a sixteenth at once, the least recent, so that a flood of new names does not sort the table
    /// each time.
    fn make_room(&mut self) {
        if self.notes.len() < self.notes_max.max(1) {
            return;
        }
        let mut times: Vec<u64> = self.notes.values().map(|(note, _)| note.touched_ms).collect();
        let going = times.len() / 16;
        let (_, last_ms, _) = times.select_nth_unstable(going);
        let last_ms = *last_ms;
        let mut left = going + 1;
        self.notes.retain(|_, (note, _)| {
            let goes = left > 0 && note.touched_ms <= last_ms;
            left -= usize::from(goes);
            !goes
        });
    }
}

fn last(reason: &str, at_ms: u64) -> LastReject {
    let end = reason.floor_char_boundary(REASON_LEN_MAX);
    LastReject { reason: reason.get(..end).unwrap_or_default().to_owned(), at_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DeviceId {
        DeviceId::new(text).unwrap()
    }

    #[test]
    fn the_last_reject_stays_and_a_long_reason_is_cut_between_characters() {
        let mut notes = Notes::new(10, Vec::new());
        notes.reject(&id("a"), "first", 1);
        notes.reject(&id("a"), &"ü".repeat(1_000), 2);
        let reject = notes.get(&id("a")).unwrap().reject.clone().unwrap();
        assert_eq!(reject, LastReject { reason: "ü".repeat(REASON_LEN_MAX / 2), at_ms: 2 });
        notes.refused(&id("a"), &"x".repeat(1_000), 3);
        assert_eq!(notes.get(&id("a")).unwrap().reject, Some(reject));
        assert_eq!(notes.get(&id("a")).unwrap().refused.clone().unwrap().reason.len(), REASON_LEN_MAX);
    }

    #[test]
    fn only_qos_0_is_said_until_an_acknowledged_publish() {
        let mut notes = Notes::new(10, Vec::new());
        notes.seen(&id("a"), 1);
        assert!(!notes.get(&id("a")).unwrap().qos0_only());
        notes.qos(&id("a"), 0, 2);
        assert!(notes.get(&id("a")).unwrap().qos0_only());
        notes.qos(&id("a"), 1, 3);
        notes.qos(&id("a"), 0, 4);
        assert!(!notes.get(&id("a")).unwrap().qos0_only());
        assert_eq!(notes.get(&id("a")).unwrap().seen_ms, Some(4));
    }

    #[test]
    fn what_was_taken_for_writing_is_clean_until_it_changes_or_comes_back() {
        let mut notes = Notes::new(10, vec![(id("old"), Note::default())]);
        notes.seen(&id("a"), 1);
        let taken = notes.take_dirty();
        assert_eq!(taken.iter().map(|(d, _)| d.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(notes.take_dirty().is_empty());
        notes.keep_dirty(&taken);
        assert_eq!(notes.take_dirty().len(), 1);
    }

    #[test]
    fn a_full_table_forgets_the_least_recent() {
        for notes_max in [1, 2, 40] {
            let mut notes = Notes::new(notes_max, Vec::new());
            for i in 0..1_000_u64 {
                notes.seen(&id(&format!("d{i}")), i);
                assert!(notes.iter().count() <= notes_max);
                assert!(notes.get(&id(&format!("d{i}"))).is_some());
            }
            assert!(notes.get(&id("d0")).is_none());
        }
        let mut same_time = Notes::new(32, Vec::new());
        (0..100).for_each(|i| same_time.seen(&id(&format!("d{i}")), 7));
        assert!((16..=32).contains(&same_time.iter().count()));
    }
}
