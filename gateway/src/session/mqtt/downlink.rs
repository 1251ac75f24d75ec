use std::num::NonZeroU32;

use super::uplink::QoS;

/// A message for the client. Borrowed: the session copies what it has to send.
#[derive(Clone, Copy, Debug)]
pub struct Downlink<'a> {
    /// The topic as the subscriber sees it; at most 65,535 bytes, else the message is dropped.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The lower of the message's QoS and what the subscription was granted.
    pub qos: QoS,
    /// The payload's media type; MQTT 5 only, as all that follows.
    pub content_type: Option<&'a str>,
    /// Where the sender expects an answer.
    pub response_topic: Option<&'a str>,
    /// What the answer is to carry.
    pub correlation_data: Option<&'a [u8]>,
    /// Seconds for which the message is still of use.
    pub expiry_s: Option<NonZeroU32>,
    /// The payload is UTF-8.
    pub is_text: bool,
    /// Names and values in order.
    pub user_properties: &'a [(&'a str, &'a str)],
}

impl<'a> Downlink<'a> {
    /// A message with a topic, a payload and nothing else.
    #[must_use]
    pub const fn new(topic: &'a str, payload: &'a [u8], qos: QoS) -> Self {
        Self {
            topic,
            payload,
            qos,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            expiry_s: None,
            is_text: false,
            user_properties: &[],
        }
    }
}

/// The client does not take its messages fast enough: what waits for it reached a limit and its session ends with
/// reason 0x97.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber is too slow")]
pub struct Slow;
