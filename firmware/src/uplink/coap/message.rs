//! The few messages that a sensor needs (RFC 7252, section 3).

/// Bytes of a token.
pub(super) const TOKEN_BYTES: usize = 4;

const VERSION: u8 = 1 << 6;
const POST: u8 = 2;
const EMPTY: u8 = 0;
const JSON: u8 = 50;
const URI_PATH: u16 = 11;
const CONTENT_FORMAT: u16 = 12;
const AGE: u16 = 14;
const URI_QUERY: u16 = 15;
const PAYLOAD_MARKER: u8 = 0xff;
/// What a Max-Age stands for where there is none (RFC 7252, section 5.10.5).
const AGE_SECONDS: u32 = 60;

/// Names a message and the request that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) id: u16,
    pub(super) token: [u8; TOKEN_BYTES],
}

/// A message's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

/// What a message of the gateway says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) kind: Kind,
    /// `0xCDD` is code C.DD, in one byte.
    pub(super) code: u8,
    pub(super) id: u16,
    pub(super) token: &'a [u8],
    /// What its Max-Age says.
    pub(super) wait_seconds: u32,
}

/// The code `class.detail`.
pub(super) const fn code(class: u8, detail: u8) -> u8 {
    class << 5 | detail
}

impl Answer<'_> {
    /// Whether it only says that a message has come in, or that it will not be looked at.
    pub(super) const fn is_empty(&self) -> bool {
        self.code == EMPTY
    }
}

/// Writes a confirmable POST of JSON; its bytes, or none where `out` is too small.
pub(super) fn post<'o>(
    name: Name,
    path: &str,
    queries: [(&str, &str); 2],
    payload: &[u8],
    out: &'o mut [u8],
) -> Option<&'o [u8]> {
    let mut writer = Writer { out, len: 0, before: 0 };
    writer.head(Kind::Confirmable, POST, name.id, &name.token)?;
    writer.option(URI_PATH, [path.as_bytes(), b"", b""])?;
    writer.option(CONTENT_FORMAT, [&[JSON], b"", b""])?;
    for (key, value) in queries {
        writer.option(URI_QUERY, [key.as_bytes(), b"=", value.as_bytes()])?;
    }
    writer.put(&[PAYLOAD_MARKER])?;
    writer.put(payload)?;
    let Writer { out, len, .. } = writer;
    out.get(..len)
}

/// An empty acknowledgement.
pub(super) fn acknowledgement(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [VERSION | 2 << 4, EMPTY, high, low]
}

/// Reads a message; none where it is none.
pub(super) fn parse(bytes: &[u8]) -> Option<Answer<'_>> {
    let (&[first, code, high, low], rest) = bytes.split_first_chunk::<4>()?;
    let kind = match first >> 4 & 3 {
        0 => Kind::Confirmable,
        1 => Kind::NonConfirmable,
        2 => Kind::Acknowledgement,
        _ => Kind::Reset,
    };
    let (token, options) = rest.split_at_checked(usize::from(first & 15))?;
    let is_message = first & 0xc0 == VERSION && token.len() <= 8;
    let wait_seconds = age(options)?;
    is_message.then_some(Answer { kind, code, id: u16::from_be_bytes([high, low]), token, wait_seconds })
}

/// The first Max-Age among the options, in seconds.
fn age(mut bytes: &[u8]) -> Option<u32> {
    let mut number: u16 = 0;
    let mut found = None;
    while let Some((&head, rest)) = bytes.split_first() {
        if head == PAYLOAD_MARKER {
            break;
        }
        let (delta, rest) = extended(head >> 4, rest)?;
        let (len, rest) = extended(head & 15, rest)?;
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        number = number.checked_add(delta)?;
        if number == AGE && found.is_none() && value.len() <= 4 {
            found = Some(value.iter().fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte)));
        }
        bytes = rest;
    }
    Some(found.unwrap_or(AGE_SECONDS))
}

