//! A frame: length of all that follows (u32, big endian), one byte for how the header is written (0: JSON), length of
//! the header (u24), the header, the body (`RemotingCommand` of the server).

use std::{borrow::Cow, collections::BTreeMap};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of the largest frame, in either direction: what the server's own decoder takes.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the largest header: twenty times what the properties of a message may take, since each byte of them may be
/// escaped to six.
pub const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// A body of so many bytes is no longer copied out of what was read.
const OWN_BODY_BYTES: usize = 16 * 1024;

/// What the server is told of this client's version: `V4_9_8`. Since `V4_9_4` it answers in standard JSON.
const VERSION: i32 = 409;
const LANGUAGE: &str = "OTHER";
const FLAG_RESPONSE: i32 = 1;
const FLAG_ONE_WAY: i32 = 2;

/// A request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// What is asked, or how it went: see [`super::code`].
    pub code: i32,
    /// What an answer is known by: it has its request's number.
    pub opaque: i32,
    /// Bit 0: an answer. Bit 1: nobody waits for an answer.
    pub flag: i32,
    /// What the server says beside the code.
    pub remark: Option<String>,
    /// Names and values, the parameters.
    pub fields: BTreeMap<Cow<'static, str>, String>,
    /// Everything else.
    pub body: Bytes,
}

/// Why bytes are no frame, or a command does not fit into one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`] or, its header, than [`HEADER_BYTES_MAX`].
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// The lengths contradict each other.
    #[error("the lengths of a frame contradict each other")]
    Length,
    /// The header is written in another way than JSON.
    #[error("the header of a frame is written in way {0}, and not in JSON")]
    Serialisation(u8),
    /// The header is no JSON, or says nothing that a command could be.
    #[error("the header of a frame cannot be read: {0}")]
    Header(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeaderOut<'a> {
    code: i32,
    ext_fields: &'a BTreeMap<Cow<'static, str>, String>,
    flag: i32,
    language: &'static str,
    opaque: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    #[serde(rename = "serializeTypeCurrentRPC")]
    serialise_type: &'static str,
    version: i32,
}

#[derive(Deserialize)]
struct HeaderIn {
    code: i32,
    #[serde(default)]
    flag: i32,
    opaque: i32,
    #[serde(default)]
    remark: Option<String>,
    #[serde(default, rename = "extFields")]
    fields: Option<BTreeMap<String, serde_json::Value>>,
}

impl Command {
    /// A request, whose number the connection gives it.
    #[must_use]
    pub fn request(code: i32) -> Self {
        Self { code, ..Self::default() }
    }

    /// The answer `code` to `self`.
    #[must_use]
    pub fn answer(&self, code: i32) -> Self {
        Self { code, opaque: self.opaque, flag: FLAG_RESPONSE, ..Self::default() }
    }

