//! A log on flash. Sectors are written one after the other in a ring, so that all of them wear alike; a reading takes
//! one slot, and an acknowledgement takes none but now and then: a sector's header says what was acknowledged when it was
//! begun, and so does a slot after so many readings. After a loss of power a few readings are therefore sent again, and
//! the gateway knows them by their numbers.

mod name;
mod slot;

#[cfg(test)]
mod tests;

use embedded_storage::nor_flash::NorFlash;

#[cfg(test)]
pub(crate) use self::tests::simulated_flash;
use self::{
    name::Found,
    slot::{SLOT_BYTES, SLOT_CHANNELS_MAX, Slot},
};
use super::{Dropped, DroppedSpans, Identity, Place, Store, Stored};

/// Sectors of the smallest flash that will do: two for the board's name, two for the log.
pub const SECTORS_MIN: u32 = 4;

/// Sectors that the board's name takes.
const NAME_SECTORS: u32 = 2;
const SLOT: u32 = 64;
/// Acknowledged readings that a loss of power may bring back, where no sector is begun meanwhile.
const UNNOTED_MAX: u32 = 8;
const _: () = assert!(SLOT_BYTES == 64);

/// A slot of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    /// Of the log, from 0.
    sector: u32,
    /// In the sector; 0 is its header.
    slot: u32,
}

/// Keeps what must not be lost through a loss of power.
#[derive(Debug)]
pub struct FlashStore<F, const C: usize> {
    flash: F,
    sectors: u32,
    slots: u32,
    /// The oldest reading that waits, or where the next will be.
    head: At,
    /// The next free slot.
    tail: At,
    serial: u32,
    boot: u32,
    len: usize,
    acknowledged: Place,
    /// Readings forgotten since the flash was last told of it.
    unnoted: u32,
    dropped: DroppedSpans,
    dropped_count: u64,
    name: Option<Found>,
    /// Writings that did not succeed.
    faults: u32,
}

/// The flash is too small, cannot be read, or has words that are larger than a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

