use std::{cell::Cell, ops};

use tidegate_protocol::Reading;

/// Readings whose room is kept when they go. More is given back.
const SPARE_MAX: usize = 4;

thread_local! {
    /// The room of the readings that went last on this thread. A reading takes kilobytes: to ask the allocator for each
    /// costs more than to read a short payload.
    static SPARE: Cell<Vec<Reading>> = const { Cell::new(Vec::new()) };
}

/// The readings of one payload, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings(Vec<Reading>);

impl Readings {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        // A thread that ends has no spare room any more.
        Self(SPARE.try_with(Cell::take).unwrap_or_default())
    }

    pub(super) const fn all(&mut self) -> &mut Vec<Reading> {
        &mut self.0
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Vec<Reading>> for Readings {
    fn from(readings: Vec<Reading>) -> Self {
        Self(readings)
    }
}

impl Drop for Readings {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.0);
        if room.capacity() <= SPARE_MAX {
            room.clear();
            let _kept = SPARE.try_with(|spare| spare.set(room)).is_ok();
        }
    }
}

impl ops::Deref for Readings {
    type Target = [Reading];

    fn deref(&self) -> &[Reading] {
        &self.0
    }
}

impl ops::DerefMut for Readings {
    fn deref_mut(&mut self) -> &mut [Reading] {
        &mut self.0
    }
}