    /// With one more parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.insert(Cow::Borrowed(name), value.to_string());
        self
    }

    /// With a body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// As a request that nobody answers.
    #[must_use]
    pub fn one_way(self) -> Self {
        Self { flag: self.flag | FLAG_ONE_WAY, ..self }
    }

    /// A parameter.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// A parameter that is a number.
    #[must_use]
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.field(name)?.parse().ok()
    }

    /// Whether it answers a request.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether nobody waits for an answer.
    #[must_use]
    pub fn is_one_way(&self) -> bool {
        self.flag & FLAG_ONE_WAY != 0
    }

    /// Appends the frame to `out`; on an error `out` is as before.
    ///
    /// # Errors
    /// [`FrameError::TooLong`].
    pub fn encode_into(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        let header = HeaderOut {
            code: self.code,
            ext_fields: &self.fields,
            flag: self.flag,
            language: LANGUAGE,
            opaque: self.opaque,
            remark: self.remark.as_deref(),
            serialise_type: "JSON",
            version: VERSION,
        };
        let header = serde_json::to_vec(&header).map_err(|error| FrameError::Header(error.to_string()))?;
        if header.len() > HEADER_BYTES_MAX {
            return Err(FrameError::TooLong(header.len()));
        }
        let length = 4 + header.len() + self.body.len();
        let too_long = |_| FrameError::TooLong(length);
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        out.reserve(4 + length);
        out.put_u32(u32::try_from(length).map_err(too_long)?);
        // The upper byte says how the header is written: 0 is JSON, and the length fits into the others.
        out.put_u32(u32::try_from(header.len()).map_err(too_long)?);
        out.put_slice(&header);
        out.put_slice(&self.body);
        Ok(())
    }

    /// Takes the first frame off `bytes`; none while it is not whole. No more memory is asked for than there are
    /// bytes.
    ///
    /// # Errors
    /// [`FrameError`]: nothing behind it on this connection can be understood.
    pub fn decode_from(bytes: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        if length < 4 {
            return Err(FrameError::Length);
        }
        if bytes.len() < 4 + length {
            return Ok(None);
        }
        bytes.advance(4);
        let mut frame = bytes.split_to(length);
        let mark = frame.get_u32();
        let [serialisation, ..] = mark.to_be_bytes();
        if serialisation != 0 {
            return Err(FrameError::Serialisation(serialisation));
        }
        let header_len = usize::try_from(mark).unwrap_or(usize::MAX);
        if header_len > HEADER_BYTES_MAX {
            return Err(FrameError::TooLong(header_len));
        }
        if header_len > frame.len() {
            return Err(FrameError::Length);
        }
        let header = frame.split_to(header_len);
        // Whoever keeps a small body must not keep all the room that the connection reads into.
        let body = if frame.len() < OWN_BODY_BYTES { Bytes::copy_from_slice(&frame) } else { frame.freeze() };
        Self::from_parts(&header, body).map(Some)
    }

    fn from_parts(header: &[u8], body: Bytes) -> Result<Self, FrameError> {
        let header: HeaderIn =
            serde_json::from_slice(header).map_err(|error| FrameError::Header(error.to_string()))?;
        let HeaderIn { code, flag, opaque, remark, fields } = header;
        let text = |value| match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let fields = fields.unwrap_or_default().into_iter();
        let fields = fields.filter_map(|(name, value)| Some((Cow::Owned(name), text(value)?))).collect();
        Ok(Self { code, opaque, flag, remark, fields, body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(command: &Command) -> BytesMut {
        let mut bytes = BytesMut::new();
        command.encode_into(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_frame_has_the_lengths_the_server_expects() {
        let bytes = encoded(&Command::request(105).with("topic", "t").with_body("body"));
        let total = u32::from_be_bytes(*bytes.first_chunk().unwrap());
        let header = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
        assert_eq!(bytes.len(), 4 + total as usize);
        assert_eq!(total, 4 + header + 4);
        let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header as usize]).unwrap();
        assert_eq!((json["code"].as_i64(), json["extFields"]["topic"].as_str()), (Some(105), Some("t")));
        assert_eq!(
            (json["language"].as_str(), json["serializeTypeCurrentRPC"].as_str()),
            (Some("OTHER"), Some("JSON"))
        );
        assert_eq!(&bytes[bytes.len() - 4..], b"body");
    }

    #[test]
    fn an_answer_of_the_server_is_read() {
        let header = br#"{"code":0,"extFields":{"queueId":"3","n":5,"none":null},"flag":1,"language":"JAVA","opaque":7,"remark":null,"serializeTypeCurrentRPC":"JSON","version":485}"#;
        let mut bytes = BytesMut::new();
        bytes.put_u32(u32::try_from(header.len()).unwrap() + 4 + 2);
        bytes.put_u32(u32::try_from(header.len()).unwrap());
        bytes.put_slice(header);
        bytes.put_slice(b"ok");
        let answer = Command::decode_from(&mut bytes).unwrap().unwrap();
        assert!(answer.is_answer() && !answer.is_one_way());
        assert_eq!(
            (answer.opaque, answer.number::<u32>("queueId"), answer.field("n")),
            (7, Some(3), Some("5"))
        );
        assert_eq!((answer.field("none"), &answer.body[..]), (None, &b"ok"[..]));
    }

    #[test]
    fn a_small_body_that_is_kept_does_not_keep_what_it_was_read_into() {
        for (body_len, is_copied) in [(0, true), (OWN_BODY_BYTES - 1, true), (OWN_BODY_BYTES, false)] {
            let mut bytes = encoded(&Command::request(1).with_body(vec![7; body_len]));
            let room = bytes.capacity();
            let (begin, end) = (bytes.as_ptr() as usize, bytes.as_ptr() as usize + room);
            let kept = Command::decode_from(&mut bytes).unwrap().unwrap();
            assert_eq!(kept.body.len(), body_len);
            bytes.reserve(room);
            assert_eq!((begin..end).contains(&(bytes.as_ptr() as usize)), is_copied, "{body_len}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_in_both_directions() {
        let command = Command::request(1).with_body(vec![0; FRAME_BYTES_MAX]);
        let mut bytes = BytesMut::from("before");
        assert!(matches!(command.encode_into(&mut bytes), Err(FrameError::TooLong(_))));
        assert_eq!(bytes, "before");
        let command = Command::request(1).with("i", "\u{1}".repeat(HEADER_BYTES_MAX / 6));
        assert!(matches!(command.encode_into(&mut bytes), Err(FrameError::TooLong(_))));
        let over = u32::try_from(FRAME_BYTES_MAX).unwrap() + 1;
        assert_eq!(
            Command::decode_from(&mut BytesMut::from(&over.to_be_bytes()[..])),
            Err(FrameError::TooLong(FRAME_BYTES_MAX + 1))
        );
        let header = u32::try_from(HEADER_BYTES_MAX).unwrap() + 1;
        let bytes =
            [&(header + 4).to_be_bytes()[..], &header.to_be_bytes(), &vec![b' '; header as usize]].concat();
        assert_eq!(
            Command::decode_from(&mut BytesMut::from(&bytes[..])),
            Err(FrameError::TooLong(HEADER_BYTES_MAX + 1))
        );
    }

    #[test]
    fn lengths_that_contradict_each_other_end_the_connection() {
        let decode = |bytes: &[u8]| Command::decode_from(&mut BytesMut::from(bytes));
        assert_eq!(decode(&[0, 0, 0, 3, 0, 0, 0]), Err(FrameError::Length));
        assert_eq!(decode(&[0, 0, 0, 5, 0, 0, 0, 2, b'{']), Err(FrameError::Length));
        assert_eq!(decode(&[0, 0, 0, 5, 1, 0, 0, 1, b'{']), Err(FrameError::Serialisation(1)));
        assert!(matches!(decode(&[0, 0, 0, 6, 0, 0, 0, 2, b'{', b'}']), Err(FrameError::Header(_))));
        assert_eq!(decode(&[0, 0, 0]), Ok(None));
        assert_eq!(decode(&[0, 0, 0, 6, 0, 0, 0, 2, b'{']), Ok(None));
    }

    proptest! {
        #[test]
        fn commands_read_back_as_written_however_they_arrive(
            code in any::<i32>(), opaque in any::<i32>(), flag in 0..4_i32, remark in any::<Option<String>>(),
            fields in prop::collection::btree_map("[a-zA-Z_]{1,12}", any::<String>(), 0..6),
            body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..100_usize,
        ) {
            let fields = fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect();
            let command = Command { code, opaque, flag, remark, fields, body: body.into() };
            let whole = encoded(&command);
            let mut part = BytesMut::from(&whole[..cut.min(whole.len() - 1)]);
            prop_assert_eq!(Command::decode_from(&mut part), Ok(None));
            part.extend_from_slice(&whole[part.len()..]);
            part.extend_from_slice(b"next");
            prop_assert_eq!(Command::decode_from(&mut part), Ok(Some(command)));
            prop_assert_eq!(&part[..], b"next");
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut rest = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = Command::decode_from(&mut rest) {}
        }
    }
}
