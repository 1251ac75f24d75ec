//! Messages of RFC 7252 as bytes. Nothing else in the simulator names `coap_lite`.

use coap_lite::{CoapOption, ContentFormat, MessageClass, MessageType, Packet, RequestType};

/// `application/json`, RFC 7252 section 12.3.
const JSON: ContentFormat = ContentFormat::ApplicationJSON;

/// Bytes of a path segment or of a query argument, RFC 7252 section 5.10.
pub(crate) const OPTION_BYTES_MAX: usize = 255;

/// RFC 7252 section 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Class in the upper three bits; 0 is the empty message.
    pub(super) code: u8,
    pub(super) id: u16,
    /// `None`: not one that we make.
    pub(super) token: Option<u32>,
    /// Max-Age in seconds: with 5.03, when to come again.
    pub(super) wait_s: Option<u32>,
}

/// Where readings are posted to: path and query, RFC 7252 section 6.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    path: Vec<Vec<u8>>,
    query: Vec<Vec<u8>>,
}

impl Resource {
    /// `topic` is the path; a login becomes `?device=NAME&token=SECRET`.
    pub(super) fn new(topic: &str, login: Option<(&str, &str)>) -> Self {
        let path = segments(topic).map(|segment| segment.as_bytes().to_vec()).collect();
        let query = login.map_or_else(Vec::new, |(device, token)| {
            vec![format!("device={device}").into_bytes(), format!("token={token}").into_bytes()]
        });
        Self { path, query }
    }

    /// Does every part fit into an option?
    pub(super) fn fits(&self) -> bool {
        self.path.iter().chain(&self.query).all(|part| part.len() <= OPTION_BYTES_MAX)
    }
}

fn segments(topic: &str) -> impl Iterator<Item = &str> {
    topic.strip_prefix('/').unwrap_or(topic).split('/')
}

/// A POST of `payload`, JSON. `None` where the codec refuses, which it does for a message over its limit.
pub(super) fn post(kind: Kind, id: u16, token: u32, resource: &Resource, payload: &[u8]) -> Option<Vec<u8>> {
    let mut packet = Packet::new();
    packet.header.set_type(message_type(kind));
    packet.header.code = MessageClass::Request(RequestType::Post);
    packet.header.message_id = id;
    packet.set_token(token.to_be_bytes().to_vec());
    for segment in &resource.path {
        packet.add_option(CoapOption::UriPath, segment.clone());
    }
    packet.set_content_format(JSON);
    for argument in &resource.query {
        packet.add_option(CoapOption::UriQuery, argument.clone());
    }
    packet.payload = payload.to_vec();
    packet.to_bytes_unlimited().ok()
}

/// An empty message: the acknowledgement or the reset of `id`.
pub(super) fn empty(kind: Kind, id: u16) -> Option<Vec<u8>> {
    let mut packet = Packet::new();
    packet.header.set_type(message_type(kind));
    packet.header.code = MessageClass::Empty;
    packet.header.message_id = id;
    packet.to_bytes().ok()
}

/// `None`: no message of RFC 7252, to be ignored (section 4.2 and 4.3).
pub(super) fn parse(datagram: &[u8]) -> Option<Message> {
    // The codec takes other versions, and an empty message with a token or a payload (RFC 7252 section 3 and 4.1).
    let first = *datagram.first()?;
    if first >> 6 != 1 {
        return None;
    }
    let packet = Packet::from_bytes(datagram).ok()?;
    let code = u8::from(packet.header.code);
    if code == 0 && datagram.len() != 4 {
        return None;
    }
    Some(Message {
        kind: kind(packet.header.get_type()),
        code,
        id: packet.header.message_id,
        token: packet.get_token().try_into().ok().map(u32::from_be_bytes),
        wait_s: packet.get_first_option(CoapOption::MaxAge).and_then(|bytes| number(bytes)),
    })
}

