//! Messages as a broker stores them and gives them out (`MessageDecoder.decode` of the server).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, Bytes};
use thiserror::Error;

use super::{inflate::inflate, property};

/// Bytes that the body of one message may have after it was inflated.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

const MAGIC: u32 = 0xDAA3_20A7;
const MAGIC_LONG_TOPIC: u32 = 0xDAA3_20AB;
const COMPRESSED: u32 = 1;
const COMPRESSION_SHIFT: u32 = 8;
const COMPRESSION_BITS: u32 = 7;
const ZLIB_BY_DEFAULT: u32 = 0;
const ZLIB: u32 = 3;
const BORN_IPV6: u32 = 1 << 4;
const STORED_IPV6: u32 = 1 << 5;
const INNER_BATCH: u32 = 1 << 7;

/// A message as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its topic.
    pub topic: String,
    /// The queue it is in, of the broker that gave it out.
    pub queue_id: u32,
    /// Its place in the queue.
    pub queue_offset: u64,
    /// Its place in the broker's log.
    pub log_offset: u64,
    /// When it was sent, by the sender's clock, Unix milliseconds.
    pub born_ms: u64,
    /// When it was stored, by the broker's clock, Unix milliseconds.
    pub stored_ms: u64,
    /// The broker that stored it.
    pub stored_at: SocketAddr,
    /// How many times it has come back.
    pub retries: u32,
    /// Names and values, in order.
    pub properties: Vec<(String, String)>,
    /// What it says, inflated.
    pub body: Result<Bytes, BodyFault>,
}

/// Why the body of a message cannot be read. The message is whole, and others can be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BodyFault {
    /// LZ4 or Zstandard.
    #[error("its body is compressed in way {0}, and not with zlib")]
    Compression(u32),
    /// It is no zlib, or grows over [`BODY_BYTES_MAX`].
    #[error("its body cannot be inflated, or grows too large")]
    Inflate,
    /// It holds several messages.
    #[error("its body is a batch")]
    Batch,
}

/// The bytes are no messages, or not whole ones.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the bytes are no messages")]
pub struct Malformed;

impl Stored {
    /// One property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The sender's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.property(property::UNIQ_KEY)
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.property(property::TAGS)
    }

    /// The id that names its place: the broker's address and the offset in its log, in hexadecimal.
    #[must_use]
    pub fn offset_id(&self) -> String {
        let ip = match self.stored_at.ip() {
            IpAddr::V4(ip) => format!("{:08X}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032X}", ip.to_bits()),
        };
        format!("{ip}{:08X}{:016X}", u32::from(self.stored_at.port()), self.log_offset)
    }
}

/// All messages in `bytes`, one behind the other, as the answer to a pull has them.
///
/// # Errors
/// [`Malformed`] when one is no message: nothing behind it can be found.
pub fn decode_all(mut bytes: Bytes) -> Result<Vec<Stored>, Malformed> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.clone().try_get_u32().map_err(|_| Malformed)?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        if length == 0 || length > bytes.len() {
            return Err(Malformed);
        }
        messages.push(decode(bytes.split_to(length))?);
    }
    Ok(messages)
}

