//! How far a consumer has confirmed, durably.
//!
//! One file a consumer, two blocks, each a slot: magic, generation, the offset of each lane (u64 each), CRC-32C (u32).
//! A change goes into the slot with the lower generation, so that the other one holds whatever happens to the write.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tidegate_protocol::{DeviceId, Lane};

use super::{
    CursorError, Offset, PerLane,
    record::{Malformed, Take, put},
    segment::{BLOCK, BLOCK_BYTES},
    state::State,
    storage::{AlignedBuffer, Storage, StorageFile},
};

/// Consumers that may hold back deletion.
pub const CONSUMERS_MAX: usize = 64;

/// The folder of the cursors' files.
pub(super) const CURSORS_FOLDER: &str = "cursors";

const MAGIC: [u8; 8] = *b"TIDECURS";
const CHECKED_BYTES: usize = 32;

/// The largest generation that is believed to be one, so that the ones behind it can be counted.
const GENERATION_MAX: u64 = 1 << 62;

/// Bytes of a cursor's file.
pub(super) const FILE_BYTES: u64 = 2 * BLOCK;
const SUFFIX: &str = ".cursor";

/// Where a consumer begins the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is there.
    Oldest,
    /// With the next record.
    Newest,
}

/// What one slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) generation: u64,
    pub(super) offsets: PerLane<Offset>,
}

impl Slot {
    fn to_block(self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        let mut rest = block.as_mut_slice();
        put(&mut rest, &MAGIC);
        for number in [self.generation, self.offsets.event, self.offsets.telemetry] {
            put(&mut rest, &number.to_le_bytes());
        }
        let crc = crc32c::crc32c(block.get(..CHECKED_BYTES).unwrap_or_default());
        put(&mut block.get_mut(CHECKED_BYTES..).unwrap_or_default(), &crc.to_le_bytes());
        block
    }

    fn from_block(block: &[u8]) -> Result<Self, Malformed> {
        let mut take = Take(block);
        let magic: [u8; 8] = take.array()?;
        let generation = take.u64()?;
        let offsets = PerLane { event: take.u64()?, telemetry: take.u64()? };
        let crc = crc32c::crc32c(block.get(..CHECKED_BYTES).ok_or(Malformed)?);
        if magic != MAGIC || take.u32()? != crc || generation > GENERATION_MAX {
            return Err(Malformed);
        }
        Ok(Self { generation, offsets })
    }

    /// The newer of the two slots in a cursor's file, none when neither is valid; and whether the file is all zeros.
    fn read(file: &dyn StorageFile) -> io::Result<(Option<Self>, bool)> {
        let mut blocks = vec![0; 2 * BLOCK_BYTES];
        let read = file.read_at(&mut blocks, 0)?;
        blocks.truncate(read);
        let slots = blocks.chunks(BLOCK_BYTES).filter_map(|block| Self::from_block(block).ok());
        Ok((slots.max_by_key(|slot| slot.generation), blocks.iter().all(|byte| *byte == 0)))
    }
}

/// A cursor's file, open for writing.
struct CursorFile {
    name: String,
    file: Arc<dyn StorageFile>,
    slot: Mutex<Slot>,
    /// What is durable of it.
    offsets: PerLane<AtomicU64>,
}

impl CursorFile {
    fn new(name: String, file: Arc<dyn StorageFile>, slot: Slot) -> Arc<Self> {
        let offsets = PerLane::new(|lane| AtomicU64::new(*slot.offsets.of(lane)));
        Arc::new(Self { name, file, slot: Mutex::new(slot), offsets })
    }

    fn get(&self, lane: Lane) -> Offset {
        self.offsets.of(lane).load(Ordering::Acquire)
    }

    /// Writes the other slot, and only then shows the offsets.
    fn write(&self, change: impl FnOnce(PerLane<Offset>) -> PerLane<Offset>) -> io::Result<bool> {
        let mut held = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Slot { generation: held.generation + 1, offsets: change(held.offsets) };
        if slot.offsets == held.offsets {
            return Ok(false);
        }
        self.put(&mut held, slot).map(|()| true)
    }

    fn put(&self, held: &mut Slot, slot: Slot) -> io::Result<()> {
        let at = (slot.generation % 2) * BLOCK;
        self.file.write_synced(AlignedBuffer::holding(&slot.to_block()).as_slice(), at)?;
        *held = slot;
        for lane in Lane::ALL {
            self.offsets.of(lane).store(*slot.offsets.of(lane), Ordering::Release);
        }
        Ok(())
    }
}

/// A cursor that was found at the start.
pub(super) struct FoundCursor {
    pub(super) consumer: String,
    file: Arc<dyn StorageFile>,
    /// None: neither slot is valid.
    pub(super) slot: Option<Slot>,
    /// Nothing was ever written to it: the consumer was being registered when the power went.
    pub(super) unfinished: bool,
}

/// Reads the cursors that are there; files that are none are left alone.
pub(super) fn load(storage: &dyn Storage, write: bool) -> io::Result<Vec<FoundCursor>> {
    let mut found = Vec::new();
    for name in storage.list(CURSORS_FOLDER)? {
        let Some(consumer) = name.strip_suffix(SUFFIX).filter(|consumer| is_name(consumer)) else { continue };
        let file = storage.open(&file_name(consumer), write)?;
        let (slot, unfinished) = Slot::read(&*file)?;
        found.push(FoundCursor { consumer: consumer.into(), file, slot, unfinished });
    }
    Ok(found)
}

fn file_name(consumer: &str) -> String {
    format!("{CURSORS_FOLDER}/{consumer}{SUFFIX}")
}

