//! One line a queue: what waits for it and what is on its way to it. Pure.
//!
//! At most one request a queue is on its way, since two could be carried out in either order; all queues have theirs at
//! once. A device's messages are in one line, so they stay in order.
//!
//! **Invariant:** which queues a topic has changes only while nothing of that topic is on its way. What waits then
//! moves to the line of its new queue, each device's messages in order.

use std::{collections::VecDeque, mem, sync::Arc};

use tidegate_rocketmq::{Encoded, Queue, wire::hash};

/// A message that the bus has not confirmed.
#[derive(Debug)]
pub(super) struct Held {
    /// Of its sharding key.
    pub(super) hash: i32,
    pub(super) message: Encoded,
}

/// A queue and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) queue: Queue,
    /// Of the queue's broker.
    pub(super) address: Arc<str>,
}

/// How much one request takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The bus has all of it.
    Confirmed,
    /// It is to be sent again, later.
    Again,
    /// It, or a part of it, will never be taken.
    Never,
}

/// What is left to do after an outcome.
#[derive(Debug)]
pub(super) enum Settled {
    /// So many messages are confirmed.
    Confirmed(usize),
    /// They wait again.
    Waiting,
    /// This one is refused for good.
    Dead(Held),
}

/// The queues of one topic, and what waits for them.
#[derive(Debug, Default)]
pub(super) struct Topic {
    lines: Vec<Line>,
    /// What waits while no queue is known.
    unplaced: VecDeque<Held>,
    /// The queues that take the place of the present ones as soon as nothing is on its way.
    next: Option<Vec<Target>>,
    flights: usize,
}

#[derive(Debug)]
struct Line {
    target: Target,
    waiting: VecDeque<Held>,
    flight: Vec<Held>,
    /// The last request did not go well; nothing is sent until the next try of all.
    is_paused: bool,
    /// Of what waits, so many go one by one, to find out which of them is refused.
    singles: usize,
}

impl Line {
    fn new(target: Target) -> Self {
        Self { target, waiting: VecDeque::new(), flight: Vec::new(), is_paused: false, singles: 0 }
    }
}

impl Topic {
    /// Whether its queues are known.
    pub(super) fn has_queues(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether nothing waits and nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.flights == 0 && self.unplaced.is_empty() && self.lines.iter().all(|line| line.waiting.is_empty())
    }

    /// Messages that wait, those on their way not among them.
    pub(super) fn waiting(&self) -> usize {
        self.unplaced.len() + self.lines.iter().map(|line| line.waiting.len()).sum::<usize>()
    }

    /// Lines, with or without something in them.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Takes a message.
    pub(super) fn push(&mut self, held: Held) {
        let at = hash::place(held.hash, self.lines.len());
        match self.lines.get_mut(at) {
            Some(line) => line.waiting.push_back(held),
            None => self.unplaced.push_back(held),
        }
    }

    /// The queues are these, in this order: at once, or as soon as nothing is on its way.
    pub(super) fn set_targets(&mut self, targets: Vec<Target>) {
        let same = self.lines.len() == targets.len()
            && self.lines.iter().zip(&targets).all(|(line, target)| line.target.queue == target.queue);
        if same {
            self.next = None;
            for (line, target) in self.lines.iter_mut().zip(targets) {
                line.target = target;
            }
        } else {
            self.next = Some(targets);
            self.change_when_quiet();
        }
    }

    fn change_when_quiet(&mut self) {
        if self.flights > 0 {
            return;
        }
        let Some(targets) = self.next.take() else { return };
        let lines = mem::replace(&mut self.lines, targets.into_iter().map(Line::new).collect());
        let unplaced = mem::take(&mut self.unplaced);
        let waiting = lines.into_iter().flat_map(|line| line.waiting).chain(unplaced);
        // A device is in one of the lines only: to take them one behind the other keeps its messages in order.
        waiting.collect::<Vec<_>>().into_iter().for_each(|held| self.push(held));
    }

    /// Puts the next request of line `at` on its way: where it goes and what is in it. None while there is nothing to
    /// send, or nothing may be sent.
    pub(super) fn take_off(&mut self, at: usize, limits: BatchLimits) -> Option<(Target, &[Held])> {
        if self.next.is_some() {
            return None;
        }
        let line = self.lines.get_mut(at)?;
        if line.is_paused || !line.flight.is_empty() {
            return None;
        }
        let messages_max = if line.singles > 0 { 1 } else { limits.messages_max };
        let mut bytes = 0_usize;
        while let Some(held) = line.waiting.front() {
            bytes = bytes.saturating_add(held.message.bytes().len());
            let is_full = line.flight.len() >= messages_max || bytes > limits.bytes_max;
            if is_full && !line.flight.is_empty() {
                break;
            }
            line.flight.extend(line.waiting.pop_front());
        }
        if line.flight.is_empty() {
            return None;
        }
        line.singles = line.singles.saturating_sub(line.flight.len());
        self.flights += 1;
        Some((line.target.clone(), &line.flight))
    }

