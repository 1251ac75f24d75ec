//! A disk in memory that fails on purpose, the same way for the same seed.
//!
//! What a write has not yet had synced survives a power cut in any subset of its 512-byte sectors; names made or removed
//! without a sync of the directory may or may not be there. After a failed sync the data is still read back, as from a
//! page cache, but is not on the disk and no later sync puts it there.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Lock, Storage, StorageFile, Synced};

/// Bytes that reach the disk together or not at all.
const SECTOR_BYTES: usize = 512;

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with an I/O error; a write may have landed in part.
    Error,
    /// The file system is full, if the operation needs room; else nothing.
    NoRoom,
    /// The power goes in the middle of it: it and all that follow fail, until [`SimulatedDisk::power_cut`].
    Crash,
}

/// A disk in memory that fails on purpose. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    shared: Arc<Mutex<Disk>>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// As a process reads it.
    current: Vec<u8>,
    /// As it is on the disk.
    durable: Vec<u8>,
    /// Sectors written and not yet synced, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    inodes: BTreeMap<u64, Inode>,
    entries: BTreeMap<String, u64>,
    durable_entries: BTreeMap<String, u64>,
    next_inode: u64,
    random: u64,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    dead: bool,
    loses_syncs: bool,
    locked: bool,
    bytes_max: u64,
}

impl SimulatedDisk {
    /// An empty disk with room for `bytes_max`. All chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64, bytes_max: u64) -> Self {
        Self::holding(Disk { random: seed, bytes_max, next_inode: 1, ..Disk::default() })
    }

    fn holding(disk: Disk) -> Self {
        Self { shared: Arc::new(Mutex::new(disk)) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations done so far: reads, writes, syncs, and those on names.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Has the operation `number` (counted from 0 over the disk's life) go wrong.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.disk().faults.insert(number, fault);
    }

    /// Has every sync from here on say yes and do nothing: the negative control.
    pub fn lose_syncs(&self) {
        self.disk().loses_syncs = true;
    }

    /// Changes how much room there is.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.disk().bytes_max = bytes_max;
    }

    /// Another disk with what this one would hold after a power cut at this moment; `seed` chooses among the states
    /// that are possible.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        let before = self.disk();
        let mut disk = Disk { random: seed, ..before.clone() };
        drop(before);
        disk.settle_entries();
        disk.settle_sectors();
        Self::holding(disk.restarted())
    }

    /// Another disk with what this one shows to the next process after this one was killed; the power stays.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self::holding(self.disk().clone().restarted())
    }

    /// The names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk().entries.keys().cloned().collect()
    }

    /// A file's bytes.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.inodes.get(disk.entries.get(name)?).map(|inode| inode.current.clone())
    }

    /// Puts a file there, or something else in its place, durably.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let number = disk.next_inode;
        disk.next_inode += 1;
        disk.inodes.insert(number, Inode { durable: bytes.clone(), current: bytes, unsynced: Vec::new() });
        disk.entries.insert(name.into(), number);
        disk.durable_entries.insert(name.into(), number);
    }

    /// Flips the bits of `mask` in one byte of a file, on the disk and in what is read.
    pub fn corrupt(&self, name: &str, at: usize, mask: u8) {
        let mut disk = self.disk();
        let Some(number) = disk.entries.get(name).copied() else { return };
        let Some(inode) = disk.inodes.get_mut(&number) else { return };
        for bytes in [&mut inode.current, &mut inode.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
    }

    /// Takes a file away, durably.
    pub fn delete(&self, name: &str) {
        let mut disk = self.disk();
        disk.entries.remove(name);
        disk.durable_entries.remove(name);
    }
}

impl Disk {
    /// As the next process finds it.
    fn restarted(self) -> Self {
        Self {
            operations: 0,
            faults: BTreeMap::new(),
            dead: false,
            locked: false,
            loses_syncs: false,
            ..self
        }
    }

