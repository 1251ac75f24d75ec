use std::collections::VecDeque;

use tidegate_protocol::serial::{
    BODY_BYTES_MAX, Direction, Frame, Header, LinkKey, Message, WIRE_BYTES_MAX, encode,
};

use super::uplink::{LinkId, Place, Receipt};
use crate::{clock::Millis, spool::Position};

/// What a port did since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames taken.
    pub frames: u64,
    /// Bytes between two zeros that are no frame: noise.
    pub noise: u64,
    /// Frames that are not sealed as they should be, or come again.
    pub unsealed: u64,
    /// Links that came about.
    pub links: u64,
    /// Refusals sent.
    pub refused: u64,
}

/// What one device and the gateway agree on.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) key: LinkKey,
    pub(super) state: LinkState,
    /// Number of the last frame sent and of the last one taken.
    sent: u32,
    taken: u32,
    /// When it was last heard of.
    pub(super) heard_ms: Millis,
    pub(super) time_due_ms: Millis,
    receipts: VecDeque<(Place, Owed)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// Until then the device has to prove who it is.
    Challenged { until_ms: Millis },
    /// It has proven it.
    Proven,
    /// It may send readings.
    Up,
}

/// What settles a receipt.
#[derive(Clone, Copy, Debug)]
enum Owed {
    /// The disk.
    Stored(Position),
    /// Nothing any more: it was refused for ever, or was on disk before.
    Settled,
}

impl Link {
    pub(super) fn new(id: LinkId, key: LinkKey, now_ms: Millis, until_ms: Millis) -> Self {
        Self {
            id,
            key,
            state: LinkState::Challenged { until_ms },
            sent: 0,
            taken: 0,
            heard_ms: now_ms,
            time_due_ms: Millis::MAX,
            receipts: VecDeque::new(),
        }
    }

    /// Whether `frame` comes from the device and after all that was taken. If so it counts as taken.
    pub(super) fn takes(&mut self, frame: &Frame<'_>, now_ms: Millis) -> bool {
        let is_news = frame.header.sequence > self.taken && frame.is_from(&self.key, Direction::ToGateway);
        if is_news {
            self.taken = frame.header.sequence;
            self.heard_ms = now_ms;
        }
        is_news
    }

    pub(super) fn send<M: Message>(&mut self, message: &M, out: &mut Vec<u8>) {
        self.sent = self.sent.saturating_add(1);
        let header = Header { kind: M::KIND as u8, address: self.id.address, sequence: self.sent };
        put(header, message, Some((&self.key, Direction::ToDevice)), out);
    }

    pub(super) fn pending(&self) -> usize {
        self.receipts.len()
    }

    /// The reading is in the spool, or was on disk before.
    pub(super) fn store(&mut self, receipt: &Receipt, position: Option<Position>) {
        let owed = position.map_or(Owed::Settled, Owed::Stored);
        self.receipts.push_back((receipt.place, owed));
    }

    /// Takes from the front of the line what `covers` confirms; the last place that may be acknowledged.
    pub(super) fn settle(&mut self, covers: impl Fn(Position) -> bool) -> Option<Place> {
        let mut last = None;
        while let Some((place, owed)) = self.receipts.front() {
            let is_due = match owed {
                Owed::Settled => true,
                Owed::Stored(position) => covers(*position),
            };
            if !is_due {
                break;
            }
            last = Some(*place);
            self.receipts.pop_front();
        }
        last
    }
}

/// Appends a frame. Everything that the gateway says fits into one.
pub(super) fn put<M: Message>(
    header: Header,
    message: &M,
    seal: Option<(&LinkKey, Direction)>,
    out: &mut Vec<u8>,
) {
    let (mut body, mut wire) = ([0; BODY_BYTES_MAX], [0; WIRE_BYTES_MAX]);
    if let Ok(body) = message.encode(&mut body)
        && let Ok(wire) = encode(header, body, seal, &mut wire)
    {
        out.extend_from_slice(wire);
    }
}
