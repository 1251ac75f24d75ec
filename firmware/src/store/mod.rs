//! What must not be lost: the board's name and secret, how often it has started, and the readings that the gateway has
//! not acknowledged.

mod flash;
mod ram;

#[cfg(test)]
pub(crate) use flash::simulated_flash;
pub use flash::{FlashStore, SECTORS_MIN, Unfit};
pub use ram::RamStore;
use tidegate_protocol::{DEVICE_ID_LEN_MAX, serial::SECRET_LEN_MAX};

use crate::Values;

/// Who the board is to the gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id there.
    pub device: heapless::String<DEVICE_ID_LEN_MAX, u8>,
    /// What it proves itself with.
    pub secret: heapless::String<SECRET_LEN_MAX, u8>,
    /// Added to the boots that the board counts, so that no number of an earlier life of this id comes again.
    pub boot_base: u32,
}

/// A reading that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<const C: usize> {
    /// In which boot it was taken, by the board's own count.
    pub boot: u32,
    /// Its number in that boot, from 1.
    pub sequence: u32,
    /// When it was taken.
    pub taken: Taken,
    /// What was measured.
    pub values: Values<C>,
}

/// When a reading was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Unix milliseconds.
    Wall(u64),
    /// Milliseconds since the start of its boot, while nobody had told the time.
    Uptime(u64),
}

/// Where a reading stands: boot, then number in it.
pub type Place = (u32, u32);

/// Readings that were given up, the first and the last of one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// In which boot they were taken.
    pub boot: u32,
    /// The first.
    pub from: u32,
    /// The last.
    pub to: u32,
}

/// Keeps what must not be lost.
pub trait Store<const C: usize> {
    /// Who the board is, once somebody has said so.
    fn identity(&self) -> Option<&Identity>;

    /// Takes over who the board is. Says whether it is kept.
    fn set_identity(&mut self, identity: Identity) -> bool;

    /// How often the board has started, from 1.
    fn boot(&self) -> u32;

    /// Adds a reading at the end; gives up the oldest for it when there is no room.
    fn push(&mut self, reading: Stored<C>);

    /// Readings that wait.
    fn len(&self) -> usize;

    /// The reading with so many older ones in front of it.
    fn get(&mut self, index: usize) -> Option<Stored<C>>;

    /// Forgets all readings, and all that was given up, up to and including `place`.
    fn forget(&mut self, place: Place);

    /// The oldest that was given up and not forgotten yet.
    fn dropped(&self) -> Option<Dropped>;

    /// Readings given up since the start.
    fn dropped_count(&self) -> u64;

    /// Whether nothing waits.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<const C: usize> Stored<C> {
    /// Where it stands.
    #[must_use]
    pub const fn place(&self) -> Place {
        (self.boot, self.sequence)
    }
}

/// What was given up, as spans of one boot each.
#[derive(Clone, Debug, Default)]
struct DroppedSpans {
    spans: heapless::Vec<Dropped, DROPPED_SPANS_MAX>,
}

/// Spans that are kept apart. Of one more the oldest is not told; the count of readings given up holds it all the same.
const DROPPED_SPANS_MAX: usize = 8;

impl DroppedSpans {
    fn add(&mut self, new: Dropped) {
        let touches = |span: &&mut Dropped| span.boot == new.boot && span.to.saturating_add(1) == new.from;
        if let Some(span) = self.spans.iter_mut().find(touches) {
            span.to = new.to;
            return;
        }
        if self.spans.is_full() {
            self.spans.remove(0);
        }
        let at = self.spans.iter().filter(|span| (span.boot, span.from) < (new.boot, new.from)).count();
        let _has_room = self.spans.insert(at, new).is_ok();
    }

    fn first(&self) -> Option<Dropped> {
        self.spans.first().copied()
    }

    fn forget(&mut self, (boot, sequence): Place) {
        self.spans.retain_mut(|span| {
            if span.boot == boot && span.from <= sequence {
                span.from = sequence.saturating_add(1);
            }
            span.boot > boot || (span.boot == boot && span.from <= span.to)
        });
    }
}

impl Dropped {
    const fn one((boot, sequence): Place) -> Self {
        Self { boot, from: sequence, to: sequence }
    }
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").field("device", &self.device).finish_non_exhaustive()
    }
}
