//! What the spool asks of a disk: one directory, flat names, and an honest answer after every sync.
//!
//! Two implementations: [`Disk`] and [`SimulatedDisk`], which loses, tears, refuses and corrupts on purpose.

use std::{io, path::PathBuf, sync::Arc};

mod aligned;
mod disk;
mod simulated;

pub(super) use aligned::AlignedBuffer;
pub use disk::Disk;
pub use simulated::{Fault, SimulatedDisk};

/// The disk has confirmed a write. Only a [`StorageFile`] makes one.
#[derive(Debug)]
pub struct Synced(());

/// Held for as long as the directory is this process's; let go by dropping it.
pub type Lock = Box<dyn Send + Sync>;

/// One directory for one spool. Names are relative and may hold one folder: `cursors/file`.
pub trait Storage: Send + Sync + 'static {
    /// Where it is, for messages.
    fn directory(&self) -> PathBuf;

    /// Makes the directory and its folders where they are missing, durably.
    ///
    /// # Errors
    /// What the operating system says.
    fn prepare(&self, folders: &[&str]) -> io::Result<()>;

    /// Takes the directory for this process; none when another one has it.
    ///
    /// # Errors
    /// What the operating system says.
    fn lock(&self) -> io::Result<Option<Lock>>;

    /// The names of the files in `folder` (`""`: in the directory itself), in order.
    ///
    /// # Errors
    /// What the operating system says; a missing folder is an empty one.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Makes a file of `bytes` zeros, written out and not only promised, and syncs it and its directory entry.
    /// A file of that name is replaced. What was made is removed again where that fails. `has_leisure` is asked again
    /// and again: while nobody waits for the file, those who wait for a sync of another one go first.
    ///
    /// # Errors
    /// `StorageFull` or `QuotaExceeded` when there is no room, else what the operating system says.
    fn create(
        &self,
        name: &str,
        bytes: u64,
        has_leisure: &dyn Fn() -> bool,
    ) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens a file; `write` says whether it will be written.
    ///
    /// # Errors
    /// `NotFound` when there is none, else what the operating system says.
    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>>;

    /// Removes a file durably. A missing one is no error.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Bytes that the file system has left for us.
    ///
    /// # Errors
    /// What the operating system says.
    fn free_bytes(&self) -> io::Result<u64>;

    /// A number that nobody outside can guess.
    ///
    /// # Errors
    /// What the operating system says.
    fn random(&self) -> io::Result<u32>;
}

/// One open file.
pub trait StorageFile: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Reads at `offset` until `buffer` is full or the file ends; how many bytes were read.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes whole blocks at a block boundary and returns when the disk has confirmed them. `bytes` begins at a
    /// 4 KiB boundary in memory. After an error nothing is known of what is on disk, and nothing may be tried again.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_synced(&self, bytes: &[u8], offset: u64) -> io::Result<Synced>;
}
