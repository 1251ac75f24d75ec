use tidegate_protocol::serial::Reason;

use crate::session::Refusal;

/// When to come back, where there is no room.
const NO_ROOM_WAIT_MS: u32 = 30_000;
/// When to come back, where it passes soon.
const BUSY_WAIT_MS: u32 = 1_000;
/// When to come back after too many tries.
const TOO_MANY_WAIT_MS: u32 = 3_000;

impl Refusal {
    /// What a serial device is told.
    #[must_use]
    pub const fn serial_reason(self) -> Reason {
        match self {
            Self::BadCredentials | Self::ClientIdInvalid => Reason::BadCredentials,
            Self::NotAuthorized | Self::Banned => Reason::NotAuthorized,
            Self::RateExceeded => Reason::TooMany,
            Self::Unavailable => Reason::Unavailable,
            Self::Busy => Reason::Busy,
            Self::QuotaExceeded => Reason::NoRoom,
            Self::TopicInvalid
            | Self::PathUnknown
            | Self::FilterInvalid
            | Self::PayloadFormatInvalid
            | Self::BeyondLimit => Reason::NotAcceptable,
        }
    }

    /// When a serial device is to try again, milliseconds; 0 where it may choose or is not to.
    #[must_use]
    pub const fn serial_wait_ms(self) -> u32 {
        match self {
            Self::QuotaExceeded | Self::Unavailable => NO_ROOM_WAIT_MS,
            Self::Busy => BUSY_WAIT_MS,
            Self::RateExceeded => TOO_MANY_WAIT_MS,
            _ => 0,
        }
    }
}
