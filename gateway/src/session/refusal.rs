//! Why the gateway says no, once for all protocols. Each session has its own answer for each cause; REFUSALS.md beside
//! the crate's source lists them and is written from the code.

use std::fmt;

/// Why the gateway says no to a login, a publish or a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// A wrong user name or password.
    BadCredentials,
    /// Not allowed for this login.
    NotAuthorized,
    /// The client id is used by another login or is not acceptable.
    ClientIdInvalid,
    /// Shut out by the owner or by the throttle.
    Banned,
    /// Logins come too fast.
    RateExceeded,
    /// Passing: the gateway cannot serve.
    Unavailable,
    /// Passing: the gateway has too much to do.
    Busy,
    /// Passing: no room on disk, or a limit on what this client may have.
    QuotaExceeded,
    /// For ever: the topic cannot be published to.
    TopicInvalid,
    /// For ever, on protocols whose topics are paths: neither a path of the gateway's own nor one with a route.
    PathUnknown,
    /// For ever: the filter cannot be subscribed to.
    FilterInvalid,
    /// For ever: the payload cannot be read as its route demands.
    PayloadFormatInvalid,
    /// For ever: beyond a limit of the gateway.
    BeyondLimit,
}

impl Refusal {
    /// Every cause, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::BadCredentials,
        Self::NotAuthorized,
        Self::ClientIdInvalid,
        Self::Banned,
        Self::RateExceeded,
        Self::Unavailable,
        Self::Busy,
        Self::QuotaExceeded,
        Self::TopicInvalid,
        Self::PathUnknown,
        Self::FilterInvalid,
        Self::PayloadFormatInvalid,
        Self::BeyondLimit,
    ];

    /// Whether the same publish may succeed later: the gateway's fault and not the device's.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Busy | Self::QuotaExceeded | Self::RateExceeded)
    }

    /// The cause in words, for a log or for a person at the device's end.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::BadCredentials => "wrong user name or password",
            Self::NotAuthorized => "not authorised",
            Self::ClientIdInvalid => "client id not acceptable",
            Self::Banned => "banned",
            Self::RateExceeded => "too many logins",
            Self::Unavailable => "gateway unavailable",
            Self::Busy => "gateway busy",
            Self::QuotaExceeded => "no room",
            Self::TopicInvalid => "topic not acceptable",
            Self::PathUnknown => "no such path",
            Self::FilterInvalid => "filter not acceptable",
            Self::PayloadFormatInvalid => "payload not acceptable",
            Self::BeyondLimit => "beyond a limit of the gateway",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for Refusal {}
