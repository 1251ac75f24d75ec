//! What was handed to the connection and is not acknowledged, in order. Pure.

use std::collections::VecDeque;

use super::message::Outgoing;

/// A place in the order of all messages, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// Messages on their way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    /// Messages that are gone from the front.
    done: u64,
    /// Slots handed to the connection.
    handed: usize,
    /// Of these, those that the connection has given a packet id.
    written: usize,
    /// Up to this place one message goes at a time, to find out which of them is refused.
    careful_until: u64,
}

#[derive(Debug)]
struct Slot {
    message: Outgoing,
    packet: Option<u16>,
    is_acknowledged: bool,
}

impl Window {
    /// Adds a message behind all others.
    pub(super) fn push(&mut self, message: Outgoing) {
        self.slots.push_back(Slot { message, packet: None, is_acknowledged: false });
    }

    /// Behind the last message.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.done.saturating_add(self.slots.len().try_into().unwrap_or(u64::MAX)))
    }

    /// Takes out what was pushed since `mark`. The connection it was handed to has to be given up.
    pub(super) fn cut(&mut self, mark: Mark) {
        let keep = usize::try_from(mark.0.saturating_sub(self.done)).unwrap_or(usize::MAX);
        self.slots.truncate(keep);
        self.begin_again();
    }

    /// Takes out everything.
    pub(super) fn clear(&mut self) {
        self.done = self.mark().0;
        self.slots.clear();
        self.begin_again();
    }

    /// A new connection knows of nothing: all that is not acknowledged is to be handed over again, in order. What is
    /// acknowledged behind it goes again too, or a device's readings would change places.
    pub(super) fn begin_again(&mut self) {
        (self.handed, self.written) = (0, 0);
        for slot in &mut self.slots {
            slot.packet = None;
            slot.is_acknowledged = false;
        }
    }

    /// The next message to hand over, while fewer than `in_flight_max` are.
    pub(super) fn next(&mut self, in_flight_max: usize) -> Option<&Outgoing> {
        let is_careful = self.done < self.careful_until;
        if self.handed >= if is_careful { 1 } else { in_flight_max } {
            return None;
        }
        let slot = self.slots.get(self.handed)?;
        self.handed += 1;
        Some(&slot.message)
    }

    /// The connection has written the next message under this packet id.
    pub(super) fn note_written(&mut self, packet: u16) {
        if let Some(slot) = self.slots.get_mut(self.written).filter(|_| self.written < self.handed) {
            slot.packet = Some(packet);
            self.written += 1;
        }
    }

    /// The server has the message of this packet id. Whatever is acknowledged at the front is done.
    pub(super) fn note_acknowledged(&mut self, packet: u16) {
        let waiting = |slot: &&mut Slot| slot.packet == Some(packet) && !slot.is_acknowledged;
        if let Some(slot) = self.slots.iter_mut().take(self.written).find(waiting) {
            slot.is_acknowledged = true;
        }
        while self.slots.front().is_some_and(|slot| slot.is_acknowledged) {
            self.slots.pop_front();
            self.done += 1;
            self.handed -= 1;
            self.written -= 1;
        }
    }

    /// The only message on its way.
    pub(super) fn only_one(&self) -> Option<&Outgoing> {
        if self.handed == 1 { self.slots.front().map(|slot| &slot.message) } else { None }
    }

    /// Takes out the first message, which is dead.
    pub(super) fn drop_first(&mut self) {
        if self.slots.pop_front().is_some() {
            self.done += 1;
        }
    }

    /// Those on their way go one by one when they go again. Whether there are any.
    pub(super) fn be_careful(&mut self) -> bool {
        let handed = u64::try_from(self.handed).unwrap_or(u64::MAX);
        self.careful_until = self.careful_until.max(self.done.saturating_add(handed));
        handed > 0
    }

    /// The message that was refused under this packet id.
    pub(super) fn message(&self, packet: u16) -> Option<&Outgoing> {
        self.slots.iter().find(|slot| slot.packet == Some(packet)).map(|slot| &slot.message)
    }

    /// Whether all messages were handed over.
    pub(super) fn is_handed_over(&self) -> bool {
        self.handed == self.slots.len()
    }

    /// Whether all messages are acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn push(window: &mut Window, names: &[&str]) {
        names.iter().for_each(|name| window.push(Outgoing::named(name)));
    }

    fn hand_over(window: &mut Window, in_flight_max: usize) -> Vec<String> {
        std::iter::from_fn(|| window.next(in_flight_max).map(|message| message.topic.clone())).collect()
    }

    #[test]
    fn no_more_than_the_limit_are_on_their_way() {
        let mut window = Window::default();
        push(&mut window, &["a", "b", "c"]);
        assert_eq!(hand_over(&mut window, 2), ["a", "b"]);
        assert!(!window.is_handed_over());
        window.note_written(1);
        window.note_acknowledged(1);
        assert_eq!(hand_over(&mut window, 2), ["c"]);
        assert!(window.is_handed_over() && !window.is_empty());
        window.note_written(2);
        window.note_written(1);
        window.note_acknowledged(2);
        window.note_acknowledged(1);
        assert!(window.is_empty());
    }

    #[test]
    fn what_is_acknowledged_out_of_order_waits_for_what_is_in_front() {
        let mut window = Window::default();
        push(&mut window, &["a", "b", "c"]);
        assert_eq!(hand_over(&mut window, 9), ["a", "b", "c"]);
        (1..=3).for_each(|packet| window.note_written(packet));
        window.note_acknowledged(2);
        window.note_acknowledged(7);
        window.begin_again();
        assert_eq!(hand_over(&mut window, 9), ["a", "b", "c"]);
    }

    #[test]
    fn a_batch_that_failed_is_taken_out_and_those_before_it_go_again() {
        let mut window = Window::default();
        push(&mut window, &["a", "b"]);
        assert_eq!(hand_over(&mut window, 9), ["a", "b"]);
        window.note_written(1);
        let mark = window.mark();
        push(&mut window, &["c", "d"]);
        window.note_acknowledged(1);
        window.cut(mark);
        assert_eq!(hand_over(&mut window, 9), ["b"]);
        // All of it acknowledged, and part of the failed batch: nothing is left to take out.
        window.note_written(1);
        let mark = window.mark();
        push(&mut window, &["c", "d"]);
        assert_eq!(hand_over(&mut window, 9), ["c", "d"]);
        window.note_written(2);
        window.note_acknowledged(1);
        window.note_acknowledged(2);
        window.cut(mark);
        assert!(window.is_empty());
        push(&mut window, &["e"]);
        window.clear();
        assert!(window.is_empty() && window.is_handed_over());
    }

    #[test]
    fn after_a_refusal_those_on_their_way_go_one_by_one_until_all_of_them_are_done() {
        let mut window = Window::default();
        assert!(!window.be_careful());
        push(&mut window, &["a", "b", "c"]);
        assert_eq!(hand_over(&mut window, 2), ["a", "b"]);
        assert_eq!(window.only_one(), None);
        assert!(window.be_careful());
        window.begin_again();
        assert_eq!(hand_over(&mut window, 9), ["a"]);
        assert_eq!(window.only_one().map(|message| message.topic.as_str()), Some("a"));
        window.note_written(1);
        window.note_acknowledged(1);
        assert_eq!(hand_over(&mut window, 9), ["b"]);
        window.drop_first();
        window.begin_again();
        push(&mut window, &["d"]);
        assert_eq!(hand_over(&mut window, 9), ["c", "d"]);
    }

    proptest! {
        /// Whatever happens to the connection, what leaves the front was acknowledged, and in order.
        #[test]
        fn nothing_is_done_that_was_not_acknowledged(steps in prop::collection::vec(0..5_u8, 1..200)) {
            let mut window = Window::default();
            let (mut pushed, mut packet, mut on_their_way) = (0_u64, 0_u16, Vec::new());
            for step in steps {
                let before = window.done;
                match step {
                    0 => { window.push(Outgoing::named("x")); pushed += 1; }
                    1 => if window.next(4).is_some() {
                        packet += 1;
                        window.note_written(packet);
                        on_their_way.push(packet);
                    },
                    2 => if !on_their_way.is_empty() { window.note_acknowledged(on_their_way.remove(0)) },
                    3 => if let Some(last) = on_their_way.pop() { window.note_acknowledged(last) },
                    _ => { window.begin_again(); on_their_way.clear(); }
                }
                prop_assert!(step == 2 || step == 3 || window.done == before);
                prop_assert_eq!(window.done + window.slots.len() as u64, pushed);
                prop_assert!(window.written <= window.handed && window.handed <= window.slots.len().min(4));
            }
        }
    }
}
