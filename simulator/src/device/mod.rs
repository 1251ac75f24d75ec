//! What a virtual device owes, sends and has settled.

mod schedule;

use std::collections::VecDeque;

pub use schedule::Schedule;

use crate::ranges::Ranges;

/// Microseconds since the run began.
pub type Micros = u64;

/// What a virtual device is told once.
#[derive(Clone, Copy, Debug)]
pub struct DevicePlan {
    /// When readings are due.
    pub schedule: Schedule,
    /// From the moment the device is first connected to its first reading.
    pub phase_us: Micros,
    /// Readings planned at or after this time are not planned.
    pub end_us: Micros,
    /// Publishes without an acknowledgement, at most.
    pub inflight_max: usize,
    /// Readings planned and never sent, at most; then the oldest of them are skipped.
    pub backlog_max: u64,
    /// Does an acknowledgement settle a reading (QoS 1), or that it was written (QoS 0)?
    pub acknowledged: bool,
}

/// One virtual device: which readings it owes, which are on their way, which are settled. No I/O and no clock.
///
/// Every reading stays the device's until it is acknowledged. When a connection ends, [`Device::handle_disconnected`]
/// takes back all that was on its way, and [`Device::poll_send`] gives it out again in its order, before anything
/// newer and under the same number. A reading that the server refused for a passing reason is sent again as long as
/// no later one may have been stored; after that it would come out of order, so it is given up and counted.
#[derive(Debug)]
pub struct Device {
    plan: DevicePlan,
    first_us: Option<Micros>,
    /// Highest number planned so far; numbers begin at 1.
    planned: u64,
    /// Lowest number that was neither sent nor skipped.
    next: u64,
    again: VecDeque<Entry>,
    in_flight: VecDeque<Entry>,
    /// After a refusal: nothing is sent before this time, nor before all that is on its way is settled.
    hold_until_us: Option<Micros>,
    acknowledged: Ranges,
    highest_acknowledged: u64,
    counts: DeviceCounts,
}

/// What became of a device's readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// Readings handed over for sending at least once.
    pub sent: u64,
    /// Further attempts.
    pub resent: u64,
    /// Readings that were never sent, because the backlog was full.
    pub skipped: u64,
    /// Readings that the server refused for good, or refused before it took a later one.
    pub given_up: u64,
    /// Acknowledged readings that [`Ranges`] had no room for.
    pub unaudited: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: u64,
    planned_us: Micros,
    sent_us: Micros,
    packet: Option<u16>,
    refused: bool,
}

/// A reading to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Its number.
    pub sequence: u64,
    /// When it was due.
    pub planned_us: Micros,
}

/// A reading that is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its number.
    pub sequence: u64,
    /// From the time it was due to `now`.
    pub latency_us: Micros,
    /// From the last time it was sent to `now`.
    pub round_trip_us: Micros,
    /// Were all that were sent before it settled before it? A server acknowledges in order \[MQTT-4.6.0-2\].
    pub in_order: bool,
}

impl Device {
    /// A device that was never connected.
    #[must_use]
    pub fn new(plan: DevicePlan) -> Self {
        Self {
            plan,
            first_us: None,
            planned: 0,
            next: 1,
            again: VecDeque::new(),
            in_flight: VecDeque::new(),
            hold_until_us: None,
            acknowledged: Ranges::default(),
            highest_acknowledged: 0,
            counts: DeviceCounts::default(),
        }
    }

    /// The server has accepted the login. The first time this starts the schedule, which nothing moves afterwards.
    pub fn handle_connected(&mut self, now_us: Micros) {
        self.first_us.get_or_insert(now_us.saturating_add(self.plan.phase_us));
    }

    /// No reading is planned from `now_us` on.
    pub fn handle_stop(&mut self, now_us: Micros) {
        self.plan_until(now_us);
        self.plan.end_us = self.plan.end_us.min(now_us);
    }

    /// The next reading to send, if there is one and the window is open. It is on its way from here on.
    pub fn poll_send(&mut self, now_us: Micros) -> Option<Sending> {
        self.plan_until(now_us);
        if self.is_held(now_us) || self.in_flight.len() >= self.plan.inflight_max {
            return None;
        }
        let mut entry = match self.again.pop_front() {
            Some(entry) => {
                self.counts.resent += 1;
                entry
            }
            None => self.take_next(now_us)?,
        };
        entry.sent_us = now_us;
        entry.refused = false;
        self.in_flight.push_back(entry);
        Some(Sending { sequence: entry.sequence, planned_us: entry.planned_us })
    }

    fn take_next(&mut self, now_us: Micros) -> Option<Entry> {
        let closed_loop = self.plan.schedule.interval_us == 0;
        if closed_loop && self.next > self.planned && self.first_us? <= now_us && now_us < self.plan.end_us {
            self.planned = self.next;
        }
        if self.next > self.planned {
            return None;
        }
        let sequence = self.next;
        self.next += 1;
        self.counts.sent += 1;
        let planned_us = if closed_loop { now_us } else { self.planned_us(sequence)? };
        Some(Entry { sequence, planned_us, sent_us: now_us, packet: None, refused: false })
    }

    fn is_held(&mut self, now_us: Micros) -> bool {
        match self.hold_until_us {
            None => false,
            Some(until_us) if now_us < until_us || !self.in_flight.is_empty() => true,
            Some(_) => {
                self.hold_until_us = None;
                self.give_up_refused_before(self.highest_acknowledged);
                false
            }
        }
    }

    fn give_up_refused_before(&mut self, sequence: u64) {
        let before = self.again.len();
        self.again.retain(|entry| !entry.refused || entry.sequence > sequence);
        let given_up = before.saturating_sub(self.again.len());
        self.counts.given_up += u64::try_from(given_up).unwrap_or(u64::MAX);
    }

