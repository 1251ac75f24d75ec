//! Answers in messages of their own, repeated until the peer acknowledges them (RFC 7252, sections 4.2 and 5.2.2).

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use super::{Millis, answer::Answer, random::Random, strict::Token};

/// The shortest wait for the first acknowledgement (RFC 7252, section 4.8: `ACK_TIMEOUT`).
pub(super) const ACK_TIMEOUT_MS: Millis = 2_000;
/// The longest is 1.5 times that (`ACK_RANDOM_FACTOR`).
const ACK_SPREAD_MS: Millis = ACK_TIMEOUT_MS / 2;
/// Repetitions, each after twice the time of the one before (`MAX_RETRANSMIT`).
pub(super) const RETRANSMISSIONS_MAX: u8 = 4;

/// Message ids are a peer's own.
pub(super) type Name = (SocketAddr, u16);

/// One answer under way.
#[derive(Clone, Debug)]
pub(super) struct Separate {
    pub(super) token: Token,
    pub(super) answer: Answer,
    pub(super) request_bytes: u16,
    due_ms: Millis,
    wait_ms: Millis,
    repeated: u8,
}

/// All of them, bounded.
#[derive(Debug)]
pub(super) struct Separates {
    separate_max: usize,
    open: HashMap<Name, Separate>,
    due: BTreeSet<(Millis, Name)>,
}

/// What is to be done about an answer whose time has come.
pub(super) enum Due {
    /// Send it once more.
    Repeat(Name, Separate),
    /// The peer is gone.
    GivenUp,
}

impl Separates {
    pub(super) fn new(separate_max: usize) -> Self {
        Self { separate_max, open: HashMap::new(), due: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Remembers an answer that is being sent; `false` when there is no room.
    pub(super) fn open(
        &mut self,
        name: Name,
        (token, answer, request_bytes): (Token, Answer, u16),
        random: &mut Random,
        now_ms: Millis,
    ) -> bool {
        if self.open.len() >= self.separate_max || self.open.contains_key(&name) {
            return false;
        }
        let wait_ms = ACK_TIMEOUT_MS + random.below(ACK_SPREAD_MS + 1);
        let due_ms = now_ms.saturating_add(wait_ms);
        self.open.insert(name, Separate { token, answer, request_bytes, due_ms, wait_ms, repeated: 0 });
        self.due.insert((due_ms, name));
        true
    }

    /// The peer has acknowledged or rejected it.
    pub(super) fn close(&mut self, name: Name) -> bool {
        let Some(separate) = self.open.remove(&name) else { return false };
        self.due.remove(&(separate.due_ms, name))
    }

    /// The next answer whose time has come.
    pub(super) fn pop_due(&mut self, now_ms: Millis) -> Option<Due> {
        let (due_ms, name) = *self.due.first()?;
        if due_ms > now_ms {
            return None;
        }
        self.due.pop_first();
        let separate = self.open.get_mut(&name)?;
        if separate.repeated >= RETRANSMISSIONS_MAX {
            self.open.remove(&name);
            return Some(Due::GivenUp);
        }
        separate.repeated += 1;
        separate.wait_ms = separate.wait_ms.saturating_mul(2);
        separate.due_ms = now_ms.saturating_add(separate.wait_ms);
        self.due.insert((separate.due_ms, name));
        Some(Due::Repeat(name, separate.clone()))
    }
}
