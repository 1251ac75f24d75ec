//! Flash in a file, which outlives the program as flash outlives the power.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

const SECTOR_BYTES: usize = 4_096;
const SECTORS: usize = 32;

/// 128 KiB: some 1,800 readings.
pub struct FileFlash(File);

impl FileFlash {
    /// What is in the file, blank flash at first.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_new = !path.exists();
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        if is_new {
            file.write_all_at(&[0xff; SECTORS * SECTOR_BYTES], 0)?;
        }
        Ok(Self(file))
    }
}

/// The file cannot be read or written.
#[derive(Debug)]
pub struct Broken;

impl NorFlashError for Broken {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl ErrorType for FileFlash {
    type Error = Broken;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Broken> {
        Ok(self.0.read_exact_at(bytes, offset.into())?)
    }

    fn capacity(&self) -> usize {
        SECTORS * SECTOR_BYTES
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Broken> {
        for offset in (from..to).step_by(SECTOR_BYTES) {
            self.0.write_all_at(&[0xff; SECTOR_BYTES], offset.into())?;
        }
        Ok(())
    }

    /// As flash does: a bit that is 0 stays so.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Broken> {
        let mut before = vec![0; bytes.len()];
        self.0.read_exact_at(&mut before, offset.into())?;
        before.iter_mut().zip(bytes).for_each(|(before, byte)| *before &= byte);
        Ok(self.0.write_all_at(&before, offset.into())?)
    }
}
