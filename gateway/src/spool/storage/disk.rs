//! A directory on a real disk.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{AlignedBuffer, Lock, Storage, StorageFile, Synced};
use crate::spool::segment::BLOCK_BYTES;

/// Bytes of zeros written at once where somebody waits for the file: few calls, for a disk that takes long for each.
const ZERO_FILL_BYTES: usize = 1 << 20;
/// The same where nobody does. Records that are to be synced meanwhile wait behind one such piece, and not behind a
/// segment: the disk takes its time for what lies in front of a sync.
const LEISURELY_BYTES: usize = 128 * 1024;
/// How long the disk is left to others after a piece, where nobody waits for the file.
const LEISURE: Duration = Duration::from_millis(2);

/// A directory on a real disk. Files are written with O_DIRECT and O_DSYNC where the file system takes it, else
/// with `fdatasync`.
#[derive(Debug)]
pub struct Disk {
    directory: PathBuf,
    direct: std::sync::OnceLock<bool>,
}

impl Disk {
    /// The spool's directory; made by [`Storage::prepare`] where it is missing.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), direct: std::sync::OnceLock::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether the file system takes O_DIRECT with O_DSYNC; tried once, with a file that is removed again.
    fn direct(&self) -> bool {
        *self.direct.get_or_init(|| {
            let path = self.path("probe");
            let works = syncs() && self.probe(&path).is_ok();
            match fs::remove_file(&path) {
                Ok(()) => works,
                Err(_) => false,
            }
        })
    }

    fn probe(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::DIRECT | OFlags::DSYNC;
        let file = File::from(rustix::fs::open(path, flags | OFlags::CLOEXEC, mode())?);
        let blocks = AlignedBuffer::holding(&[0; 2 * BLOCK_BYTES]);
        file.write_all_at(blocks.as_slice(), 0)
    }
}

impl Storage for Disk {
    fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    fn prepare(&self, folders: &[&str]) -> io::Result<()> {
        make_directory(&self.directory)?;
        for folder in folders {
            make_directory(&self.path(folder))?;
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<Option<Lock>> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(self.path("LOCK"), flags, mode())?);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(
        &self,
        name: &str,
        bytes: u64,
        has_leisure: &dyn Fn() -> bool,
    ) -> io::Result<Arc<dyn StorageFile>> {
        let path = self.path(name);
        if let Err(error) = zero_fill(&path, bytes, self.direct(), has_leisure) {
            // The first error is the one to tell; a file that stays behind is removed at the next start.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        sync_directory(path.parent().unwrap_or(&self.directory))?;
        self.open(name, true)
    }

    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        let path = self.path(name);
        let direct = write && self.direct();
        let writer = if direct {
            let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::DSYNC | OFlags::CLOEXEC;
            Some(File::from(rustix::fs::open(&path, flags, Mode::empty())?))
        } else {
            None
        };
        let reader = File::options().read(true).write(write && !direct).open(&path)?;
        Ok(Arc::new(DiskFile { reader, writer }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_directory(path.parent().unwrap_or(&self.directory)),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn random(&self) -> io::Result<u32> {
        getrandom::u32().map_err(io::Error::other)
    }
}

struct DiskFile {
    reader: File,
    /// With O_DIRECT and O_DSYNC, where the file system takes it; else `reader` is written.
    writer: Option<File>,
}

impl StorageFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.reader.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_synced(&self, bytes: &[u8], offset: u64) -> io::Result<Synced> {
        match &self.writer {
            Some(writer) => writer.write_all_at(bytes, offset)?,
            None => {
                self.reader.write_all_at(bytes, offset)?;
                if syncs() {
                    rustix::fs::fdatasync(&self.reader)?;
                }
            }
        }
        Ok(Synced(()))
    }
}

/// With leisure a piece goes past the page cache: what gathers there goes to the disk as one, at the sync, and whoever
/// syncs another file meanwhile waits for it. Without, that is just what is wanted: a disk that takes long for each piece
/// takes no longer for all.
fn zero_fill(path: &Path, bytes: u64, direct: bool, has_leisure: &dyn Fn() -> bool) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, mode())?);
    let past_the_cache = if direct {
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        Some(File::from(rustix::fs::open(path, flags, Mode::empty())?))
    } else {
        None
    };
    let whole_blocks = bytes.next_multiple_of(BLOCK_BYTES as u64);
    let most = usize::try_from(whole_blocks).map_or(ZERO_FILL_BYTES, |bytes| bytes.min(ZERO_FILL_BYTES));
    let zeros = AlignedBuffer::holding(&vec![0; most]);
    let mut filled = 0;
    while filled < whole_blocks {
        let leisure = has_leisure();
        let piece_bytes = if leisure { LEISURELY_BYTES } else { ZERO_FILL_BYTES };
        let len = (whole_blocks - filled).min(piece_bytes as u64);
        let piece = zeros.as_slice().get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
        if leisure {
            past_the_cache.as_ref().unwrap_or(&file).write_all_at(piece, filled)?;
            thread::sleep(LEISURE);
        } else {
            file.write_all_at(piece, filled)?;
        }
        filled += len;
    }
    if whole_blocks > bytes {
        file.set_len(bytes)?;
    }
    if syncs() { file.sync_all() } else { Ok(()) }
}

/// Makes a directory and those above it, and syncs the entry of each one made.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    if syncs() { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Files are for the gateway's user alone: they hold what devices sent.
fn mode() -> Mode {
    Mode::RUSR | Mode::WUSR
}

/// The power-cut test takes the syncs away to prove that it would see the loss.
#[cfg(feature = "fault-injection")]
fn syncs() -> bool {
    std::env::var_os("TIDEGATE_TEST_NO_SYNC").is_none_or(|value| value != "1")
}

#[cfg(not(feature = "fault-injection"))]
const fn syncs() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_file_is_all_zeros_and_of_its_length_and_whoever_waits_for_it_is_heard_between_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        disk.prepare(&[]).unwrap();
        let leisurely = LEISURELY_BYTES as u64;
        for (bytes, pieces) in
            [(1 << 20, 4), (1_000, 1), (leisurely + 1, 2), (3 * leisurely + (1 << 20) + 1, 5), (0, 0)]
        {
            let asked = Cell::new(0);
            let has_leisure = || {
                asked.set(asked.get() + 1);
                asked.get() < 4
            };
            let file = disk.create("file", bytes, &has_leisure).unwrap();
            assert_eq!((asked.get(), file.len().unwrap()), (pieces, bytes));
            let mut read = vec![1; usize::try_from(bytes).unwrap()];
            assert_eq!(file.read_at(&mut read, 0).unwrap(), read.len());
            assert!(read.iter().all(|byte| *byte == 0));
        }
    }
}
