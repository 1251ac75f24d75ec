//! Messages on their way out.
//!
//! A message is encoded once, in the form it has in a batch: length of the whole (u32, big endian), magic and checksum
//! (both 0: the broker fills them in), flag (u32), length of the body (u32), body, length of the properties (u16),
//! properties (`MessageDecoder.encodeMessage` of the server). A batch is a run of these; a single message is its body
//! and its properties, cut out.

use thiserror::Error;

use super::{name, property};

/// Bytes of a message that the broker takes unless it is told otherwise: `maxMessageSize`.
pub const MESSAGE_BYTES_DEFAULT: usize = 4 * 1024 * 1024;

/// Bytes in front of the body.
const HEAD_BYTES: usize = 20;

/// A message to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct View<'m> {
    /// Where it goes.
    pub topic: &'m str,
    /// The words it is found by.
    pub key: &'m str,
    /// By which consumers filter.
    pub tag: &'m str,
    /// The sender's id, by which a duplicate is known.
    pub id: &'m str,
    /// What the queue is chosen by.
    pub sharding_key: &'m str,
    /// The sender's own properties.
    pub properties: &'m [(String, String)],
    /// What it says.
    pub body: &'m [u8],
}

/// Why a message can never be sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Illegal {
    /// No topic may be called this.
    #[error("no topic may be called \"{0}\"")]
    Topic(String),
    /// Of this name or its value.
    #[error("the property \"{0}\" has a separator byte in it, or no name")]
    Property(String),
    /// Has a meaning to brokers or clients.
    #[error("the property \"{0}\" is the bus's own")]
    Reserved(String),
    /// More than [`property::PROPERTIES_BYTES_MAX`].
    #[error("properties of {0} bytes, {max} at most", max = property::PROPERTIES_BYTES_MAX)]
    Properties(usize),
    /// More than the broker takes.
    #[error("a message of {bytes} bytes, {bytes_max} at most")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: usize,
    },
}

/// A message as it stands in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    bytes: Vec<u8>,
    body_len: usize,
}