/// What four bits of an option's head stand for (RFC 7252, section 3.1).
fn extended(nibble: u8, bytes: &[u8]) -> Option<(u16, &[u8])> {
    match nibble {
        13 => bytes.split_first().map(|(byte, rest)| (13 + u16::from(*byte), rest)),
        14 => {
            let (pair, rest) = bytes.split_first_chunk::<2>()?;
            Some((u16::from_be_bytes(*pair).checked_add(269)?, rest))
        }
        15 => None,
        _ => Some((nibble.into(), bytes)),
    }
}

struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
    /// Number of the option before.
    before: u16,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn head(&mut self, kind: Kind, code: u8, id: u16, token: &[u8; TOKEN_BYTES]) -> Option<()> {
        let kind: u8 = match kind {
            Kind::Confirmable => 0,
            Kind::NonConfirmable => 1,
            Kind::Acknowledgement => 2,
            Kind::Reset => 3,
        };
        let token_len = u8::try_from(TOKEN_BYTES).ok()?;
        self.put(&[VERSION | kind << 4 | token_len, code])?;
        self.put(&id.to_be_bytes())?;
        self.put(token)
    }

    /// An option whose value is `parts` one after the other, 268 bytes at most.
    fn option(&mut self, number: u16, parts: [&[u8]; 3]) -> Option<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let delta = u8::try_from(number.checked_sub(self.before)?).ok().filter(|delta| *delta < 13)?;
        self.before = number;
        match u8::try_from(len) {
            Ok(len) if len < 13 => self.put(&[delta << 4 | len])?,
            _ => self.put(&[delta << 4 | 13, u8::try_from(len.checked_sub(13)?).ok()?])?,
        }
        parts.into_iter().try_for_each(|part| self.put(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name { id: 0x1234, token: [1, 2, 3, 4] };

    #[test]
    fn a_post_is_written_as_the_standard_has_it() {
        let mut out = [0; 128];
        let sent = post(NAME, "telemetry", [("device", "d"), ("token", "sixteen-letters!")], b"{}", &mut out);
        let mut expected = std::vec![0x44, 0x02, 0x12, 0x34, 1, 2, 3, 4];
        expected.extend(b"\xb9telemetry\x11\x32");
        expected.extend(b"\x38device=d");
        expected.extend(b"\x0d\x09token=sixteen-letters!");
        expected.extend(b"\xff{}");
        assert_eq!(sent, Some(expected.as_slice()));
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        for len in 0..30 {
            let mut out = std::vec![0; len];
            assert_eq!(post(NAME, "telemetry", [("device", "d"), ("token", "t")], b"{}", &mut out), None);
        }
        let secret = core::str::from_utf8(&[b's'; 300]).expect("plain");
        assert_eq!(post(NAME, "event", [("device", "d"), ("token", secret)], b"{}", &mut [0; 1_000]), None);
    }

    #[test]
    fn an_answer_says_how_long_to_wait() {
        // 5.03, Max-Age 30 behind a Content-Format, with a payload.
        let bytes = b"\x64\xa3\x12\x34\x01\x02\x03\x04\xc0\x21\x1e\xffno room";
        let answer = parse(bytes).expect("a message");
        assert_eq!((answer.kind, answer.code, answer.id), (Kind::Acknowledgement, code(5, 3), 0x1234));
        assert_eq!((answer.token, answer.wait_seconds), (&[1, 2, 3, 4][..], 30));
        let without = parse(b"\x60\x44\x12\x34").expect("a message");
        assert_eq!((without.code, without.wait_seconds), (code(2, 4), AGE_SECONDS));
        assert!(parse(&acknowledgement(7)).is_some_and(|answer| answer.is_empty() && answer.id == 7));
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        for bytes in [
            &b""[..],
            b"\x60\x44\x12",
            // Another version; a token of nine bytes, of which there are none.
            b"\xa0\x44\x12\x34",
            b"\x69\x44\x12\x34123456789",
            b"\x64\x44\x12\x34\x01",
            // An option that is longer than the message; a length that is reserved.
            b"\x60\x44\x12\x34\xe1\xff",
            b"\x60\x44\x12\x34\x1f",
            b"\x60\x44\x12\x34\x1d",
            b"\x60\x44\x12\x34\x12a",
        ] {
            assert_eq!(parse(bytes), None, "{bytes:x?}");
        }
    }
}