    /// The oldest sent reading without a packet id was written under `packet` (0 at QoS 0).
    /// At QoS 0 that settles it.
    pub fn handle_written(&mut self, packet: u16, now_us: Micros) -> Option<Settled> {
        if !self.plan.acknowledged {
            let entry = self.in_flight.pop_front()?;
            return Some(settled(&entry, now_us, true));
        }
        if let Some(entry) = self.in_flight.iter_mut().find(|entry| entry.packet.is_none()) {
            entry.packet = Some(packet);
        }
        None
    }

    /// The server has acknowledged the publish `packet`; `None` when nothing is on its way under that id.
    pub fn handle_acknowledged(&mut self, packet: u16, now_us: Micros) -> Option<Settled> {
        let (entry, in_order) = self.take_in_flight(packet)?;
        self.highest_acknowledged = self.highest_acknowledged.max(entry.sequence);
        if self.acknowledged.insert(entry.sequence).is_err() {
            self.counts.unaudited += 1;
        }
        Some(settled(&entry, now_us, in_order))
    }

    /// The server has refused the publish `packet`. With `again_us`, for a passing reason: it is sent again at that
    /// time at the earliest. Without: it is given up.
    pub fn handle_refused(&mut self, packet: u16, again_us: Option<Micros>) {
        let Some((mut entry, _)) = self.take_in_flight(packet) else { return };
        match again_us {
            None => self.counts.given_up += 1,
            Some(again_us) => {
                entry.refused = true;
                entry.packet = None;
                let at = self.again.partition_point(|other| other.sequence < entry.sequence);
                self.again.insert(at, entry);
                self.hold_until_us = Some(again_us.max(self.hold_until_us.unwrap_or(0)));
            }
        }
    }

    fn take_in_flight(&mut self, packet: u16) -> Option<(Entry, bool)> {
        let at = self.in_flight.iter().position(|entry| entry.packet == Some(packet))?;
        self.in_flight.remove(at).map(|entry| (entry, at == 0))
    }

    /// The connection is gone. What was on its way may have been stored or not, so all of it is owed again.
    pub fn handle_disconnected(&mut self) {
        if let Some(unknown) = self.in_flight.back() {
            self.give_up_refused_before(unknown.sequence.max(self.highest_acknowledged));
        }
        self.again.extend(self.in_flight.drain(..).map(|entry| Entry { packet: None, ..entry }));
        self.again.make_contiguous().sort_unstable_by_key(|entry| entry.sequence);
    }

    /// When [`Device::poll_send`] will next have something to say, provided that nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        if self.in_flight.len() >= self.plan.inflight_max {
            return None;
        }
        match self.hold_until_us {
            Some(_) if !self.in_flight.is_empty() => None,
            Some(until_us) => Some(until_us),
            None => {
                let due_us = match self.plan.schedule.interval_us {
                    0 => self.first_us?,
                    _ => self.planned_us(self.planned.saturating_add(1))?,
                };
                (due_us < self.plan.end_us).then_some(due_us)
            }
        }
    }

    /// When the oldest publish on its way was sent.
    #[must_use]
    pub fn oldest_sent_us(&self) -> Option<Micros> {
        self.in_flight.front().map(|entry| entry.sent_us)
    }

    /// Is nothing owed and nothing more to come?
    #[must_use]
    pub fn is_done(&mut self, now_us: Micros) -> bool {
        self.plan_until(now_us);
        now_us >= self.plan.end_us && self.unsettled() == 0
    }

    /// Readings planned and neither acknowledged nor counted as lost to the device.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        let known = self.again.len().saturating_add(self.in_flight.len());
        let unsent = self.planned.saturating_add(1).saturating_sub(self.next);
        unsent.saturating_add(u64::try_from(known).unwrap_or(u64::MAX))
    }

    /// Readings planned so far.
    #[must_use]
    pub const fn planned(&self) -> u64 {
        self.planned
    }

    /// What became of them.
    #[must_use]
    pub const fn counts(&self) -> DeviceCounts {
        self.counts
    }

    /// Takes out the numbers of the acknowledged readings.
    #[must_use]
    pub fn into_acknowledged(self) -> Ranges {
        self.acknowledged
    }

    fn planned_us(&self, sequence: u64) -> Option<Micros> {
        let after_us = self.plan.schedule.due_us(sequence.saturating_sub(1));
        self.first_us.map(|first_us| first_us.saturating_add(after_us))
    }

    /// Plans all that is due, and skips what the backlog has no room for.
    pub fn plan_until(&mut self, now_us: Micros) {
        let until_us = now_us.min(self.plan.end_us.saturating_sub(1));
        let Some(first_us) = self.first_us.filter(|first_us| *first_us <= until_us) else { return };
        if self.plan.schedule.interval_us == 0 {
            return;
        }
        self.planned = self.planned.max(self.plan.schedule.due_by(until_us - first_us));
        let backlog = self.planned.saturating_add(1).saturating_sub(self.next);
        let surplus = backlog.saturating_sub(self.plan.backlog_max);
        self.next = self.next.saturating_add(surplus);
        self.counts.skipped = self.counts.skipped.saturating_add(surplus);
    }
}

const fn settled(entry: &Entry, now_us: Micros, in_order: bool) -> Settled {
    let latency_us = now_us.saturating_sub(entry.planned_us);
    let round_trip_us = now_us.saturating_sub(entry.sent_us);
    Settled { sequence: entry.sequence, latency_us, round_trip_us, in_order }
}

#[cfg(test)]
mod tests;