/// An unsigned integer without leading zeros, RFC 7252 section 3.2; at most four bytes.
fn number(bytes: &[u8]) -> Option<u32> {
    (bytes.len() <= 4).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

const fn message_type(kind: Kind) -> MessageType {
    match kind {
        Kind::Confirmable => MessageType::Confirmable,
        Kind::NonConfirmable => MessageType::NonConfirmable,
        Kind::Acknowledgement => MessageType::Acknowledgement,
        Kind::Reset => MessageType::Reset,
    }
}

const fn kind(message_type: MessageType) -> Kind {
    match message_type {
        MessageType::Confirmable => Kind::Confirmable,
        MessageType::NonConfirmable => Kind::NonConfirmable,
        MessageType::Acknowledgement => Kind::Acknowledgement,
        MessageType::Reset => Kind::Reset,
    }
}

/// Code as RFC 7252 writes it, with its name: `5.03 Service Unavailable`.
pub(super) fn code_name(code: u8) -> String {
    let number = format!("{}.{:02}", code >> 5, code & 31);
    let name = match code {
        0x80 => "Bad Request",
        0x81 => "Unauthorized",
        0x82 => "Bad Option",
        0x83 => "Forbidden",
        0x84 => "Not Found",
        0x85 => "Method Not Allowed",
        0x86 => "Not Acceptable",
        0x88 => "Request Entity Incomplete",
        0x8C => "Precondition Failed",
        0x8D => "Request Entity Too Large",
        0x8F => "Unsupported Content-Format",
        0x96 => "Unprocessable Entity",
        0x9D => "Too Many Requests",
        0xA0 => "Internal Server Error",
        0xA1 => "Not Implemented",
        0xA2 => "Bad Gateway",
        0xA3 => "Service Unavailable",
        0xA4 => "Gateway Timeout",
        0xA5 => "Proxying Not Supported",
        _ => return number,
    };
    format!("{number} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_what_the_standard_says() {
        let resource = Resource::new("/telemetry", Some(("a", "s")));
        let bytes = post(Kind::Confirmable, 0x1234, 0x0102_0304, &resource, b"{}").unwrap();
        // Version 1, CON, token of four; 0.02; id; token.
        let mut expected = vec![0x44, 0x02, 0x12, 0x34, 1, 2, 3, 4];
        // Uri-Path 11; Content-Format 12 = 50; Uri-Query 15, twice; payload.
        expected.extend(b"\xB9telemetry\x11\x32\x38device=a\x07token=s\xFF{}");
        assert_eq!(bytes, expected);
        let non = post(Kind::NonConfirmable, 1, 1, &Resource::new("a/b", None), b"").unwrap();
        assert_eq!(non, b"\x54\x02\0\x01\0\0\0\x01\xB1a\x01b\x11\x32");
    }

    #[test]
    fn an_empty_message_is_four_bytes() {
        assert_eq!(empty(Kind::Acknowledgement, 0xABCD).unwrap(), [0x60, 0, 0xAB, 0xCD]);
        assert_eq!(empty(Kind::Reset, 1).unwrap(), [0x70, 0, 0, 1]);
    }

    #[test]
    fn answers_are_read() {
        let message = parse(b"\x64\xA3\x12\x34\x01\x02\x03\x04\xD1\x01\x05\xFFfull").unwrap();
        assert_eq!((message.kind, message.code, message.id), (Kind::Acknowledgement, 0xA3, 0x1234));
        assert_eq!((message.token, message.wait_s), (Some(0x0102_0304), Some(5)));
        let other_token = parse(b"\x41\x44\0\x01\x09").unwrap();
        assert_eq!(
            (other_token.kind, other_token.token, other_token.wait_s),
            (Kind::Confirmable, None, None)
        );
    }

    #[test]
    fn what_is_no_message_is_ignored() {
        for bytes in [
            &b""[..],
            b"\x60\0\0",
            b"\xA0\0\0\x01",
            b"\x61\0\0\x01\x01",
            b"\x60\0\0\x01\xFFx",
            b"\x69\x44\0\x01",
        ] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn option_bytes_max_is_reached() {
        let topic = "x".repeat(OPTION_BYTES_MAX);
        assert!(Resource::new(&topic, None).fits());
        assert!(!Resource::new(&(topic + "x"), None).fits());
        assert!(!Resource::new("x", Some((&"d".repeat(OPTION_BYTES_MAX), "s"))).fits());
    }

    #[test]
    fn codes_have_their_names() {
        assert_eq!(code_name(0xA3), "5.03 Service Unavailable");
        assert_eq!(code_name(0x9F), "4.31");
    }
}
