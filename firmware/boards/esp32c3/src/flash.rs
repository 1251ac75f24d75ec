//! The last 256 KiB of the flash.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;

const REGION_BYTES: u32 = 256 * 1024;

/// Where the board keeps its name, its count of starts and its readings.
pub struct Region {
    flash: FlashStorage<'static>,
    at: u32,
}

impl Region {
    /// The flash that the program runs from.
    pub fn new(flash: FLASH<'static>) -> Self {
        let flash = FlashStorage::new(flash);
        let bytes = u32::try_from(flash.capacity()).unwrap_or(0);
        Self { flash, at: bytes.saturating_sub(REGION_BYTES) }
    }
}

impl ErrorType for Region {
    type Error = <FlashStorage<'static> as ErrorType>::Error;
}

impl ReadNorFlash for Region {
    const READ_SIZE: usize = <FlashStorage<'static> as ReadNorFlash>::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        ReadNorFlash::read(&mut self.flash, self.at + offset, bytes)
    }

    fn capacity(&self) -> usize {
        REGION_BYTES as usize
    }
}

impl NorFlash for Region {
    const WRITE_SIZE: usize = <FlashStorage<'static> as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <FlashStorage<'static> as NorFlash>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        NorFlash::erase(&mut self.flash, self.at + from, self.at + to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        NorFlash::write(&mut self.flash, self.at + offset, bytes)
    }
}
