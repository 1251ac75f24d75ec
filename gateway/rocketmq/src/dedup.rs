//! Which messages were seen before. The bus delivers at least once: a message may come twice when an acknowledgement
//! was lost on the way, and the broker does not look.
//!
//! A device that numbers its readings needs one row: what one device sent comes in order within a topic and lane, so
//! whatever is not above the last `(boot, seq)` came before. A message of a split reading has a row of its own for its
//! measurement. What has no numbers is known by its `uid`, of which the last ones are kept.

use std::collections::{HashMap, HashSet, VecDeque};

/// Rows that are kept: devices with numbers, each with a topic, lane and measurement.
pub const ROWS_MAX: usize = 200_000;

/// Ids that are kept of messages without numbers.
pub const UIDS_MAX: usize = 200_000;

/// What was seen so far.
#[derive(Debug)]
pub struct Seen {
    rows: HashMap<Box<str>, (u32, u64)>,
    rows_max: usize,
    uids: HashSet<Box<str>>,
    oldest: VecDeque<Box<str>>,
    uids_max: usize,
    key: String,
}

impl Default for Seen {
    fn default() -> Self {
        Self::new(ROWS_MAX, UIDS_MAX)
    }
}

impl Seen {
    /// Nothing seen yet. With `rows_max` rows, further devices are known by their `uid`s.
    #[must_use]
    pub fn new(rows_max: usize, uids_max: usize) -> Self {
        Self {
            rows: HashMap::new(),
            rows_max,
            uids: HashSet::new(),
            oldest: VecDeque::new(),
            uids_max,
            key: String::new(),
        }
    }

    /// Notes a message, and whether it is the first of its `uid`. `topic` and `lane` (the property `tg_lane`) say
    /// within what the messages of a device are in order.
    pub fn is_first(&mut self, topic: &str, lane: &str, uid: &str) -> bool {
        let Some(Numbered { device, boot, sequence, part }) = Numbered::read(uid) else {
            return self.is_first_uid(uid);
        };
        self.key.clear();
        for word in [topic, lane, device, part] {
            self.key.push_str(word);
            self.key.push('\n');
        }
        if let Some(last) = self.rows.get_mut(self.key.as_str()) {
            let is_above = (boot, sequence) > *last;
            if is_above {
                *last = (boot, sequence);
            }
            return is_above;
        }
        if self.rows.len() >= self.rows_max {
            return self.is_first_uid(uid);
        }
        self.rows.insert(self.key.as_str().into(), (boot, sequence));
        true
    }

    fn is_first_uid(&mut self, uid: &str) -> bool {
        if self.uids.contains(uid) {
            return false;
        }
        if self.oldest.len() >= self.uids_max
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.uids.remove(&oldest);
        }
        self.uids.insert(uid.into());
        self.oldest.push_back(uid.into());
        true
    }
}

/// A `uid` with the device's own numbers: `device/boot/seq`, and the measurement where the reading is split.
struct Numbered<'a> {
    device: &'a str,
    boot: u32,
    sequence: u64,
    part: &'a str,
}

impl<'a> Numbered<'a> {
    fn read(uid: &'a str) -> Option<Self> {
        let mut words = uid.splitn(4, '/');
        let device = words.next()?;
        let (boot, sequence) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { device, boot, sequence, part: words.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(seen: &mut Seen, uid: &str) -> bool {
        seen.is_first("iot-topic", "telemetry", uid)
    }

    #[test]
    fn what_is_not_above_the_last_came_before() {
        let mut seen = Seen::default();
        let course = ["a/1/1", "a/1/2", "a/1/2", "a/1/1", "b/1/1", "a/2/1", "a/1/9", "a/2/2"];
        let answers = course.map(|uid| first(&mut seen, uid));
        assert_eq!(answers, [true, true, false, false, true, true, false, true]);
        assert!(seen.uids.is_empty());
    }

    #[test]
    fn topics_lanes_and_measurements_have_an_order_of_their_own() {
        let mut seen = Seen::default();
        assert!(seen.is_first("iot-topic", "telemetry", "a/1/5"));
        assert!(seen.is_first("iot-topic", "event", "a/1/4"));
        assert!(seen.is_first("iot-device-topic", "telemetry", "a/1/3"));
        assert!(seen.is_first("iot-topic", "telemetry", "a/1/5/temperature"));
        assert!(seen.is_first("iot-topic", "telemetry", "a/1/5/humidity"));
        assert!(!seen.is_first("iot-topic", "telemetry", "a/1/5/humidity"));
    }

    #[test]
    fn what_has_no_numbers_is_known_by_its_id() {
        let mut seen = Seen::default();
        for uid in ["a/g3/t41", "a/g3/t40", "a/@1700", "a/g3/t41/0", "nonsense"] {
            assert!(first(&mut seen, uid) && !first(&mut seen, uid), "{uid}");
        }
    }

    #[test]
    fn uids_max_is_reached_and_the_oldest_goes() {
        let mut seen = Seen::new(ROWS_MAX, 3);
        for uid in ["a/g1/t1", "a/g1/t2", "a/g1/t3", "a/g1/t4"] {
            assert!(first(&mut seen, uid));
        }
        assert_eq!((seen.uids.len(), seen.oldest.len()), (3, 3));
        assert!(!first(&mut seen, "a/g1/t2"));
        assert!(first(&mut seen, "a/g1/t1"));
    }

    #[test]
    fn rows_max_is_reached_and_further_devices_are_known_by_their_ids() {
        let mut seen = Seen::new(1, 10);
        assert!(first(&mut seen, "a/1/1") && first(&mut seen, "b/1/2") && first(&mut seen, "b/1/1"));
        assert!(!first(&mut seen, "b/1/2") && !first(&mut seen, "a/1/1"));
        assert_eq!((seen.rows.len(), seen.uids.len()), (1, 2));
    }

    proptest! {
        /// A bridge that goes back repeats a span, again and again: each message counts once.
        #[test]
        fn whatever_is_repeated_counts_once(backs in prop::collection::vec((1_u64..20, 0_u64..20), 1..20)) {
            let mut seen = Seen::default();
            let (mut next, mut count, mut end) = (0_u64, 0_u64, 0);
            for (forth, back) in backs {
                for number in next..next + forth {
                    count += u64::from(first(&mut seen, &format!("a/1/{number}")));
                }
                end = end.max(next + forth);
                next = (next + forth).saturating_sub(back);
            }
            prop_assert_eq!(count, end);
        }
    }
}