fn is_name(consumer: &str) -> bool {
    DeviceId::new(consumer).is_ok()
}

/// All consumers that hold back deletion.
#[derive(Default)]
pub(super) struct Cursors {
    files: Mutex<BTreeMap<String, Arc<CursorFile>>>,
}

impl Cursors {
    /// Takes what was found. Each cursor is written afresh before it is trusted: after a failed sync the page cache may
    /// show what the disk does not have. A damaged one begins at `oldest`: rather twice than never.
    pub(super) fn take_up(
        storage: &dyn Storage,
        found: Vec<FoundCursor>,
        oldest: PerLane<Offset>,
    ) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for FoundCursor { consumer, file, slot, unfinished } in found {
            let name = file_name(&consumer);
            if unfinished {
                storage.remove(&name)?;
                continue;
            }
            let slot = slot.unwrap_or(Slot { generation: 0, offsets: oldest });
            let cursor = CursorFile::new(name, file, slot);
            {
                let mut held = cursor.slot.lock().unwrap_or_else(PoisonError::into_inner);
                cursor.put(&mut held, Slot { generation: slot.generation + 1, ..slot })?;
            }
            files.insert(consumer, cursor);
        }
        Ok(Self { files: Mutex::new(files) })
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<CursorFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every consumer has durably confirmed what is below.
    pub(super) fn confirmed(&self, lane: Lane) -> Offset {
        self.files().values().map(|cursor| cursor.get(lane)).min().unwrap_or(Offset::MAX)
    }

    /// Bytes of the files.
    pub(super) fn bytes(&self) -> u64 {
        self.files().len() as u64 * FILE_BYTES
    }

    /// Each consumer's name and offsets.
    pub(super) fn all(&self) -> Vec<(String, PerLane<Offset>)> {
        let offsets = |cursor: &CursorFile| PerLane::new(|lane| cursor.get(lane));
        self.files().iter().map(|(name, cursor)| (name.clone(), offsets(cursor))).collect()
    }
}

/// How far one consumer has confirmed each lane. Clones are the same cursor.
#[derive(Clone)]
pub struct Cursor {
    state: Arc<State>,
    file: Arc<CursorFile>,
}

impl Cursor {
    pub(super) fn register(state: &Arc<State>, consumer: &str, start: Start) -> Result<Self, CursorError> {
        if !is_name(consumer) {
            return Err(CursorError::Name);
        }
        if state.watermark.failure().is_some() {
            return Err(CursorError::Poisoned);
        }
        let mut files = state.cursors.files();
        if let Some(file) = files.get(consumer) {
            return Ok(Self { state: Arc::clone(state), file: Arc::clone(file) });
        }
        if files.len() >= CONSUMERS_MAX {
            return Err(CursorError::TooMany);
        }
        let durable = state.watermark.durable();
        let offsets = PerLane::new(|lane| match start {
            Start::Oldest => state.catalog().oldest(lane, durable.end(lane)),
            Start::Newest => durable.end(lane),
        });
        let name = file_name(consumer);
        let slot = Slot { generation: 1, offsets };
        let file = match state.storage.create(&name, FILE_BYTES, &|| false) {
            Ok(file) => file,
            Err(error) if super::state::is_no_room(&error) => return Err(CursorError::Io(error)),
            Err(error) => return Err(poisoned(state, &name, &error)),
        };
        let cursor = CursorFile::new(name, file, Slot { generation: 0, offsets });
        {
            let mut held = cursor.slot.lock().unwrap_or_else(PoisonError::into_inner);
            cursor.put(&mut held, slot).map_err(|error| poisoned(state, &cursor.name, &error))?;
        }
        files.insert(consumer.into(), Arc::clone(&cursor));
        Ok(Self { state: Arc::clone(state), file: cursor })
    }

    pub(super) fn remove(state: &State, consumer: &str) -> Result<(), CursorError> {
        let mut files = state.cursors.files();
        if let Some(cursor) = files.remove(consumer) {
            state.storage.remove(&cursor.name).map_err(|error| poisoned(state, &cursor.name, &error))?;
        }
        drop(files);
        state.kick_keeper();
        Ok(())
    }

    /// The first offset of `lane` that is not confirmed.
    #[must_use]
    pub fn get(&self, lane: Lane) -> Offset {
        self.file.get(lane)
    }

    /// Confirms everything of `lane` below `offset`, durably: one small write and sync. An offset below what is
    /// confirmed already changes nothing.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn advance(&self, lane: Lane, offset: Offset) -> Result<(), CursorError> {
        let mut offsets = PerLane::new(|_| 0);
        *offsets.of_mut(lane) = offset;
        self.advance_both(offsets)
    }

    /// Confirms both lanes with one write and sync.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn advance_both(&self, offsets: PerLane<Offset>) -> Result<(), CursorError> {
        if self.state.watermark.failure().is_some() {
            return Err(CursorError::Poisoned);
        }
        let durable = self.state.watermark.durable();
        if offsets.iter().any(|(lane, offset)| *offset > durable.end(lane)) {
            return Err(CursorError::Ahead);
        }
        let further = |held: PerLane<Offset>| PerLane::new(|lane| *held.of(lane).max(offsets.of(lane)));
        let moved = self.file.write(further);
        if moved.map_err(|error| poisoned(&self.state, &self.file.name, &error))? {
            self.state.kick_keeper();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("file", &self.file.name).finish_non_exhaustive()
    }
}

fn poisoned(state: &State, name: &str, error: &io::Error) -> CursorError {
    state.poison_io(format!("writing {name} of the spool"), error);
    CursorError::Poisoned
}
