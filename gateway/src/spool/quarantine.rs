//! Damage is copied aside before anything writes over it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
};

use super::{
    segment::{BLOCK, BLOCK_BYTES, Epoch},
    state::is_no_room,
    storage::{AlignedBuffer, Storage},
};

/// The folder of the pieces.
pub(super) const QUARANTINE_FOLDER: &str = "quarantine";

/// Bytes of one piece; the rest of longer damage stays where it is.
const PIECE_BYTES_MAX: u64 = 4 << 20;

/// The pieces of damage that were copied aside.
#[derive(Debug)]
pub(super) struct Quarantine {
    bytes_max: u64,
    /// Bytes of each piece by its name.
    pieces: Mutex<BTreeMap<String, u64>>,
}

impl Quarantine {
    /// Looks what is there.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn load(storage: &dyn Storage, bytes_max: u64) -> io::Result<Self> {
        let mut pieces = BTreeMap::new();
        for name in storage.list(QUARANTINE_FOLDER)? {
            let name = format!("{QUARANTINE_FOLDER}/{name}");
            let bytes = storage.open(&name, false)?.len()?;
            pieces.insert(name, bytes);
        }
        Ok(Self { bytes_max, pieces: Mutex::new(pieces) })
    }

    /// Pieces, and bytes of them.
    pub(super) fn size(&self) -> (u64, u64) {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        (pieces.len() as u64, pieces.values().sum())
    }

    /// Copies the bytes `from..to` of a segment aside, once, as long as the share of quarantine lasts.
    ///
    /// # Errors
    /// What the operating system says; no room is no error.
    pub(super) fn keep(
        &self,
        storage: &dyn Storage,
        segment: (&str, Epoch),
        (from, to): (u64, u64),
    ) -> io::Result<()> {
        let (name, epoch) = segment;
        let piece = format!("{QUARANTINE_FOLDER}/{name}-{epoch:016x}-{from:08x}.damage");
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = to.saturating_sub(from).next_multiple_of(BLOCK).min(PIECE_BYTES_MAX);
        if wanted == 0
            || pieces.contains_key(&piece)
            || pieces.values().sum::<u64>() + wanted > self.bytes_max
        {
            return Ok(());
        }
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(BLOCK_BYTES)];
        storage.open(name, false)?.read_at(&mut bytes, from)?;
        let copy = AlignedBuffer::holding(&bytes);
        match storage.create(&piece, copy.len() as u64, &|| false) {
            Ok(file) => file.write_synced(copy.as_slice(), 0).map(drop)?,
            Err(error) if is_no_room(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        pieces.insert(piece, copy.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::SimulatedDisk;

    #[test]
    fn pieces_are_kept_as_long_as_their_share_lasts_and_longer_damage_in_part() {
        let disk = SimulatedDisk::new(1, 1 << 30);
        disk.prepare(&[QUARANTINE_FOLDER]).unwrap();
        disk.put("a.segment", vec![7; 16 << 20]);
        let share = PIECE_BYTES_MAX + 3 * BLOCK;
        let quarantine = Quarantine::load(&disk, share).unwrap();
        let keep =
            |quarantine: &Quarantine, from, to| quarantine.keep(&disk, ("a.segment", 1), (from, to)).unwrap();
        keep(&quarantine, 0, 12 << 20);
        assert_eq!(quarantine.size(), (1, PIECE_BYTES_MAX), "the rest of it stays where it is");
        keep(&quarantine, 0, 12 << 20);
        assert_eq!(quarantine.size().0, 1, "once");
        keep(&quarantine, BLOCK, 3 * BLOCK);
        keep(&quarantine, 4 * BLOCK, 6 * BLOCK);
        assert_eq!(quarantine.size(), (2, PIECE_BYTES_MAX + 2 * BLOCK), "two blocks more are too many");
        keep(&quarantine, 8 * BLOCK, 9 * BLOCK);
        assert_eq!(quarantine.size(), (3, share), "to the last byte");
        let names = disk.names();
        let pieces = names.iter().filter(|name| name.starts_with(QUARANTINE_FOLDER));
        assert!(pieces.clone().all(|name| disk.bytes(name).unwrap().iter().all(|byte| *byte == 7)));
        assert_eq!(pieces.count(), 3);

        let after_a_restart = Quarantine::load(&disk, share).unwrap();
        assert_eq!(after_a_restart.size(), (3, share));
        keep(&after_a_restart, 10 * BLOCK, 11 * BLOCK);
        assert_eq!(after_a_restart.size(), (3, share));
    }
}
