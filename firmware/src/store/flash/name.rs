//! The board's name and secret, in one of two sectors: the one that is not in use is written, so that there is always a
//! whole one. Little endian: magic, number of the writing, boot base (u32 each), lengths of device and secret (u8 each),
//! both, each with room for its longest, CRC-32 (u32).

use embedded_storage::nor_flash::NorFlash;
use tidegate_protocol::{DEVICE_ID_LEN_MAX, serial::SECRET_LEN_MAX};

use super::slot::crc32;
use crate::store::Identity;

const MAGIC: u32 = u32::from_le_bytes(*b"TGID");
const TEXTS_AT: usize = 16;
const CRC_AT: usize = TEXTS_AT + DEVICE_ID_LEN_MAX + SECRET_LEN_MAX;
/// Bytes written: whole words of every flash there is.
const NAME_BYTES: usize = 160;

/// Where the identity is, and what it is.
pub(super) struct Found {
    pub(super) sector: u32,
    pub(super) writing: u32,
    pub(super) identity: Identity,
}

/// Looks at both sectors; the later whole one counts.
pub(super) fn find<F: NorFlash>(flash: &mut F, sector_bytes: u32) -> Option<Found> {
    let mut found: Option<Found> = None;
    for sector in 0..2 {
        let mut bytes = [0; NAME_BYTES];
        if flash.read(sector * sector_bytes, &mut bytes).is_err() {
            continue;
        }
        if let Some((writing, identity)) = parse(&bytes)
            && found.as_ref().is_none_or(|found| found.writing < writing)
        {
            found = Some(Found { sector, writing, identity });
        }
    }
    found
}

/// Writes `identity` into the sector that `found` is not in. Says whether it stands there.
pub(super) fn write<F: NorFlash>(
    flash: &mut F,
    sector_bytes: u32,
    found: Option<&Found>,
    identity: Identity,
) -> Option<Found> {
    let (sector, writing) =
        found.map_or((0, 1), |found| (1 - found.sector.min(1), found.writing.saturating_add(1)));
    let at = sector * sector_bytes;
    flash.erase(at, at + sector_bytes).ok()?;
    flash.write(at, &encode(writing, &identity)).ok()?;
    let mut bytes = [0; NAME_BYTES];
    flash.read(at, &mut bytes).ok()?;
    (parse(&bytes)? == (writing, identity.clone())).then_some(Found { sector, writing, identity })
}

fn encode(writing: u32, identity: &Identity) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    let mut put = |at: usize, part: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    };
    put(0, &MAGIC.to_le_bytes());
    put(4, &writing.to_le_bytes());
    put(8, &identity.boot_base.to_le_bytes());
    let len = |text: &str| u8::try_from(text.len()).unwrap_or_default();
    put(12, &[len(&identity.device), len(&identity.secret)]);
    put(TEXTS_AT, identity.device.as_bytes());
    put(TEXTS_AT + DEVICE_ID_LEN_MAX, identity.secret.as_bytes());
    let crc = crc32(bytes.get(..CRC_AT).unwrap_or_default());
    if let Some(place) = bytes.get_mut(CRC_AT..CRC_AT + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

fn parse(bytes: &[u8; NAME_BYTES]) -> Option<(u32, Identity)> {
    let word = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let checked = bytes.get(..CRC_AT)?;
    if word(0)? != MAGIC || word(CRC_AT)? != crc32(checked) {
        return None;
    }
    let text = |at: usize, len: u8| {
        let bytes = checked.get(at..at + usize::from(len))?;
        core::str::from_utf8(bytes).ok()
    };
    let (device, secret) = (*checked.get(12)?, *checked.get(13)?);
    let identity = Identity {
        device: text(TEXTS_AT, device)?.try_into().ok()?,
        secret: text(TEXTS_AT + DEVICE_ID_LEN_MAX, secret)?.try_into().ok()?,
        boot_base: word(8)?,
    };
    Some((word(4)?, identity))
}