    /// The request of line `at` has come to this.
    pub(super) fn settle(&mut self, at: usize, outcome: Outcome) -> Settled {
        self.flights = self.flights.saturating_sub(1);
        let settled = self.lines.get_mut(at).map_or(Settled::Waiting, |line| line.settle(outcome));
        self.change_when_quiet();
        settled
    }

    /// A message that was to be dead could not be buried: it waits again, in front.
    pub(super) fn keep(&mut self, at: usize, held: Held) {
        if let Some(line) = self.lines.get_mut(at) {
            line.waiting.push_front(held);
            line.is_paused = true;
        } else {
            self.unplaced.push_front(held);
        }
    }

    /// Addresses of the brokers with which something did not go well.
    pub(super) fn paused_addresses(&self) -> impl Iterator<Item = Arc<str>> + '_ {
        self.lines.iter().filter(|line| line.is_paused).map(|line| Arc::clone(&line.target.address))
    }

    /// Lets all lines try again.
    pub(super) fn resume(&mut self) {
        self.lines.iter_mut().for_each(|line| line.is_paused = false);
    }
}

impl Line {
    fn settle(&mut self, outcome: Outcome) -> Settled {
        let flight = mem::take(&mut self.flight);
        match (outcome, flight.len()) {
            (Outcome::Confirmed, count) => Settled::Confirmed(count),
            (Outcome::Never, 1) => flight.into_iter().next().map_or(Settled::Waiting, Settled::Dead),
            (Outcome::Never, count) => {
                self.singles = count;
                self.wait_again(flight);
                Settled::Waiting
            }
            (Outcome::Again, count) => {
                self.is_paused = true;
                // One that went alone goes alone again.
                self.singles += if self.singles > 0 { count } else { 0 };
                self.wait_again(flight);
                Settled::Waiting
            }
        }
    }

