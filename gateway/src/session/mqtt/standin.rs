//! Stand-ins until the spool's types are there.
use tidegate_protocol::Lane;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Position {
    pub lane: Lane,
    pub offset: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Durable {
    ends: [u64; 2],
}

impl Durable {
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        self.ends.get(position.lane as usize).is_some_and(|end| position.offset < *end)
    }
}
