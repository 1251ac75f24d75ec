use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the tag in a frame: HMAC-SHA-256, truncated (RFC 2104, section 5).
pub const TAG_BYTES: usize = 8;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 8;
/// Bytes of the salt that the gateway keeps a device's secret under.
pub const SALT_BYTES: usize = 16;
/// Bytes in the longest secret.
pub const SECRET_LEN_MAX: usize = 64;

/// What is drawn anew for each link by each side.
pub type Nonce = [u8; NONCE_BYTES];

/// Keeps this use of a device's key apart from any other.
const LABEL: &[u8] = b"tidegate serial 1";

/// Who sends. It goes into the tag, so that nobody's frame comes back to him as the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device.
    ToGateway,
    /// From the gateway.
    ToDevice,
}

/// What device and gateway both know: HMAC-SHA-256 of the device's secret under the gateway's salt. The gateway stores
/// it in place of the secret.
#[derive(Clone)]
pub struct DeviceKey([u8; KEY_BYTES]);

/// The key of one link, from the device's key and a nonce of each side: what was said on another link says nothing
/// on this one.
#[derive(Clone)]
pub struct LinkKey([u8; KEY_BYTES]);

impl DeviceKey {
    /// The key as the gateway stores it.
    #[must_use]
    pub const fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(key)
    }

    /// The key as the device makes it from its secret and the salt of the gateway's challenge.
    #[must_use]
    pub fn derive(salt: &[u8; SALT_BYTES], secret: &[u8]) -> Self {
        Self(hmac(salt, &[secret]))
    }
}

impl LinkKey {
    /// `device` is the id that the link is for.
    #[must_use]
    pub fn derive(key: &DeviceKey, device: &str, of_device: &Nonce, of_gateway: &Nonce) -> Self {
        Self(hmac(&key.0, &[LABEL, of_device, of_gateway, device.as_bytes()]))
    }

    /// The tag of a frame: over its sender and everything in front of the tag.
    #[must_use]
    pub fn tag(&self, direction: Direction, signed: &[u8]) -> [u8; TAG_BYTES] {
        let whole = hmac(&self.0, &[&[direction.byte()], signed]);
        let mut tag = [0; TAG_BYTES];
        tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        tag
    }

    /// Whether `tag` is the tag of `signed`. Takes as long whatever is wrong.
    #[must_use]
    pub fn vouches(&self, direction: Direction, signed: &[u8], tag: &[u8; TAG_BYTES]) -> bool {
        let Some(mut mac) = keyed(&self.0) else { return false };
        mac.update(&[direction.byte()]);
        mac.update(signed);
        mac.verify_truncated_left(tag).is_ok()
    }
}

impl Direction {
    const fn byte(self) -> u8 {
        match self {
            Self::ToGateway => 0,
            Self::ToDevice => 1,
        }
    }
}

fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    // A key of any length is taken (RFC 2104, section 2), so there always is one.
    Hmac::<Sha256>::new_from_slice(key).ok()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY_BYTES] {
    let Some(mut mac) = keyed(key) else { return [0; KEY_BYTES] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl core::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DeviceKey")
    }
}

impl core::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LinkKey")
    }
}