    fn wait_again(&mut self, flight: Vec<Held>) {
        flight.into_iter().rev().for_each(|held| self.waiting.push_front(held));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_rocketmq::View;

    use super::*;

    const LIMITS: BatchLimits = BatchLimits { messages_max: 3, bytes_max: 10_000 };

    fn held(device: &str, number: usize) -> Held {
        let id = format!("{device}/{number}");
        let view = View {
            topic: "t",
            key: device,
            tag: "x",
            id: &id,
            sharding_key: device,
            properties: &[],
            body: b"body",
        };
        Held { hash: hash::java_hash(device), message: Encoded::new(&view, 1_000).unwrap() }
    }

    fn targets(queues: u32) -> Vec<Target> {
        let target = |id| Target { queue: Queue { broker: "b".into(), id }, address: "b:1".into() };
        (0..queues).map(target).collect()
    }

    fn id(held: &Held) -> String {
        held.message.property("UNIQ_KEY").unwrap().to_owned()
    }

    fn take(topic: &mut Topic, at: usize) -> Vec<String> {
        topic.take_off(at, LIMITS).map(|(_, flight)| flight.iter().map(id).collect()).unwrap_or_default()
    }

    fn one_line(messages: usize) -> Topic {
        let mut topic = Topic::default();
        (0..messages).for_each(|number| topic.push(held("a", number)));
        topic.set_targets(targets(1));
        topic
    }

    #[test]
    fn a_line_has_one_request_on_its_way_of_no_more_than_the_limits() {
        let mut topic = one_line(5);
        assert_eq!(take(&mut topic, 0), ["a/0", "a/1", "a/2"]);
        assert_eq!(take(&mut topic, 0), [""; 0], "one at a time");
        assert!(matches!(topic.settle(0, Outcome::Confirmed), Settled::Confirmed(3)));
        assert_eq!(take(&mut topic, 0), ["a/3", "a/4"]);
        topic.settle(0, Outcome::Confirmed);
        assert!(topic.is_idle());
        let mut topic = one_line(3);
        let bytes = held("a", 0).message.bytes().len();
        let limits = BatchLimits { bytes_max: 2 * bytes, ..LIMITS };
        assert_eq!(topic.take_off(0, limits).unwrap().1.len(), 2);
        let mut topic = one_line(3);
        let limits = BatchLimits { bytes_max: 1, ..LIMITS };
        assert_eq!(topic.take_off(0, limits).unwrap().1.len(), 1, "one goes however large it is");
    }

    #[test]
    fn what_failed_waits_in_front_until_all_try_again() {
        let mut topic = one_line(4);
        take(&mut topic, 0);
        assert!(matches!(topic.settle(0, Outcome::Again), Settled::Waiting));
        assert_eq!(take(&mut topic, 0), [""; 0]);
        assert_eq!(topic.paused_addresses().collect::<Vec<_>>(), ["b:1".into()]);
        topic.resume();
        assert_eq!(take(&mut topic, 0), ["a/0", "a/1", "a/2"]);
    }

    #[test]
    fn a_refused_batch_goes_one_by_one_and_only_the_bad_one_is_dead() {
        let mut topic = one_line(4);
        take(&mut topic, 0);
        assert!(matches!(topic.settle(0, Outcome::Never), Settled::Waiting));
        assert_eq!(take(&mut topic, 0), ["a/0"]);
        topic.settle(0, Outcome::Again);
        topic.resume();
        assert_eq!(take(&mut topic, 0), ["a/0"], "alone again after a failure in between");
        topic.settle(0, Outcome::Confirmed);
        assert_eq!(take(&mut topic, 0), ["a/1"]);
        let Settled::Dead(dead) = topic.settle(0, Outcome::Never) else { panic!("a single one is dead") };
        assert_eq!(id(&dead), "a/1");
        topic.keep(0, dead);
        assert_eq!(take(&mut topic, 0), [""; 0]);
        topic.resume();
        assert_eq!(take(&mut topic, 0), ["a/1"]);
    }

    #[test]
    fn queues_change_only_when_nothing_is_on_its_way() {
        let mut topic = one_line(4);
        take(&mut topic, 0);
        topic.set_targets(targets(2));
        topic.push(held("a", 4));
        assert_eq!((topic.len(), take(&mut topic, 0)), (1, vec![]), "the old queue gets nothing new");
        topic.settle(0, Outcome::Again);
        assert_eq!(topic.len(), 2);
        let at = hash::place(hash::java_hash("a"), 2);
        assert_eq!(take(&mut topic, at), ["a/0", "a/1", "a/2"]);
        topic.settle(at, Outcome::Confirmed);
        assert_eq!(take(&mut topic, at), ["a/3", "a/4"]);
    }

    #[test]
    fn an_address_changes_at_once() {
        let mut topic = one_line(1);
        let mut moved = targets(1);
        moved[0].address = "c:1".into();
        take(&mut topic, 0);
        topic.set_targets(moved);
        topic.settle(0, Outcome::Again);
        assert_eq!(topic.paused_addresses().collect::<Vec<_>>(), ["c:1".into()]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Take(usize),
        Settle(usize, u8),
        Queues(u32),
        Resume,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..6_u8).prop_map(Step::Push),
            4 => (0..4_usize).prop_map(Step::Take),
            4 => ((0..4_usize), 0..10_u8).prop_map(|(at, how)| Step::Settle(at, how)),
            1 => (1..5_u32).prop_map(Step::Queues),
            1 => Just(Step::Resume),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever happens, each device's messages are confirmed in order, once, and none is missing at the end.
        #[test]
        fn every_device_is_confirmed_in_order_and_whole(steps in steps()) {
            let mut topic = Topic::default();
            topic.set_targets(targets(2));
            let mut sent = [0_usize; 6];
            let mut done: Vec<Vec<usize>> = vec![Vec::new(); 6];
            let mut flying: Vec<Option<Vec<(usize, usize)>>> = vec![None; 8];
            let parse = |held: &Held| {
                let id = id(held);
                let (device, number) = id.split_once('/').unwrap();
                (device.parse::<usize>().unwrap(), number.parse::<usize>().unwrap())
            };
            let tail = (0..400).flat_map(|_| {
                let each = (0..5).flat_map(|at| [Step::Take(at), Step::Settle(at, 0)]);
                each.chain([Step::Resume])
            });
            for step in steps.into_iter().chain(tail) {
                match step {
                    Step::Push(device) => {
                        let device = usize::from(device);
                        topic.push(held(&device.to_string(), sent[device]));
                        sent[device] += 1;
                    }
                    Step::Take(at) => {
                        if let Some((_, flight)) = topic.take_off(at, LIMITS) {
                            prop_assert!(flying[at].is_none());
                            flying[at] = Some(flight.iter().map(parse).collect());
                        }
                    }
                    Step::Settle(at, how) => {
                        let Some(flight) = flying[at].take() else { continue };
                        let outcome = match how { 0..6 => Outcome::Confirmed, 6..9 => Outcome::Again, _ => Outcome::Never };
                        match topic.settle(at, outcome) {
                            Settled::Confirmed(count) => {
                                prop_assert_eq!(count, flight.len());
                                flight.iter().for_each(|(device, number)| done[*device].push(*number));
                            }
                            Settled::Dead(dead) => {
                                let (device, number) = parse(&dead);
                                done[device].push(number);
                            }
                            Settled::Waiting => {}
                        }
                    }
                    Step::Queues(queues) => topic.set_targets(targets(queues)),
                    Step::Resume => topic.resume(),
                }
            }
            prop_assert!(topic.is_idle());
            for (device, done) in done.iter().enumerate() {
                prop_assert_eq!(done, &(0..sent[device]).collect::<Vec<_>>());
            }
        }
    }
}
