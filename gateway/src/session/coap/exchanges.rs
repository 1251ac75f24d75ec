//! Requests that are not answered yet, in the order in which the disk will confirm them.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::BuildHasherDefault,
    net::SocketAddr,
};

use tidegate_protocol::Lane;

use super::{
    Millis,
    duplicates::{Key, Print},
    strict::Head,
};
use crate::{
    recent::AsIs,
    spool::{Offset, PerLane, Position},
};

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) peer: SocketAddr,
    pub(super) head: Head,
    pub(super) print: Print,
    pub(super) came_ms: Millis,
    pub(super) request_bytes: u16,
    /// Classes of responses that the client does not want (RFC 7967).
    pub(super) no_response: u8,
    /// It was given out by [`Exchanges::pop_slow`].
    pub(super) is_slow: bool,
    /// It is in [`super::duplicates::Duplicates`].
    pub(super) is_remembered: bool,
    /// An empty acknowledgement was sent: the answer goes in a message of its own.
    pub(super) is_acknowledged: bool,
}

/// All of them, bounded.
#[derive(Debug)]
pub(super) struct Exchanges {
    exchanges_max: usize,
    open: HashMap<Key, Exchange, BuildHasherDefault<AsIs>>,
    lines: PerLane<Line>,
    /// Those that wait for a password to be checked, or for room, in the order they came.
    waiting: VecDeque<Key>,
}

/// Those that wait for one lane, by offset and so by time.
#[derive(Debug, Default)]
struct Line {
    stored: VecDeque<(Offset, Key)>,
    /// So many at the front have been looked at by [`Exchanges::pop_slow`].
    slow: usize,
}

impl Exchanges {
    pub(super) fn new(exchanges_max: usize) -> Self {
        Self {
            exchanges_max,
            open: HashMap::default(),
            lines: PerLane::new(|_| Line::default()),
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Exchange> {
        self.open.get_mut(&key)
    }

    /// Takes one in.
    ///
    /// # Errors
    /// The exchange: there are as many as there may be, or one of the peer's with this message id.
    pub(super) fn open(&mut self, exchange: Exchange) -> Result<(), Exchange> {
        if self.open.len() >= self.exchanges_max {
            return Err(exchange);
        }
        match self.open.entry(exchange.print.key) {
            Entry::Occupied(_) => Err(exchange),
            Entry::Vacant(place) => {
                place.insert(exchange);
                Ok(())
            }
        }
    }

    /// It waits for something else than the disk.
    pub(super) fn wait(&mut self, key: Key) -> Option<&mut Exchange> {
        let exchange = self.open.get_mut(&key)?;
        if !self.waiting.contains(&key) {
            self.waiting.push_back(key);
        }
        Some(exchange)
    }

    /// It waits for the disk to confirm `position`.
    pub(super) fn store(&mut self, key: Key, position: Position) -> Option<&mut Exchange> {
        self.waiting.retain(|waiting| *waiting != key);
        let exchange = self.open.get_mut(&key)?;
        self.lines.of_mut(position.lane).stored.push_back((position.offset, key));
        Some(exchange)
    }

    /// It is answered by a refusal.
    pub(super) fn close(&mut self, key: Key) -> Option<Exchange> {
        self.waiting.retain(|waiting| *waiting != key);
        self.open.remove(&key)
    }

    /// The next one of `lane` whose offset is below `end`.
    pub(super) fn pop_durable(&mut self, lane: Lane, end: Offset) -> Option<Exchange> {
        let line = self.lines.of_mut(lane);
        let (_, key) = line.stored.pop_front_if(|(offset, _)| *offset < end)?;
        line.slow = line.slow.saturating_sub(1);
        if line.stored.is_empty() && line.stored.capacity() > 1_024 {
            line.stored = VecDeque::new();
        }
        self.open.remove(&key)
    }

    /// The next one that came at `since_ms` or earlier and was not given out by this yet.
    pub(super) fn pop_slow(&mut self, since_ms: Millis) -> Option<&mut Exchange> {
        let open = &mut self.open;
        for lane in Lane::ALL {
            let line = self.lines.of_mut(lane);
            while let Some((_, key)) = line.stored.get(line.slow) {
                let Some(exchange) = open.get(key) else {
                    line.slow += 1;
                    continue;
                };
                if exchange.came_ms > since_ms {
                    break;
                }
                line.slow += 1;
                if !exchange.is_slow {
                    let exchange = self.open.get_mut(key)?;
                    exchange.is_slow = true;
                    return Some(exchange);
                }
            }
        }
        let is_slow = |exchange: &Exchange| exchange.came_ms <= since_ms && !exchange.is_slow;
        let slow = self.waiting.iter().find(|key| open.get(*key).is_some_and(is_slow));
        let exchange = self.open.get_mut(slow?)?;
        exchange.is_slow = true;
        Some(exchange)
    }
}
