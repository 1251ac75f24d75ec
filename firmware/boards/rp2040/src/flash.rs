//! The last 256 KiB of the Pico's flash.

use embassy_rp::{
    Peri,
    flash::{Blocking, ERASE_SIZE, Error, Flash},
    peripherals::FLASH,
};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

const FLASH_BYTES: usize = 2 * 1024 * 1024;
const REGION_BYTES: usize = 256 * 1024;
const REGION_AT: u32 = 0x1c_0000;
const _: () = assert!(REGION_AT as usize + REGION_BYTES == FLASH_BYTES);

/// Where the board keeps its name, its count of starts and its readings.
pub struct Region {
    flash: Flash<'static, FLASH, Blocking, FLASH_BYTES>,
}

impl Region {
    /// The flash that the program runs from.
    pub fn new(flash: Peri<'static, FLASH>) -> Self {
        Self { flash: Flash::new_blocking(flash) }
    }

    /// What the flash's maker calls this very chip; zeros where it does not say.
    pub fn unique_id(&mut self) -> [u8; 8] {
        let mut id = [0; 8];
        match self.flash.blocking_unique_id(&mut id) {
            Ok(()) => id,
            Err(_) => [0; 8],
        }
    }
}

impl ErrorType for Region {
    type Error = Error;
}

impl ReadNorFlash for Region {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.flash.blocking_read(REGION_AT + offset, bytes)
    }

    fn capacity(&self) -> usize {
        REGION_BYTES
    }
}

impl NorFlash for Region {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        self.flash.blocking_erase(REGION_AT + from, REGION_AT + to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.flash.blocking_write(REGION_AT + offset, bytes)
    }
}
