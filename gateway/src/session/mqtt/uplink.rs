use std::num::NonZeroU32;

use bytes::Bytes;
use bytestring::ByteString;

use super::reason::{End, Reason};

/// The protocol versions that share the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1 (ISO/IEC 20922).
    V311,
    /// MQTT 5.
    V5,
}

impl Version {
    /// The version as people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

/// Quality of service of a message or a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// Best effort, not acknowledged.
    AtMostOnce = 0,
    /// Acknowledged with PUBACK.
    AtLeastOnce = 1,
    /// Only ever asked for: the gateway grants at most [`QoS::AtLeastOnce`].
    ExactlyOnce = 2,
}

/// Names one thing the session owes an answer for. A receipt is good for the session that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub(super) u64);

impl Receipt {
    /// The receipt of a QoS 0 publish, for which nobody waits.
    pub(super) const NONE: Self = Self(u64::MAX);

    /// Whether the client waits for an acknowledgement; false for QoS 0.
    #[must_use]
    pub fn is_owed(self) -> bool {
        self != Self::NONE
    }
}

/// What came from the client and needs somebody outside of the session.
#[derive(Debug)]
pub enum Uplink {
    /// A client asks to come in. Answer with [`handle_login`](super::Session::handle_login).
    Connect(Box<Connect>),
    /// A message. Answer with [`handle_stored`](super::Session::handle_stored), whatever its QoS.
    Publish(Publish),
    /// The session refused a message by itself, which should be counted or logged. Needs no answer.
    Refused(Refused),
    /// Answer with [`handle_subscribed`](super::Session::handle_subscribed).
    Subscribe(Subscribe),
    /// Answer with [`handle_unsubscribed`](super::Session::handle_unsubscribed).
    Unsubscribe(Unsubscribe),
    /// The client's last will: its connection ended without a goodbye. Needs no answer.
    Will(Publish),
    /// The session of a client that had come in is over. The last one; needs no answer.
    Disconnect(End),
}

/// A CONNECT that is well formed and within the limits.
pub struct Connect {
    /// The version the client speaks.
    pub version: Version,
    /// The client id; empty when the gateway is to choose one.
    pub client_id: ByteString,
    /// The user name.
    pub user: Option<ByteString>,
    /// The password, any bytes.
    pub password: Option<Bytes>,
    /// The client wants no earlier session. Sessions are not kept: for information.
    pub clean_start: bool,
    /// The client's keep-alive in seconds, 0 for none.
    pub keep_alive_s: u16,
    /// Where the client's will would go, so that the right to publish there is checked with the login.
    pub will_topic: Option<ByteString>,
}

impl std::fmt::Debug for Connect {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("user", &self.user)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("will_topic", &self.will_topic)
            .finish_non_exhaustive()
    }
}

/// The registry's yes to a [`Connect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The client id the gateway chose; needed when the client of MQTT 5 sent none, left out otherwise.
    pub assigned_client_id: Option<ByteString>,
}

/// One message from the client.
///
/// Text and payload are slices of what was read: they keep a whole read in memory, so copy what is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Names the message in the answer.
    pub receipt: Receipt,
    /// The topic: not empty, no wildcards, no NUL, within the limits, not beginning with `$`.
    pub topic: ByteString,
    /// The payload as sent.
    pub payload: Bytes,
    /// [`QoS::AtMostOnce`] or [`QoS::AtLeastOnce`].
    pub qos: QoS,
    /// The client says it may have sent this one before.
    pub dup: bool,
    /// The client asked for the message to be retained (MQTT 3.1.1 only; nothing is retained).
    pub retain: bool,
    /// What an MQTT 5 client sent along.
    pub properties: Option<Box<Properties>>,
}

impl Publish {
    /// The payload's media type.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.properties.as_ref()?.content_type.as_deref()
    }

    /// The user properties in the order sent.
    #[must_use]
    pub fn user_properties(&self) -> &[(ByteString, ByteString)] {
        self.properties.as_ref().map_or(&[], |properties| &properties.user)
    }
}

/// The properties of an MQTT 5 PUBLISH or will that reach the receiver (3.3.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The payload's media type.
    pub content_type: Option<ByteString>,
    /// Where the sender expects an answer.
    pub response_topic: Option<ByteString>,
    /// What the answer is to carry.
    pub correlation_data: Option<Bytes>,
    /// Seconds for which the message is of use.
    pub expiry_s: Option<NonZeroU32>,
    /// The payload is UTF-8 (checked).
    pub is_text: bool,
    /// Names and values in the order sent; names may repeat.
    pub user: Vec<(ByteString, ByteString)>,
}

/// A message the session refused by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it should have gone.
    pub topic: ByteString,
    /// What the client is told, if its version has a word for it.
    pub reason: Reason,
}

/// A SUBSCRIBE; only the filters that are well formed, within the limits and of a kind the gateway has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Names the request in the answer.
    pub receipt: Receipt,
    /// At least one.
    pub filters: Vec<Filter>,
}

/// One subscription asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The filter: wildcards where they may be, no NUL, not shared.
    pub filter: ByteString,
    /// What is asked for.
    pub options: SubscribeOptions,
}

/// The options of a subscription (MQTT 5, 3.8.3.1). Retain handling has no meaning as nothing is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest QoS the client asks for.
    pub qos: QoS,
    /// Not what this client published itself.
    pub no_local: bool,
    /// Keep the retain flag of the publisher.
    pub retain_as_published: bool,
}

/// An UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Names the request in the answer.
    pub receipt: Receipt,
    /// At least one.
    pub filters: Vec<ByteString>,
}