fn decode(mut bytes: Bytes) -> Result<Stored, Malformed> {
    let short = |_| Malformed;
    let _length = bytes.try_get_u32().map_err(short)?;
    let magic = bytes.try_get_u32().map_err(short)?;
    let _checksum = bytes.try_get_u32().map_err(short)?;
    let queue_id = bytes.try_get_u32().map_err(short)?;
    let _flag = bytes.try_get_u32().map_err(short)?;
    let queue_offset = bytes.try_get_u64().map_err(short)?;
    let log_offset = bytes.try_get_u64().map_err(short)?;
    let system = bytes.try_get_u32().map_err(short)?;
    let born_ms = bytes.try_get_u64().map_err(short)?;
    let _born_at = address(&mut bytes, system & BORN_IPV6 != 0)?;
    let stored_ms = bytes.try_get_u64().map_err(short)?;
    let stored_at = address(&mut bytes, system & STORED_IPV6 != 0)?;
    let retries = bytes.try_get_u32().map_err(short)?;
    let _transaction = bytes.try_get_u64().map_err(short)?;
    let body_len = bytes.try_get_u32().map_err(short)?;
    let body = take(&mut bytes, body_len)?;
    let topic_len = match magic {
        MAGIC => u32::from(bytes.try_get_u8().map_err(short)?),
        MAGIC_LONG_TOPIC => u32::from(bytes.try_get_u16().map_err(short)?),
        _ => return Err(Malformed),
    };
    let topic = text(take(&mut bytes, topic_len)?)?;
    let properties_len = bytes.try_get_u16().map_err(short)?;
    let properties = text(take(&mut bytes, properties_len.into())?)?;
    let properties = property::parse(&properties).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let body = readable(body, system);
    Ok(Stored {
        topic,
        queue_id,
        queue_offset,
        log_offset,
        born_ms,
        stored_ms,
        stored_at,
        retries,
        properties,
        body,
    })
}

fn readable(body: Bytes, system: u32) -> Result<Bytes, BodyFault> {
    if system & INNER_BATCH != 0 {
        return Err(BodyFault::Batch);
    }
    if system & COMPRESSED == 0 {
        return Ok(body);
    }
    match (system >> COMPRESSION_SHIFT) & COMPRESSION_BITS {
        ZLIB_BY_DEFAULT | ZLIB => inflate(&body, BODY_BYTES_MAX).map(Bytes::from).ok_or(BodyFault::Inflate),
        other => Err(BodyFault::Compression(other)),
    }
}

fn take(bytes: &mut Bytes, len: u32) -> Result<Bytes, Malformed> {
    let len = usize::try_from(len).map_err(|_| Malformed)?;
    if len > bytes.len() { Err(Malformed) } else { Ok(bytes.split_to(len)) }
}

fn text(bytes: Bytes) -> Result<String, Malformed> {
    String::from_utf8(bytes.into()).map_err(|_| Malformed)
}

