use std::{
    cell::Cell,
    ops::{self, Range},
};

use tidegate_protocol::Reading;

/// Readings whose room is kept when they go. More is given back.
const SPARE_MAX: usize = 4;

thread_local! {
    /// The room of the readings that went last on this thread. A reading takes kilobytes: to ask the allocator for each
    /// costs more than to read a short payload.
    static SPARE: Cell<Vec<Reading>> = const { Cell::new(Vec::new()) };
}

/// The readings of one payload, in order.
#[derive(Clone, Debug)]
pub struct Readings {
    all: Vec<Reading>,
    /// Where the measurements of a single reading stand in the payload as a JSON object; empty when they do not.
    object: Range<usize>,
}

impl Readings {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        // A thread that ends has no spare room any more.
        Self { all: SPARE.try_with(Cell::take).unwrap_or_default(), object: 0..0 }
    }

    pub(super) fn all(&mut self) -> &mut Vec<Reading> {
        self.object = 0..0;
        &mut self.all
    }

    /// Says where the measurements stand in the payload.
    pub(super) fn set_object(&mut self, object: Range<usize>) {
        self.object = object;
    }

    /// The measurements as the device wrote them, a JSON object of one line, where the payload holds one that says
    /// just that, as it stands. `payload` is the one that these readings were read from.
    #[must_use]
    pub fn object<'p>(&self, payload: &'p [u8]) -> Option<&'p str> {
        let object = payload.get(self.object.clone()).filter(|object| !object.is_empty())?;
        if object.iter().any(|byte| *byte < b' ') { None } else { str::from_utf8(object).ok() }
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Vec<Reading>> for Readings {
    fn from(readings: Vec<Reading>) -> Self {
        Self { all: readings, object: 0..0 }
    }
}

/// What they say, however the device wrote it.
impl PartialEq for Readings {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Drop for Readings {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.all);
        if room.capacity() <= SPARE_MAX {
            room.clear();
            let _kept = SPARE.try_with(|spare| spare.set(room)).is_ok();
        }
    }
}

impl ops::Deref for Readings {
    type Target = [Reading];

    fn deref(&self) -> &[Reading] {
        &self.all
    }
}

impl ops::DerefMut for Readings {
    fn deref_mut(&mut self) -> &mut [Reading] {
        self.all()
    }
}