impl<F: NorFlash, const C: usize> FlashStore<F, C> {
    /// Reads what is there, and counts this start.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn open(flash: F) -> Result<Self, Unfit> {
        let sector_bytes = u32::try_from(F::ERASE_SIZE).map_err(|_| Unfit)?;
        let sectors = u32::try_from(flash.capacity()).map_err(|_| Unfit)? / sector_bytes.max(1);
        let slots = sector_bytes / SLOT;
        let words_fit = SLOT_BYTES.is_multiple_of(F::WRITE_SIZE) && SLOT_BYTES.is_multiple_of(F::READ_SIZE);
        if sectors < SECTORS_MIN || slots < 2 || !words_fit || C > SLOT_CHANNELS_MAX {
            return Err(Unfit);
        }
        let start = At { sector: 0, slot: 1 };
        let mut store = Self {
            flash,
            sectors: sectors - NAME_SECTORS,
            slots,
            head: start,
            tail: start,
            serial: 0,
            boot: 0,
            len: 0,
            acknowledged: (0, 0),
            unnoted: 0,
            dropped: DroppedSpans::default(),
            dropped_count: 0,
            name: None,
            faults: 0,
        };
        store.name = name::find(&mut store.flash, sector_bytes);
        store.recover();
        store.begin_boot();
        Ok(store)
    }

    /// Writings that did not succeed since the start.
    #[must_use]
    pub const fn faults(&self) -> u32 {
        self.faults
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    fn read(&mut self, at: At) -> Slot<C> {
        let mut bytes = [0; SLOT_BYTES];
        let address = self.address(at);
        match self.flash.read(address, &mut bytes) {
            Ok(()) => Slot::decode(&bytes),
            Err(_) => Slot::Torn,
        }
    }

    fn address(&self, At { sector, slot }: At) -> u32 {
        ((NAME_SECTORS + sector) * self.slots + slot) * SLOT
    }

    fn after(&self, at: At) -> At {
        if at.slot + 1 < self.slots {
            At { slot: at.slot + 1, ..at }
        } else {
            At { sector: self.next_sector(at.sector), slot: 1 }
        }
    }

    fn next_sector(&self, sector: u32) -> u32 {
        (sector + 1) % self.sectors
    }

    /// Finds the newest sector, and from the oldest on all that waits.
    fn recover(&mut self) {
        let mut newest: Option<(u32, u32)> = None;
        for sector in 0..self.sectors {
            if let Slot::Header { serial, boot, acknowledged } = self.read(At { sector, slot: 0 }) {
                self.boot = self.boot.max(boot);
                self.acknowledged = self.acknowledged.max(acknowledged);
                if newest.is_none_or(|(_, before)| before < serial) {
                    newest = Some((sector, serial));
                }
            }
        }
        let Some((last, serial)) = newest else { return };
        self.serial = serial;
        let mut first: Option<At> = None;
        let mut noted = self.acknowledged;
        let mut sector = last;
        for _ in 0..self.sectors {
            // Behind the newest one in the ring stands the oldest.
            sector = self.next_sector(sector);
            match self.read(At { sector, slot: 0 }) {
                Slot::Header { serial: of, .. } if serial.wrapping_sub(of) < self.sectors => {}
                _ => continue,
            }
            let end = self.recover_sector(sector, &mut first, &mut noted);
            if sector == last {
                self.tail = At { sector, slot: end };
            }
        }
        self.head = first.unwrap_or(self.tail);
        self.forget_up_to(noted);
        self.unnoted = 0;
        self.find_hole();
    }

    /// Takes in one sector; the slot behind its last one that is not blank.
    fn recover_sector(&mut self, sector: u32, first: &mut Option<At>, noted: &mut Place) -> u32 {
        let mut end = 1;
        for slot in 1..self.slots {
            let at = At { sector, slot };
            match self.read(at) {
                Slot::Blank => continue,
                Slot::Boot(boot) => self.boot = self.boot.max(boot),
                Slot::Reading(reading) => {
                    self.boot = self.boot.max(reading.boot);
                    if reading.place() > self.acknowledged {
                        first.get_or_insert(at);
                        self.len += 1;
                    }
                }
                Slot::Acknowledged(place) => *noted = place.max(*noted),
                Slot::Header { .. } | Slot::Torn => {}
            }
            end = slot + 1;
        }
        end
    }

    /// What was given up before the power went shows as a hole in front of the oldest reading.
    fn find_hole(&mut self) {
        let Some(oldest) = self.get(0) else { return };
        let (boot, sequence) = self.acknowledged;
        let from = if boot == oldest.boot { sequence.saturating_add(1) } else { 1 };
        // It may have been acknowledged too, where no header says so: the gateway knows.
        if from < oldest.sequence {
            self.dropped.add(Dropped { boot: oldest.boot, from, to: oldest.sequence - 1 });
        }
    }

    fn begin_boot(&mut self) {
        self.boot = self.boot.saturating_add(1);
        let boot = self.boot;
        if self.serial == 0 {
            self.begin_sector(0);
        } else {
            self.append(Slot::Boot(boot));
        }
    }

    /// Begins `sector`, which gives up what is in it.
    fn begin_sector(&mut self, sector: u32) -> bool {
        let was_empty = self.len == 0;
        self.give_up(sector);
        let at = At { sector, slot: 0 };
        let address = self.address(at);
        self.serial = self.serial.saturating_add(1);
        let header =
            Slot::<C>::Header { serial: self.serial, boot: self.boot, acknowledged: self.acknowledged };
        let end = address + self.slots * SLOT;
        let is_written =
            self.flash.erase(address, end).is_ok() && self.flash.write(address, &header.encode()).is_ok();
        self.tail = At { sector, slot: 1 };
        self.unnoted = 0;
        if was_empty || self.len == 0 {
            self.head = self.tail;
        }
        self.note(is_written)
    }

    /// Gives up the readings that still wait in `sector`.
    fn give_up(&mut self, sector: u32) {
        while self.len > 0 && self.head.sector == sector {
            if let Slot::Reading(reading) = self.read(self.head)
                && reading.place() > self.acknowledged
            {
                self.dropped.add(Dropped::one(reading.place()));
                self.dropped_count = self.dropped_count.saturating_add(1);
                self.len -= 1;
            }
            self.head = self.after(self.head);
        }
    }

    /// Writes one slot. A slot that cannot be written is left behind.
    fn append(&mut self, slot: Slot<C>) -> bool {
        if self.tail.slot >= self.slots && !self.begin_sector(self.next_sector(self.tail.sector)) {
            return false;
        }
        let at = self.tail;
        let address = self.address(at);
        let is_written = self.flash.write(address, &slot.encode()).is_ok() && self.read(at) == slot;
        self.tail.slot += 1;
        self.note(is_written)
    }

    fn note(&mut self, is_written: bool) -> bool {
        if !is_written {
            self.faults = self.faults.saturating_add(1);
        }
        is_written
    }

    fn forget_up_to(&mut self, place: Place) {
        while let Some((at, reading)) = self.seek(self.head) {
            if reading.place() > place {
                self.head = at;
                break;
            }
            self.head = self.step(at);
            self.len = self.len.saturating_sub(1);
            self.unnoted = self.unnoted.saturating_add(1);
        }
        if self.len == 0 {
            self.head = self.tail;
        }
        self.acknowledged = self.acknowledged.max(place);
        self.dropped.forget(place);
    }

    /// The first reading that waits, at `at` or behind it.
    fn seek(&mut self, mut at: At) -> Option<(At, Stored<C>)> {
        for _ in 0..self.sectors.saturating_mul(self.slots) {
            if at == self.tail {
                return None;
            }
            match self.read(at) {
                Slot::Reading(reading) if reading.place() > self.acknowledged => return Some((at, reading)),
                _ => at = self.step(at),
            }
        }
        None
    }

    /// As [`Self::after`], but the tail may stand behind the last slot of its sector.
    fn step(&self, at: At) -> At {
        let next = At { slot: at.slot + 1, ..at };
        if next == self.tail { next } else { self.after(at) }
    }
}

