use std::{net::SocketAddr, ops::Range};

/// Datagrams for one call of the system, their bytes in one buffer.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    datagrams: Vec<(SocketAddr, Range<usize>)>,
}

impl Outbox {
    /// Adds what `write` appends to the buffer.
    pub(super) fn push(&mut self, peer: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        self.datagrams.push((peer, begin..self.bytes.len()));
    }

    /// Where each goes, and its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter().map(|(peer, range)| (*peer, self.bytes.get(range.clone()).unwrap_or_default()))
    }

    /// Datagrams in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether nothing is to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}