impl Encoded {
    /// Checks and encodes `message`, which may take `bytes_max` all in all.
    ///
    /// # Errors
    /// [`Illegal`]: it can never be sent.
    pub fn new(message: &View<'_>, bytes_max: usize) -> Result<Self, Illegal> {
        if !name::is_topic(message.topic) {
            return Err(Illegal::Topic(message.topic.escape_debug().to_string()));
        }
        // Before anything is copied.
        let too_large = |bytes| Illegal::TooLarge { bytes, bytes_max };
        let body_len = u32::try_from(message.body.len()).map_err(|_| too_large(message.body.len()))?;
        if message.body.len() > bytes_max {
            return Err(too_large(message.body.len()));
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + message.body.len() + 256);
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&body_len.to_be_bytes());
        bytes.extend_from_slice(message.body);
        let at = bytes.len();
        bytes.extend_from_slice(&[0; 2]);
        push_properties(&mut bytes, message)?;
        let properties_len = bytes.len().saturating_sub(at + 2);
        if properties_len > property::PROPERTIES_BYTES_MAX {
            return Err(Illegal::Properties(properties_len));
        }
        if bytes.len() > bytes_max {
            return Err(too_large(bytes.len()));
        }
        let properties_len =
            u16::try_from(properties_len).map_err(|_| Illegal::Properties(properties_len))?;
        if let Some(slot) = bytes.get_mut(at..at + 2) {
            slot.copy_from_slice(&properties_len.to_be_bytes());
        }
        let total = u32::try_from(bytes.len()).map_err(|_| too_large(bytes.len()))?;
        if let Some(slot) = bytes.get_mut(..4) {
            slot.copy_from_slice(&total.to_be_bytes());
        }
        Ok(Self { bytes, body_len: message.body.len() })
    }

    /// As it stands in a batch.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEAD_BYTES..HEAD_BYTES + self.body_len).unwrap_or_default()
    }

    /// All properties, as one text.
    #[must_use]
    pub fn properties(&self) -> &str {
        let bytes = self.bytes.get(HEAD_BYTES + self.body_len + 2..).unwrap_or_default();
        // They were texts when they were encoded.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// One property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        property::parse(self.properties()).find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

fn push_properties(out: &mut Vec<u8>, message: &View<'_>) -> Result<(), Illegal> {
    property::push(out, property::KEYS, message.key)?;
    property::push(out, property::TAGS, message.tag)?;
    property::push(out, property::UNIQ_KEY, message.id)?;
    property::push(out, property::SHARDING_KEY, message.sharding_key)?;
    // An answer only when it is stored as the broker is told to store.
    property::push(out, "WAIT", "true")?;
    for (name, value) in message.properties {
        if property::is_reserved(name) {
            return Err(Illegal::Reserved(name.clone()));
        }
        property::push(out, name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view<'m>(body: &'m [u8], properties: &'m [(String, String)]) -> View<'m> {
        View {
            topic: "iot-topic",
            key: "sensor_1",
            tag: "temperature",
            id: "sensor_1/7/42",
            sharding_key: "sensor_1",
            properties,
            body,
        }
    }

    fn one(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_message_is_laid_out_as_in_a_batch() {
        let properties = one("tg_seq", "42");
        let message = Encoded::new(&view(b"sensor_1,36.5", &properties), 1_000).unwrap();
        let bytes = message.bytes();
        assert_eq!(u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize, bytes.len());
        assert_eq!(&bytes[4..16], [0; 12]);
        assert_eq!(bytes[16..20], 13_u32.to_be_bytes());
        assert_eq!((&bytes[20..33], message.body()), (&b"sensor_1,36.5"[..], &b"sensor_1,36.5"[..]));
        let properties = "KEYS\u{1}sensor_1\u{2}TAGS\u{1}temperature\u{2}UNIQ_KEY\u{1}sensor_1/7/42\u{2}__SHARDINGKEY\u{1}sensor_1\u{2}WAIT\u{1}true\u{2}tg_seq\u{1}42\u{2}";
        assert_eq!(bytes[33..35], u16::try_from(properties.len()).unwrap().to_be_bytes());
        assert_eq!(message.properties(), properties);
        assert_eq!((message.property("tg_seq"), message.property("none")), (Some("42"), None));
    }

    #[test]
    fn what_steers_the_broker_is_refused() {
        for name in ["DELAY", "KEYS", "TRAN_MSG", "__STARTDELIVERTIME", "INNER_MULTI_DISPATCH"] {
            let properties = one(name, "1");
            assert_eq!(
                Encoded::new(&view(b"b", &properties), 1_000),
                Err(Illegal::Reserved(name.to_owned()))
            );
        }
        let properties = one("a", "b\u{2}DELAY\u{1}3");
        assert_eq!(Encoded::new(&view(b"b", &properties), 1_000), Err(Illegal::Property("a".to_owned())));
        let message = View { key: "a\u{1}b", ..view(b"b", &[]) };
        assert_eq!(Encoded::new(&message, 1_000), Err(Illegal::Property("KEYS".to_owned())));
        let message = View { topic: "plant/1", ..view(b"b", &[]) };
        assert_eq!(Encoded::new(&message, 1_000), Err(Illegal::Topic("plant/1".to_owned())));
    }

    #[test]
    fn both_limits_are_reached_and_not_passed() {
        let length = Encoded::new(&view(b"", &[]), 1_000).unwrap().bytes().len();
        assert!(Encoded::new(&view(&[0; 10], &[]), length + 10).is_ok());
        assert_eq!(
            Encoded::new(&view(&[0; 11], &[]), length + 10),
            Err(Illegal::TooLarge { bytes: length + 11, bytes_max: length + 10 })
        );
        assert!(matches!(Encoded::new(&view(&[0; 99], &[]), 98), Err(Illegal::TooLarge { bytes: 99, .. })));
        let fixed = Encoded::new(&view(b"", &[]), 1_000).unwrap().properties().len();
        let fitting = property::PROPERTIES_BYTES_MAX - fixed - 3;
        assert!(Encoded::new(&view(b"", &one("a", &"v".repeat(fitting))), 100_000).is_ok());
        assert_eq!(
            Encoded::new(&view(b"", &one("a", &"v".repeat(fitting + 1))), 100_000),
            Err(Illegal::Properties(property::PROPERTIES_BYTES_MAX + 1))
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_what_was_given_or_is_refused(
            body in prop::collection::vec(any::<u8>(), 0..64),
            properties in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
        ) {
            if let Ok(message) = Encoded::new(&view(&body, &properties), 4_096) {
                prop_assert_eq!(message.body(), &body[..]);
                let given = properties.iter().filter(|(_, value)| !value.is_empty());
                let given: Vec<_> = given.map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let read: Vec<_> = property::parse(message.properties()).skip(5).collect();
                prop_assert_eq!(read, given);
            }
        }
    }
}
