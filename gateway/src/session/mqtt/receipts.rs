use std::collections::VecDeque;

use super::encode;
use super::reason::Reason;
use super::uplink::Receipt;
use crate::spool::Position;

/// Entries an idle session keeps room for.
const IDLE_ENTRIES_MAX: usize = 8;

/// The ordered line of receipts: what the client is owed, in the order its publishes came [MQTT-4.6.0-2].
///
/// An entry leaves at the front only, and only when it is refused or the disk has confirmed it.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    line: VecDeque<Entry>,
    /// The number of the entry at the front.
    first: u64,
    /// Entries at the front that wait for nothing but the next write.
    settled: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    packet_id: u16,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Offered,
    Stored(Position),
    Refused(Reason),
}

impl Receipts {
    /// Adds a publish at the end.
    pub(super) fn push(&mut self, packet_id: u16) -> Receipt {
        let receipt = Receipt(self.first.saturating_add(self.line.len() as u64));
        self.line.push_back(Entry { packet_id, state: State::Offered });
        receipt
    }

    /// Entries, settled or not.
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    /// Entries that are not settled.
    pub(super) fn pending(&self) -> usize {
        self.line.len().saturating_sub(self.settled)
    }

    /// The publish was given to the spool.
    pub(super) fn store(&mut self, receipt: Receipt, position: Position) {
        if let Some(entry) = self.offered(receipt) {
            entry.state = State::Stored(position);
        }
    }

    /// The publish was refused. It is answered when everything in front of it is.
    pub(super) fn refuse(&mut self, receipt: Receipt, reason: Reason) {
        if let Some(entry) = self.offered(receipt) {
            entry.state = State::Refused(reason);
            self.settle(|_| false);
        }
    }

    /// Drops the publish and all behind it: they are never answered. Nothing may be pushed after this.
    pub(super) fn cut(&mut self, receipt: Receipt) {
        if self.offered(receipt).is_some() {
            self.line.truncate(self.index(receipt).unwrap_or(usize::MAX));
        }
    }

    /// Settles from the front what `covers` confirms.
    pub(super) fn settle(&mut self, covers: impl Fn(Position) -> bool) {
        let due = |entry: &Entry| match entry.state {
            State::Offered => false,
            State::Stored(position) => covers(position),
            State::Refused(_) => true,
        };
        while self.line.get(self.settled).is_some_and(due) {
            self.settled += 1;
        }
    }

    /// Writes a PUBACK for each settled entry and forgets it.
    pub(super) fn transmit(&mut self, out: &mut Vec<u8>) {
        for entry in self.line.drain(..self.settled) {
            match entry.state {
                State::Refused(reason) => encode::puback(out, entry.packet_id, Some(reason)),
                _ => encode::puback(out, entry.packet_id, None),
            }
        }
        self.first = self.first.saturating_add(self.settled as u64);
        self.settled = 0;
        if self.line.is_empty() && self.line.capacity() > IDLE_ENTRIES_MAX {
            self.line = VecDeque::new();
        }
    }

    /// Heap bytes held.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.line.capacity() * size_of::<Entry>()
    }

    fn index(&self, receipt: Receipt) -> Option<usize> {
        receipt.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok())
    }

    fn offered(&mut self, receipt: Receipt) -> Option<&mut Entry> {
        let index = self.index(receipt)?;
        self.line.get_mut(index).filter(|entry| matches!(entry.state, State::Offered))
    }
}
