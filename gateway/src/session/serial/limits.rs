use schemars::JsonSchema;
use serde::Deserialize;

/// `[serial.limits]`: what the devices behind one port may make the gateway hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Devices behind one port; one more ends the link that was silent longest.
    #[schemars(range(min = 1))]
    pub devices_max: usize,
    /// Readings of one device that wait for the disk; a batch more is refused.
    #[schemars(range(min = 1))]
    pub pending_max: usize,
    /// Milliseconds that a device has to prove who it is.
    #[schemars(range(min = 1))]
    pub challenge_ms_max: u64,
    /// Bytes of a line, where a port speaks lines; a longer one is dropped.
    #[schemars(range(min = 1))]
    pub line_bytes_max: usize,
    /// Boards without a name that are listed for `tidegate adopt`; one more takes the place of the oldest.
    #[schemars(range(min = 1))]
    pub announced_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            devices_max: 32,
            pending_max: 64,
            challenge_ms_max: 10_000,
            line_bytes_max: 1024,
            announced_max: 64,
        }
    }
}
