use std::{cell::Cell, ops, sync::OnceLock};

use tidegate_protocol::Reading;

use super::plain::{Known, Plain};

/// Readings whose room is kept when they go. More is given back.
const SPARE_MAX: usize = 4;

thread_local! {
    /// The room of the readings that went last on this thread. A reading takes kilobytes: to ask the allocator for each
    /// costs more than to read a short payload.
    static SPARE: Cell<Vec<Reading>> = const { Cell::new(Vec::new()) };
}

/// What a device says of a reading as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// How often the device has started.
    pub boot: Option<u32>,
    /// Number of the reading since the start `boot`.
    pub sequence: Option<u64>,
    /// Time of the device, Unix milliseconds.
    pub ts: Option<u64>,
}

impl Numbers {
    /// `(boot, sequence)` when the device gave both.
    #[must_use]
    pub fn both(self) -> Option<(u32, u64)> {
        Some((self.boot?, self.sequence?))
    }
}

/// The readings of one payload, in order. That of a plain payload is made when somebody looks at it: to store a payload,
/// and to pass it on as the device wrote it, nobody has to.
#[derive(Clone, Debug)]
pub struct Readings<'a> {
    /// Empty as long as the payload speaks.
    all: Vec<Reading>,
    /// A payload that was found to be plain, whose one reading nobody has changed, and that reading once it is made.
    plain: Option<(Plain<'a>, OnceLock<Vec<Reading>>)>,
}

impl<'a> Readings<'a> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self { all: room(), plain: None }
    }

    pub(super) fn of_plain(plain: Plain<'a>) -> Self {
        Self { all: Vec::new(), plain: Some((plain, OnceLock::new())) }
    }

    /// The same, without the payload that they were read from.
    pub(super) fn apart(mut self) -> Readings<'static> {
        Readings { all: std::mem::take(self.all()), plain: None }
    }

    /// For whoever changes them: the payload does not say the same any more.
    pub(super) fn all(&mut self) -> &mut Vec<Reading> {
        if let Some((plain, made)) = self.plain.take() {
            self.all = made.into_inner().unwrap_or_else(|| make(&plain));
        }
        &mut self.all
    }

    fn plain(&self) -> Option<&Plain<'a>> {
        self.plain.as_ref().map(|(plain, _)| plain)
    }

    /// The measurements as the device wrote them, a JSON object of one line, where the payload holds one that says
    /// just that, as it stands.
    #[must_use]
    pub fn object(&self) -> Option<&'a str> {
        self.plain().and_then(Plain::object)
    }

    /// What may be kept with the payload, so that it need not be checked again.
    pub(super) fn known(&self) -> Known {
        self.plain().map(Plain::known).unwrap_or_default()
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.plain.is_some() { 1 } else { self.all.len() }
    }

    /// What the device says of one of them as a whole.
    #[must_use]
    pub fn numbers_at(&self, index: usize) -> Option<Numbers> {
        match self.plain() {
            Some(plain) => (index == 0).then_some(plain.numbers),
            None => {
                self.all.get(index).map(|&Reading { boot, sequence, ts, .. }| Numbers { boot, sequence, ts })
            }
        }
    }

    /// Whether it is known, without a look at them, that they are several measurements.
    pub(super) fn is_several(&self) -> bool {
        self.plain().is_some_and(|plain| plain.count > 1)
    }
}

fn room() -> Vec<Reading> {
    // A thread that ends has no spare room any more.
    SPARE.try_with(Cell::take).unwrap_or_default()
}

fn make(plain: &Plain<'_>) -> Vec<Reading> {
    let mut all = room();
    all.push(plain.reading());
    all
}

impl Default for Readings<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Vec<Reading>> for Readings<'_> {
    fn from(readings: Vec<Reading>) -> Self {
        Self { all: readings, plain: None }
    }
}

/// What they say, however the device wrote it.
impl PartialEq for Readings<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Drop for Readings<'_> {
    fn drop(&mut self) {
        let made = self.plain.take().and_then(|(_, made)| made.into_inner());
        let mut room = made.unwrap_or_else(|| std::mem::take(&mut self.all));
        if (1..=SPARE_MAX).contains(&room.capacity()) {
            room.clear();
            let _kept = SPARE.try_with(|spare| spare.set(room)).is_ok();
        }
    }
}

impl ops::Deref for Readings<'_> {
    type Target = [Reading];

    fn deref(&self) -> &[Reading] {
        match &self.plain {
            Some((plain, made)) => made.get_or_init(|| make(plain)),
            None => &self.all,
        }
    }
}

impl ops::DerefMut for Readings<'_> {
    fn deref_mut(&mut self) -> &mut [Reading] {
        self.all()
    }
}
