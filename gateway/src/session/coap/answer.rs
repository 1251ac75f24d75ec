use super::request::option;
use crate::session::Refusal;

/// What a request is answered with. One byte of it is remembered, and the datagram is made from it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is on disk.
    Changed,
    /// `/.well-known/core` (RFC 6690).
    Core,
    /// The gateway says no.
    Refused(Refusal),
    /// An option that must be understood is not (RFC 7252, section 5.4.1).
    BadOption,
    /// There is something at this path, and the method does not fit it.
    MethodNotAllowed,
    /// The client takes another format than there is (RFC 7252, section 5.10.4).
    NotAcceptable,
    /// A payload beyond the limit, or a part of one.
    TooLarge,
    /// The gateway is no proxy (RFC 7252, section 5.10.2).
    ProxyingNotSupported,
}

/// A response's code: class and detail.
const fn code(class: u8, detail: u8) -> u8 {
    class << 5 | detail
}

pub(super) const CHANGED: u8 = code(2, 4);
pub(super) const CONTENT: u8 = code(2, 5);
pub(super) const BAD_REQUEST: u8 = code(4, 0);
pub(super) const UNAUTHORIZED: u8 = code(4, 1);
pub(super) const BAD_OPTION: u8 = code(4, 2);
pub(super) const FORBIDDEN: u8 = code(4, 3);
pub(super) const NOT_FOUND: u8 = code(4, 4);
pub(super) const METHOD_NOT_ALLOWED: u8 = code(4, 5);
pub(super) const NOT_ACCEPTABLE: u8 = code(4, 6);
pub(super) const TOO_LARGE: u8 = code(4, 13);
/// RFC 8516.
pub(super) const TOO_MANY_REQUESTS: u8 = code(4, 29);
pub(super) const UNAVAILABLE: u8 = code(5, 3);
pub(super) const PROXYING_NOT_SUPPORTED: u8 = code(5, 5);

/// What the gateway has, as `/.well-known/core` lists it (RFC 6690). Short, since whoever asks is not verified.
pub(super) const CORE: &str = "</telemetry>;ct=50,</event>;ct=50,</t>,</e>";
/// `application/link-format` (RFC 6690, section 7.3).
pub(super) const LINK_FORMAT: u16 = 40;

/// Seconds after which a gateway without room, or with a failed disk, is worth another try.
const FULL_AGE_S: u32 = 30;
/// Seconds after which a busy one is.
const BUSY_AGE_S: u32 = 1;
/// Seconds after which one failed login is forgiven.
const THROTTLED_AGE_S: u32 = 3;

impl Answer {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Changed => CHANGED,
            Self::Core => CONTENT,
            Self::Refused(refusal) => refusal.coap_code(),
            Self::BadOption => BAD_OPTION,
            Self::MethodNotAllowed => METHOD_NOT_ALLOWED,
            Self::NotAcceptable => NOT_ACCEPTABLE,
            Self::TooLarge => TOO_LARGE,
            Self::ProxyingNotSupported => PROXYING_NOT_SUPPORTED,
        }
    }

    /// The one option that the answer carries: its number and value.
    pub(super) fn option(self, payload_bytes_max: u32) -> Option<(u16, u32)> {
        match self {
            Self::Core => Some((option::CONTENT_FORMAT, LINK_FORMAT.into())),
            Self::Refused(refusal) => refusal.coap_max_age_s().map(|age_s| (option::AGE, age_s)),
            Self::TooLarge => Some((option::SIZE1, payload_bytes_max)),
            _ => None,
        }
    }

    /// The body, or what a person at the other end should read (RFC 7252, section 5.5.2).
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Changed => "",
            Self::Core => CORE,
            Self::Refused(refusal) => refusal.words(),
            Self::BadOption => "an option that the gateway does not know",
            Self::MethodNotAllowed => "this path takes POST",
            Self::NotAcceptable => "application/link-format only",
            Self::TooLarge => "send less at once",
            Self::ProxyingNotSupported => "the gateway is no proxy",
        }
    }

    /// The answer in a byte, for those that are remembered.
    pub(super) const fn to_byte(self) -> Option<u8> {
        match self {
            Self::Changed => Some(1),
            Self::Refused(refusal) => Some(2 + refusal as u8),
            _ => None,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => None,
            1 => Some(Self::Changed),
            _ => Refusal::ALL.get(usize::from(byte) - 2).copied().map(Self::Refused),
        }
    }
}

impl Refusal {
    /// The response's code (RFC 7252, section 5.9; RFC 8516), class in the upper three bits.
    #[must_use]
    pub const fn coap_code(self) -> u8 {
        match self {
            Self::BadCredentials | Self::ClientIdInvalid => UNAUTHORIZED,
            Self::NotAuthorized | Self::Banned => FORBIDDEN,
            Self::RateExceeded => TOO_MANY_REQUESTS,
            Self::Unavailable | Self::Busy | Self::QuotaExceeded => UNAVAILABLE,
            Self::PathUnknown => NOT_FOUND,
            Self::BeyondLimit => TOO_LARGE,
            Self::TopicInvalid | Self::FilterInvalid | Self::PayloadFormatInvalid => BAD_REQUEST,
        }
    }

    /// Seconds until another try makes sense (RFC 7252, section 5.9.3.4), for what passes.
    #[must_use]
    pub const fn coap_max_age_s(self) -> Option<u32> {
        match self {
            Self::RateExceeded => Some(THROTTLED_AGE_S),
            Self::Busy => Some(BUSY_AGE_S),
            Self::Unavailable | Self::QuotaExceeded => Some(FULL_AGE_S),
            _ => None,
        }
    }
}

/// A code as people write it: `4.04`.
#[must_use]
pub fn code_text(code: u8) -> String {
    format!("{}.{:02}", code >> 5, code & 0x1F)
}
