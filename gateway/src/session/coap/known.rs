//! Options that were read before, of senders that have proved who they are: a device sends the same ones each time.

use std::rc::Rc;

use super::{
    Millis,
    request::{Options, Sent},
};
use crate::recent::{Recent, hash_with};

/// Options that one endpoint remembers.
pub(super) const KNOWN_MAX: usize = 16_384;
/// Bytes of the longest ones that it remembers: a topic, a device and its secret are shorter.
pub(super) const KNOWN_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Known {
    /// Without it nobody can make two that fall on the same place.
    seed: u64,
    by_hash: Recent<Rc<Options>>,
    next: u64,
}

impl Known {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, by_hash: Recent::new(KNOWN_MAX), next: 0 }
    }

    /// What these bytes say, byte for byte the same as before.
    pub(super) fn find(&mut self, method: u8, bytes: &[u8]) -> Option<Rc<Options>> {
        if bytes.len() > KNOWN_BYTES_MAX {
            return None;
        }
        let hash = self.hash(method, bytes);
        let options = self.by_hash.get_mut(hash)?;
        (options.sent.method == method && *options.sent.bytes == *bytes).then(|| Rc::clone(options))
    }

    /// A number for other options. An odd factor leaves all of them different and spreads them over a table.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn insert(&mut self, options: &Rc<Options>) {
        let Sent { method, bytes } = &options.sent;
        if bytes.len() <= KNOWN_BYTES_MAX {
            let hash = self.hash(*method, bytes);
            self.by_hash.insert(hash, Rc::clone(options));
        }
    }

    pub(super) fn handle_timeout(&mut self, now_ms: Millis) {
        self.by_hash.handle_timeout(now_ms);
    }

    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    fn hash(&self, method: u8, bytes: &[u8]) -> u64 {
        hash_with(self.seed, &[bytes, &[method]])
    }
}
