use std::fmt;

use crate::session::Refusal;

/// Why something was answered or ended as it was: the reason codes of MQTT 5 (OASIS MQTT 5, 2.4) that the gateway uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Accepted; also a client's normal goodbye.
    Success = 0x00,
    /// A client's goodbye that asks for its will to be published.
    WithWill = 0x04,
    /// An UNSUBSCRIBE of a filter that was not subscribed to.
    NoSubscriptionExisted = 0x11,
    /// Refused without a more precise word.
    Unspecified = 0x80,
    /// The frame cannot be what it says it is.
    Malformed = 0x81,
    /// A frame that is well formed but may not be sent at this point or with these values.
    ProtocolError = 0x82,
    /// Well formed, allowed by the standard, and beyond a limit of this gateway.
    ImplementationSpecific = 0x83,
    /// A protocol version other than 3.1.1 and 5.
    UnsupportedVersion = 0x84,
    /// A client id that is empty, too long or holds characters that are refused.
    ClientIdInvalid = 0x85,
    /// A wrong user name or password: one answer for every cause.
    BadCredentials = 0x86,
    /// Known, and not allowed to do this.
    NotAuthorized = 0x87,
    /// The gateway cannot serve for the moment.
    ServerUnavailable = 0x88,
    /// The gateway has too much to do for the moment.
    ServerBusy = 0x89,
    /// Shut out by the owner or by the throttle.
    Banned = 0x8A,
    /// The gateway stops.
    ShuttingDown = 0x8B,
    /// Enhanced authentication, which the gateway does not offer.
    BadAuthenticationMethod = 0x8C,
    /// Nothing was heard for one and a half keep-alive times.
    KeepAliveTimeout = 0x8D,
    /// Another connection came with the same client id and login.
    TakenOver = 0x8E,
    /// A filter that cannot be subscribed to.
    FilterInvalid = 0x8F,
    /// A topic that cannot be published to.
    TopicInvalid = 0x90,
    /// More unacknowledged publishes than Receive Maximum.
    ReceiveMaxExceeded = 0x93,
    /// A topic alias of 0, above the maximum, or never set.
    AliasInvalid = 0x94,
    /// A frame above Maximum Packet Size.
    TooLarge = 0x95,
    /// No room: a full spool, or a limit on what one client may have.
    QuotaExceeded = 0x97,
    /// Ended by the owner.
    Administrative = 0x98,
    /// A payload that can never be accepted.
    PayloadFormatInvalid = 0x99,
    /// A retained publish.
    RetainNotSupported = 0x9A,
    /// A QoS 2 publish.
    QosNotSupported = 0x9B,
    /// A shared subscription.
    SharedNotSupported = 0x9E,
    /// Connections come too fast.
    RateExceeded = 0x9F,
    /// The CONNECT did not come in time.
    ConnectTime = 0xA0,
    /// A subscription identifier.
    SubscriptionIdNotSupported = 0xA1,
}

impl Reason {
    /// The code as MQTT 5 sends it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The CONNACK return code of MQTT 3.1.1 (table 3.1) that says the same, if there is one.
    #[must_use]
    pub const fn return_code(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedVersion => Some(1),
            Self::ClientIdInvalid => Some(2),
            Self::ServerUnavailable | Self::ServerBusy | Self::QuotaExceeded | Self::RateExceeded => Some(3),
            Self::BadCredentials => Some(4),
            Self::NotAuthorized | Self::Banned | Self::TopicInvalid => Some(5),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?} (0x{:02X})", self.code())
    }
}

impl Refusal {
    /// The reason a CONNACK gives.
    #[must_use]
    pub const fn connect_reason(self) -> Reason {
        match self {
            Self::BadCredentials => Reason::BadCredentials,
            Self::NotAuthorized => Reason::NotAuthorized,
            Self::ClientIdInvalid => Reason::ClientIdInvalid,
            Self::Banned => Reason::Banned,
            Self::RateExceeded => Reason::RateExceeded,
            Self::Unavailable => Reason::ServerUnavailable,
            Self::Busy => Reason::ServerBusy,
            Self::QuotaExceeded => Reason::QuotaExceeded,
            Self::TopicInvalid | Self::PathUnknown => Reason::TopicInvalid,
            Self::PayloadFormatInvalid => Reason::PayloadFormatInvalid,
            Self::FilterInvalid | Self::BeyondLimit => Reason::ImplementationSpecific,
        }
    }

    /// The reason a PUBACK gives, out of those it may hold (MQTT 5, 3.4.2.1).
    #[must_use]
    pub const fn publish_reason(self) -> Reason {
        match self {
            Self::BadCredentials | Self::NotAuthorized | Self::Banned => Reason::NotAuthorized,
            Self::RateExceeded | Self::Unavailable | Self::Busy | Self::QuotaExceeded => {
                Reason::QuotaExceeded
            }
            Self::TopicInvalid | Self::PathUnknown => Reason::TopicInvalid,
            Self::PayloadFormatInvalid => Reason::PayloadFormatInvalid,
            Self::ClientIdInvalid | Self::FilterInvalid | Self::BeyondLimit => Reason::ImplementationSpecific,
        }
    }

    /// The reason a SUBACK gives, out of those it may hold (MQTT 5, 3.9.3).
    #[must_use]
    pub const fn subscribe_reason(self) -> Reason {
        match self {
            Self::BadCredentials | Self::NotAuthorized | Self::Banned => Reason::NotAuthorized,
            Self::RateExceeded | Self::Unavailable | Self::Busy | Self::QuotaExceeded => {
                Reason::QuotaExceeded
            }
            Self::TopicInvalid | Self::PathUnknown | Self::FilterInvalid => Reason::FilterInvalid,
            Self::ClientIdInvalid | Self::PayloadFormatInvalid | Self::BeyondLimit => {
                Reason::ImplementationSpecific
            }
        }
    }
}

/// A client broke the protocol or a limit: its connection ends with `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}: {reason}")]
pub(super) struct Violation {
    pub(super) reason: Reason,
    pub(super) why: &'static str,
}

impl Violation {
    pub(super) const fn new(reason: Reason, why: &'static str) -> Self {
        Self { reason, why }
    }

    pub(super) const fn malformed(why: &'static str) -> Self {
        Self::new(Reason::Malformed, why)
    }

    pub(super) const fn protocol(why: &'static str) -> Self {
        Self::new(Reason::ProtocolError, why)
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Who ended it.
    pub by: EndBy,
    /// The reason as MQTT 5 codes it, in whichever version the client speaks.
    pub reason: Reason,
    /// The cause in words, for the log and for the device's page.
    pub why: &'static str,
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndBy {
    /// The client, with a DISCONNECT.
    Client,
    /// The gateway: a broken rule, a limit, a timeout, a takeover, a stop.
    Gateway,
    /// The connection broke.
    Connection,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.why, self.reason)
    }
}