fn address(bytes: &mut Bytes, is_ipv6: bool) -> Result<SocketAddr, Malformed> {
    let short = |_| Malformed;
    let ip = if is_ipv6 {
        IpAddr::V6(Ipv6Addr::from_bits(bytes.try_get_u128().map_err(short)?))
    } else {
        IpAddr::V4(Ipv4Addr::from_bits(bytes.try_get_u32().map_err(short)?))
    };
    let port = bytes.try_get_u32().map_err(short)?;
    Ok(SocketAddr::new(ip, u16::try_from(port).map_err(|_| Malformed)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::{BufMut, BytesMut};
    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn stored(magic: u32, system: u32, body: &[u8], properties: &str) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        bytes.put_u32(0);
        bytes.put_u32(magic);
        bytes.put_u32(0);
        bytes.put_u32(3);
        bytes.put_u32(0);
        bytes.put_u64(17);
        bytes.put_u64(0x1234);
        bytes.put_u32(system);
        bytes.put_u64(1_000);
        bytes.put_slice(&vec![1; if system & BORN_IPV6 == 0 { 4 } else { 16 }]);
        bytes.put_u32(2_000);
        bytes.put_u64(1_001);
        bytes.put_slice(&if system & STORED_IPV6 == 0 { vec![127, 0, 0, 1] } else { vec![0; 16] });
        bytes.put_u32(10_911);
        bytes.put_u32(2);
        bytes.put_u64(0);
        bytes.put_u32(u32::try_from(body.len()).unwrap());
        bytes.put_slice(body);
        if magic == MAGIC_LONG_TOPIC {
            bytes.put_u16(1)
        } else {
            bytes.put_u8(1)
        }
        bytes.put_slice(b"t");
        bytes.put_u16(u16::try_from(properties.len()).unwrap());
        bytes.put_slice(properties.as_bytes());
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        bytes[..4].copy_from_slice(&length);
        bytes.to_vec()
    }

    fn one(bytes: Vec<u8>) -> Stored {
        let mut messages = decode_all(bytes.into()).unwrap();
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    fn deflated(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_message_is_read_with_all_it_says() {
        let message =
            one(stored(MAGIC, 0, b"sensor_1,36.5", "TAGS\u{1}temperature\u{2}UNIQ_KEY\u{1}id\u{2}"));
        assert_eq!((message.topic.as_str(), message.queue_id, message.queue_offset), ("t", 3, 17));
        assert_eq!((message.born_ms, message.stored_ms, message.retries), (1_000, 1_001, 2));
        assert_eq!((message.tag(), message.id()), (Some("temperature"), Some("id")));
        assert_eq!(message.body, Ok(Bytes::from_static(b"sensor_1,36.5")));
        assert_eq!(message.offset_id(), "7F00000100002A9F0000000000001234");
    }

    #[test]
    fn long_addresses_and_topics_are_read_and_several_messages_too() {
        let both = [stored(MAGIC_LONG_TOPIC, BORN_IPV6 | STORED_IPV6, b"1", ""), stored(MAGIC, 0, b"", "")];
        let messages = decode_all(both.concat().into()).unwrap();
        assert_eq!(messages.len(), 2);
        assert!(messages[0].stored_at.is_ipv6());
        assert_eq!(messages[0].offset_id().len(), 56);
        assert_eq!(messages[1].body, Ok(Bytes::new()));
    }

    #[test]
    fn zlib_is_inflated_and_what_else_is_compressed_is_said() {
        let body = deflated(&[b'x'; 9_000]);
        for way in [ZLIB_BY_DEFAULT, ZLIB] {
            let message = one(stored(MAGIC, COMPRESSED | (way << COMPRESSION_SHIFT), &body, ""));
            assert_eq!(message.body, Ok(Bytes::from(vec![b'x'; 9_000])));
        }
        let message = one(stored(MAGIC, COMPRESSED | (2 << COMPRESSION_SHIFT), &body, ""));
        assert_eq!(message.body, Err(BodyFault::Compression(2)));
        let message = one(stored(MAGIC, COMPRESSED, b"no zlib", ""));
        assert_eq!(message.body, Err(BodyFault::Inflate));
        let message = one(stored(MAGIC, INNER_BATCH, b"batch", ""));
        assert_eq!(message.body, Err(BodyFault::Batch));
    }

    #[test]
    fn an_inflated_body_stops_at_its_limit() {
        let body = deflated(&vec![0; BODY_BYTES_MAX]);
        assert_eq!(one(stored(MAGIC, COMPRESSED, &body, "")).body.map(|body| body.len()), Ok(BODY_BYTES_MAX));
        let body = deflated(&vec![0; BODY_BYTES_MAX + 1]);
        assert_eq!(one(stored(MAGIC, COMPRESSED, &body, "")).body, Err(BodyFault::Inflate));
    }

    proptest! {
        #[test]
        fn a_cut_or_changed_message_never_breaks_it(cut in 0..120_usize, at in 0..120_usize, byte in any::<u8>()) {
            let mut bytes = stored(MAGIC, 0, b"sensor_1,36.5", "TAGS\u{1}temperature\u{2}");
            let cut_bytes = bytes[..cut.min(bytes.len() - 1)].to_vec();
            prop_assert_eq!(decode_all(cut_bytes.clone().into()).is_ok(), cut_bytes.is_empty());
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            if let Ok(messages) = decode_all(bytes.into()) {
                prop_assert!(!messages.is_empty());
            }
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(messages) = decode_all(bytes.clone().into()) {
                prop_assert_eq!(messages.is_empty(), bytes.is_empty());
            }
        }
    }
}