    /// The next number of a splitmix64 sequence.
    fn chance(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Counts an operation; the fault it is to have, if any.
    fn operate(&mut self) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(io::Error::other("the power is gone"));
        }
        let fault = self.faults.get(&self.operations).copied();
        self.operations += 1;
        self.dead = fault == Some(Fault::Crash);
        Ok(fault)
    }

    /// Counts an operation that has no effect when it fails.
    fn operate_or_fail(&mut self) -> io::Result<()> {
        match self.operate()? {
            Some(Fault::Error | Fault::Crash) => Err(injected()),
            _ => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.inodes.values().map(|inode| inode.current.len() as u64).sum()
    }

    fn write(&mut self, number: u64, bytes: &[u8], at: u64) -> io::Result<()> {
        let fault = self.operate()?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let growth = (at + bytes.len()).saturating_sub(self.inode(number)?.current.len()) as u64;
        let no_room =
            growth > 0 && (fault == Some(Fault::NoRoom) || self.used_bytes() + growth > self.bytes_max);
        if no_room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fails = fault == Some(Fault::Error);
        for (piece, chunk) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if fails && self.chance() & 1 == 0 {
                continue;
            }
            let start = at + piece * SECTOR_BYTES;
            let inode = self.inode_mut(number)?;
            overwrite(&mut inode.current, start, chunk);
            inode.unsynced.push((start, chunk.to_vec()));
        }
        if matches!(fault, Some(Fault::Error | Fault::Crash)) { Err(injected()) } else { Ok(()) }
    }

    fn sync(&mut self, number: u64) -> io::Result<()> {
        let fault = self.operate()?;
        match fault {
            // The sectors that did not make it are clean in the page cache all the same.
            Some(Fault::Error) => self.apply(number, 128).and(Err(injected())),
            Some(Fault::Crash) => Err(injected()),
            _ if self.loses_syncs => Ok(()),
            _ => self.apply(number, 256),
        }
    }

    fn sync_entries(&mut self) -> io::Result<()> {
        self.operate_or_fail()?;
        if !self.loses_syncs {
            self.durable_entries = self.entries.clone();
            let linked: Vec<u64> = self.durable_entries.values().copied().collect();
            self.inodes.retain(|number, _| linked.contains(number));
        }
        Ok(())
    }

    /// Puts unsynced sectors on the disk, each with a chance of `odds` in 256, and forgets the others.
    fn apply(&mut self, number: u64, odds: u64) -> io::Result<()> {
        let sectors = std::mem::take(&mut self.inode_mut(number)?.unsynced);
        for (at, bytes) in sectors {
            if self.chance() % 256 < odds {
                overwrite(&mut self.inode_mut(number)?.durable, at, &bytes);
            }
        }
        Ok(())
    }

    /// Decides which names made or removed without a sync of the directory are there.
    fn settle_entries(&mut self) {
        let names: std::collections::BTreeSet<_> =
            self.entries.keys().chain(self.durable_entries.keys()).cloned().collect();
        let mut settled = BTreeMap::new();
        for name in names {
            let kept = if self.chance() & 1 == 0 { &self.entries } else { &self.durable_entries };
            if let Some(number) = kept.get(&name).copied() {
                settled.insert(name, number);
            }
        }
        self.entries.clone_from(&settled);
        self.durable_entries = settled;
    }

    /// Decides which unsynced sectors are on the disk.
    fn settle_sectors(&mut self) {
        let numbers: Vec<u64> = self.inodes.keys().copied().collect();
        for number in numbers {
            let odds = match self.chance() % 4 {
                0 => 0,
                1 => 256,
                2 => 128,
                _ => self.chance() % 257,
            };
            drop(self.apply(number, odds));
        }
        let linked: Vec<u64> = self.entries.values().copied().collect();
        self.inodes.retain(|number, _| linked.contains(number));
        for inode in self.inodes.values_mut() {
            inode.current.clone_from(&inode.durable);
        }
    }

    fn inode(&self, number: u64) -> io::Result<&Inode> {
        self.inodes.get(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode_mut(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn injected() -> io::Error {
    io::Error::other("injected")
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    let end = at + with.len();
    if at == bytes.len() {
        bytes.extend_from_slice(with);
        return;
    }
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(slot) = bytes.get_mut(at..end) {
        slot.copy_from_slice(with);
    }
}

struct HeldLock(Arc<Mutex<Disk>>);

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).locked = false;
    }
}

impl Storage for SimulatedDisk {
    fn directory(&self) -> PathBuf {
        PathBuf::from("simulated")
    }

    fn prepare(&self, _folders: &[&str]) -> io::Result<()> {
        self.disk().operate_or_fail()
    }

    fn lock(&self) -> io::Result<Option<Lock>> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        if disk.locked {
            return Ok(None);
        }
        disk.locked = true;
        Ok(Some(Box::new(HeldLock(Arc::clone(&self.shared)))))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        let within = |name: &String| {
            let (held, file) = name.rsplit_once('/').unwrap_or(("", name));
            (held == folder).then(|| file.to_owned())
        };
        Ok(disk.entries.keys().filter_map(within).collect())
    }

    fn create(&self, name: &str, bytes: u64, _: &dyn Fn() -> bool) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        let number = disk.next_inode;
        disk.next_inode += 1;
        disk.inodes.insert(number, Inode::default());
        disk.entries.insert(name.into(), number);
        let zeros = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        let made = disk.write(number, &zeros, 0).and_then(|()| disk.sync(number));
        if let Err(error) = made {
            if !disk.dead {
                disk.entries.remove(name);
                disk.inodes.remove(&number);
            }
            return Err(error);
        }
        disk.sync_entries()?;
        drop(disk);
        Ok(Arc::new(SimulatedFile { shared: Arc::clone(&self.shared), number }))
    }

    fn open(&self, name: &str, _write: bool) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        let number = disk.entries.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        drop(disk);
        Ok(Arc::new(SimulatedFile { shared: Arc::clone(&self.shared), number }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        disk.entries.remove(name);
        disk.sync_entries()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        Ok(disk.bytes_max.saturating_sub(disk.used_bytes()))
    }

    fn random(&self) -> io::Result<u32> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        Ok(u32::try_from(disk.chance() >> 32).unwrap_or_default())
    }
}

struct SimulatedFile {
    shared: Arc<Mutex<Disk>>,
    number: u64,
}

impl SimulatedFile {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        disk.inode(self.number).map(|inode| inode.current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk();
        disk.operate_or_fail()?;
        let inode = disk.inode(self.number)?;
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let there = inode.current.get(from..).unwrap_or_default();
        let len = there.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), there.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn write_synced(&self, bytes: &[u8], offset: u64) -> io::Result<Synced> {
        let mut disk = self.disk();
        disk.write(self.number, bytes, offset)?;
        disk.sync(self.number)?;
        Ok(Synced(()))
    }
}
