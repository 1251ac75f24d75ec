//! The name that a build may give a board. Part of each board.

use tidegate_firmware::store::{Identity, Store};

/// Whoever flashes a board with a name means it: the build's name takes the place of one that the board has kept. It goes
/// on counting its starts where it is the same name; else from `boot_base`.
pub fn take<const C: usize>(store: &mut impl Store<C>, boot_base: u32) {
    let Some(given) = given(boot_base) else { return };
    let kept = store.identity();
    if kept.is_some_and(|kept| kept.device == given.device && kept.secret == given.secret) {
        return;
    }
    let boot_base = match kept {
        Some(kept) if kept.device == given.device => kept.boot_base,
        _ => given.boot_base,
    };
    let _is_kept = store.set_identity(Identity { boot_base, ..given });
}

/// `TIDEGATE_DEVICE` and `TIDEGATE_SECRET` in the environment of the build; `given.rs` has checked them.
fn given(boot_base: u32) -> Option<Identity> {
    let (device, secret) = (option_env!("TIDEGATE_DEVICE")?, option_env!("TIDEGATE_SECRET")?);
    Some(Identity { device: device.try_into().ok()?, secret: secret.try_into().ok()?, boot_base })
}
