use core::cell::RefCell;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

pub(crate) const SECTOR_BYTES: usize = 1_024;
pub(crate) const SECTORS: usize = 8;

/// NOR flash in memory; the power may go after so many bytes.
pub(crate) struct Flash {
    pub(crate) bytes: RefCell<[u8; SECTOR_BYTES * SECTORS]>,
    pub(crate) power: RefCell<Option<usize>>,
}

#[derive(Debug)]
pub(crate) struct PowerGone;

impl NorFlashError for PowerGone {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Flash {
    fn spend(&self) -> Result<(), PowerGone> {
        match &mut *self.power.borrow_mut() {
            Some(0) => Err(PowerGone),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl ErrorType for &Flash {
    type Error = PowerGone;
}

impl ReadNorFlash for &Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, out: &mut [u8]) -> Result<(), PowerGone> {
        let start = offset as usize;
        out.copy_from_slice(&self.bytes.borrow()[start..start + out.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        SECTOR_BYTES * SECTORS
    }
}

impl NorFlash for &Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerGone> {
        (from..to).try_for_each(|at| {
            self.spend()?;
            self.bytes.borrow_mut()[at as usize] = 0xff;
            Ok(())
        })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerGone> {
        bytes.iter().zip(offset as usize..).try_for_each(|(byte, at)| {
            self.spend()?;
            self.bytes.borrow_mut()[at] &= byte;
            Ok(())
        })
    }
}
