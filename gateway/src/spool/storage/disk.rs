//! A directory on a real disk.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{AlignedBuffer, Lock, Storage, StorageFile, Synced};
use crate::spool::segment::BLOCK_BYTES;

/// Bytes of zeros written at once when a file is made.
const ZERO_FILL_BYTES: usize = 1 << 20;

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

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn StorageFile>> {
        let path = self.path(name);
        if let Err(error) = zero_fill(&path, bytes) {
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

fn zero_fill(path: &Path, bytes: u64) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, mode())?);
    let zeros = vec![0; ZERO_FILL_BYTES.min(usize::try_from(bytes).unwrap_or(ZERO_FILL_BYTES))];
    let mut filled = 0;
    while filled < bytes {
        let len = (bytes - filled).min(zeros.len() as u64);
        file.write_all_at(zeros.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default(), filled)?;
        filled += len;
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
