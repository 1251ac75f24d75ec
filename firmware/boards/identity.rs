//! The name that a build may give a board. Part of each board.

use embedded_storage::nor_flash::NorFlash;
use tidegate_firmware::store::{FlashStore, Identity, Store as _, Unfit};

/// Opens the store. Whoever flashes a board with a name means it: the build's name takes the place of one that the board
/// has kept. A new secret leaves the rest as it is. With a new name everything goes, since readings that wait belong to
/// the old one; its starts are counted from `boot_base`.
pub fn open<F: NorFlash, const C: usize>(flash: F, boot_base: u32) -> Result<FlashStore<F, C>, Unfit> {
    let mut store = FlashStore::open(flash)?;
    let Some(given) = given(boot_base) else { return Ok(store) };
    let given = match store.identity() {
        Some(kept) if kept.device == given.device => Identity { boot_base: kept.boot_base, ..given },
        Some(_) => {
            store = FlashStore::open(erased(store.into_flash()))?;
            given
        }
        None => given,
    };
    if store.identity() != Some(&given) {
        let _is_kept = store.set_identity(given);
    }
    Ok(store)
}

/// From its end: the name, in front, goes last, so that an erasure that was cut short is taken up at the next start.
fn erased<F: NorFlash>(mut flash: F) -> F {
    let sectors = flash.capacity() / F::ERASE_SIZE;
    for sector in (0..sectors).rev() {
        let place = |sector: usize| u32::try_from(sector * F::ERASE_SIZE).unwrap_or(u32::MAX);
        let _is_erased = flash.erase(place(sector), place(sector + 1));
    }
    flash
}

/// `TIDEGATE_DEVICE` and `TIDEGATE_SECRET` in the environment of the build; `given.rs` has checked them.
fn given(boot_base: u32) -> Option<Identity> {
    let (device, secret) = (option_env!("TIDEGATE_DEVICE")?, option_env!("TIDEGATE_SECRET")?);
    Some(Identity { device: device.try_into().ok()?, secret: secret.try_into().ok()?, boot_base })
}