impl<F: NorFlash, const C: usize> Store<C> for FlashStore<F, C> {
    fn identity(&self) -> Option<&Identity> {
        self.name.as_ref().map(|found| &found.identity)
    }

    fn set_identity(&mut self, identity: Identity) -> bool {
        let written = name::write(&mut self.flash, self.slots * SLOT, self.name.as_ref(), identity);
        let is_kept = written.is_some();
        if is_kept {
            self.name = written;
        }
        self.note(is_kept)
    }

    fn boot(&self) -> u32 {
        self.boot
    }

    fn push(&mut self, reading: Stored<C>) {
        if self.append(Slot::Reading(reading)) {
            if self.len == 0 {
                self.head = At { slot: self.tail.slot - 1, ..self.tail };
            }
            self.len += 1;
        } else {
            self.dropped.add(Dropped::one(reading.place()));
            self.dropped_count = self.dropped_count.saturating_add(1);
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn get(&mut self, index: usize) -> Option<Stored<C>> {
        let mut found = self.seek(self.head)?;
        for _ in 0..index {
            found = self.seek(self.step(found.0))?;
        }
        Some(found.1)
    }

    fn forget(&mut self, place: Place) {
        self.forget_up_to(place);
        // A sector that is begun says it as well, and would take room for nothing else here.
        if self.unnoted >= UNNOTED_MAX && self.tail.slot < self.slots {
            let is_empty = self.len == 0;
            self.append(Slot::Acknowledged(self.acknowledged));
            self.unnoted = 0;
            if is_empty {
                self.head = self.tail;
            }
        }
    }

    fn dropped(&self) -> Option<Dropped> {
        self.dropped.first()
    }

    fn dropped_count(&self) -> u64 {
        self.dropped_count
    }
}

impl core::fmt::Debug for Found {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.identity.fmt(f)
    }
}
