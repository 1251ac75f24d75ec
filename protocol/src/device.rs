use core::{fmt, str::FromStr};

/// Bytes in the longest [`DeviceId`].
pub const DEVICE_ID_LEN_MAX: usize = 64;

/// A device's name: 1 to 64 of `[A-Za-z0-9_-]`, so that it can stand in a topic, a file name and a message key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(heapless::String<DEVICE_ID_LEN_MAX, u8>);

/// The text is empty, longer than [`DEVICE_ID_LEN_MAX`] or holds a character outside `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDeviceId;

impl DeviceId {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`InvalidDeviceId`] when `text` is no device id.
    pub fn new(text: &str) -> Result<Self, InvalidDeviceId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(InvalidDeviceId);
        }
        heapless::String::try_from(text).map(Self).map_err(|_| InvalidDeviceId)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceId {
    type Err = InvalidDeviceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl AsRef<str> for DeviceId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for InvalidDeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a device id is 1 to 64 of A-Z, a-z, 0-9, _ and -")
    }
}

impl core::error::Error for InvalidDeviceId {}
