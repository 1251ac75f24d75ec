//! What a frame must be before the codec sees it: the rules the codec is lenient about, and the limits.

use super::reason::{Reason, Violation};
use super::uplink::Version;

/// Frame types by the high half of the first byte (MQTT 5, table 2-1).
pub(super) mod kind {
    pub(in super::super) const CONNECT: u8 = 1;
    pub(in super::super) const PUBLISH: u8 = 3;
    pub(in super::super) const PUBACK: u8 = 4;
    pub(in super::super) const PUBREL: u8 = 6;
    pub(in super::super) const PUBCOMP: u8 = 7;
    pub(in super::super) const SUBSCRIBE: u8 = 8;
    pub(in super::super) const UNSUBSCRIBE: u8 = 10;
    pub(in super::super) const PINGREQ: u8 = 12;
    pub(in super::super) const DISCONNECT: u8 = 14;
}

/// Bytes of the longest Remaining Length.
const LENGTH_BYTES_MAX: usize = 4;

/// A fixed header that keeps the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) first: u8,
    /// Bytes of the fixed header.
    pub(super) header_bytes: usize,
    /// Bytes of the whole frame.
    pub(super) frame_bytes: usize,
}

impl Head {
    pub(super) const fn kind(self) -> u8 {
        self.first >> 4
    }
}

/// Reads the fixed header at the front of `bytes`; `None` while it is not complete.
///
/// The first byte is judged as soon as it is there and the length before anything is set aside for the frame.
pub(super) fn head(bytes: &[u8], frame_bytes_max: u32) -> Result<Option<Head>, Violation> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    first_byte(first)?;
    let Some((length, length_bytes)) = variable_length(rest)? else { return Ok(None) };
    let header_bytes = 1 + length_bytes;
    let frame_bytes = header_bytes.saturating_add(length);
    if u32::try_from(frame_bytes).is_ok_and(|frame_bytes| frame_bytes <= frame_bytes_max) {
        return Ok(Some(Head { first, header_bytes, frame_bytes }));
    }
    Err(Violation::new(Reason::TooLarge, "a frame beyond the limit"))
}

/// The flags a frame type must have (MQTT 5, table 2-2) and, of a publish, those that exclude each other
/// [MQTT-3.3.1-2] [MQTT-3.3.1-4].
fn first_byte(first: u8) -> Result<(), Violation> {
    let flags = first & 0x0F;
    let valid = match first >> 4 {
        0 => false,
        kind::PUBLISH => flags & 0b0110 != 0b0110 && (flags & 0b0110 != 0 || flags & 0b1000 == 0),
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => flags == 0b0010,
        _ => flags == 0,
    };
    valid.then_some(()).ok_or(Violation::malformed("a first byte that no frame has"))
}

/// A Variable Byte Integer and its size; `None` while it is not complete. At most four bytes, and no more than the
/// value needs [MQTT-1.5.5-1].
fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Violation> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let minimal = index == 0 || byte != 0;
            return if minimal {
                Ok(Some((value, index + 1)))
            } else {
                Err(Violation::malformed("a length longer than it need be"))
            };
        }
    }
    if bytes.len() < LENGTH_BYTES_MAX {
        Ok(None)
    } else {
        Err(Violation::malformed("a length of five bytes"))
    }
}

/// Checks what lies behind the fixed header of any frame but CONNECT.
pub(super) fn body(version: Version, head: Head, body: &[u8]) -> Result<(), Violation> {
    let mut fields = Fields(body);
    let v5 = version == Version::V5;
    match head.kind() {
        kind::PUBLISH if v5 => {
            fields.prefixed()?;
            if head.first & 0b0110 != 0 {
                fields.take(2)?;
            }
            fields.properties().map(drop)
        }
        kind::PUBACK..=kind::PUBCOMP if v5 => fields.tail_properties(3),
        kind::DISCONNECT if v5 => fields.tail_properties(1),
        kind::SUBSCRIBE => {
            fields.take(2)?;
            if v5 {
                fields.properties()?;
            }
            fields.filters(if v5 { 0b1100_0000 } else { 0b1111_1100 })
        }
        kind::UNSUBSCRIBE if v5 => {
            fields.take(2)?;
            fields.properties().map(drop)
        }
        kind::PUBACK..=kind::PUBCOMP if body.len() != 2 => {
            Err(Violation::malformed("an acknowledgement of another size"))
        }
        kind::PINGREQ | kind::DISCONNECT if !body.is_empty() => {
            Err(Violation::malformed("a body where none may be"))
        }
        _ => Ok(()),
    }
}

/// What a CONNECT says in front of its strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectHead {
    pub(super) version: Version,
    pub(super) clean_start: bool,
}

/// A CONNECT that is refused, and the version in which to say so; `None` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectFault {
    pub(super) answer: Option<Version>,
    pub(super) violation: Violation,
}

/// Where the flags of a CONNECT stand behind the fixed header, for both versions.
pub(super) const CONNECT_FLAGS_AT: usize = 7;
pub(super) const CLEAN_START: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_QOS: u8 = 0b0001_1000;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER: u8 = 0b1000_0000;

/// Checks a CONNECT behind its fixed header: the version, the flags (3.1.2.3 to 3.1.2.9), that each field is there
/// and that nothing follows.
pub(super) fn connect(body: &[u8]) -> Result<ConnectHead, ConnectFault> {
    let mut fields = Fields(body);
    let version = connect_version(&mut fields)?;
    connect_fields(version, &mut fields)
        .map(|clean_start| ConnectHead { version, clean_start })
        .map_err(|violation| ConnectFault { answer: Some(version), violation })
}

fn connect_version(fields: &mut Fields<'_>) -> Result<Version, ConnectFault> {
    let silent = |violation| ConnectFault { answer: None, violation };
    let unsupported = |answer| ConnectFault {
        answer: Some(answer),
        violation: Violation::new(Reason::UnsupportedVersion, "a protocol version that is not served"),
    };
    let name = fields.prefixed().map_err(silent)?;
    let level = fields.byte().map_err(silent)?;
    match (name, level) {
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT", 6..) => Err(unsupported(Version::V5)),
        (b"MQTT" | b"MQIsdp", _) => Err(unsupported(Version::V311)),
        _ => Err(silent(Violation::protocol("another protocol's name"))),
    }
}

fn connect_fields(version: Version, fields: &mut Fields<'_>) -> Result<bool, Violation> {
    let flags = fields.byte()?;
    let set = |bits| flags & bits != 0;
    let stray_will = !set(WILL) && set(WILL_QOS | WILL_RETAIN);
    if set(1) || stray_will || flags & WILL_QOS == WILL_QOS {
        return Err(Violation::malformed("connect flags that exclude each other"));
    }
    if version == Version::V311 && set(PASSWORD) && !set(USER) {
        return Err(Violation::malformed("a password without a user name")); // [MQTT-3.1.2-22]
    }
    fields.take(2)?;
    if version == Version::V5 {
        fields.properties()?;
    }
    let client_id = fields.prefixed()?;
    if version == Version::V311 && client_id.is_empty() && !set(CLEAN_START) {
        return Err(Violation::new(Reason::ClientIdInvalid, "no client id and no clean session")); // [MQTT-3.1.3-8]
    }
    if set(WILL) {
        if version == Version::V5 {
            fields.properties()?;
        }
        fields.prefixed()?;
        fields.prefixed()?;
    }
    for bit in [USER, PASSWORD] {
        if set(bit) {
            fields.prefixed()?;
        }
    }
    if fields.0.is_empty() {
        Ok(set(CLEAN_START))
    } else {
        Err(Violation::malformed("bytes behind the CONNECT"))
    }
}

/// The fields of a frame that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Violation> {
        let (field, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(field)
    }

    fn byte(&mut self) -> Result<u8, Violation> {
        let (&byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(byte)
    }

    /// A string or binary field with its two-byte length.
    fn prefixed(&mut self) -> Result<&'a [u8], Violation> {
        let (&len, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        self.take(usize::from(u16::from_be_bytes(len)))
    }

    /// All properties, as one block.
    fn properties(&mut self) -> Result<&'a [u8], Violation> {
        let (len, len_bytes) = variable_length(self.0)?.ok_or(SHORT)?;
        self.take(len_bytes)?;
        self.take(len)
    }

    /// Properties that may be left out together with what is in front of them, and nothing behind them.
    fn tail_properties(&mut self, at: usize) -> Result<(), Violation> {
        if self.0.len() <= at {
            return Ok(());
        }
        self.take(at)?;
        self.properties()?;
        if self.0.is_empty() { Ok(()) } else { Err(Violation::malformed("bytes behind the properties")) }
    }

    /// Filters with their options, of which `reserved` must be 0 [MQTT-3.8.3-4] [MQTT-3.8.3-5].
    fn filters(&mut self, reserved: u8) -> Result<(), Violation> {
        while !self.0.is_empty() {
            self.prefixed()?;
            if self.byte()? & reserved != 0 {
                return Err(Violation::malformed("reserved bits in a subscription's options"));
            }
        }
        Ok(())
    }
}

const SHORT: Violation = Violation::malformed("a frame that ends inside a field");

#[cfg(test)]
mod tests {
    use super::*;

    fn reason<T: std::fmt::Debug>(result: Result<T, Violation>) -> Reason {
        result.unwrap_err().reason
    }

    #[test]
    fn a_length_has_at_most_four_bytes_and_no_more_than_it_needs() {
        assert_eq!(variable_length(&[0x7F]), Ok(Some((127, 1))));
        assert_eq!(variable_length(&[0x80, 0x01]), Ok(Some((128, 2))));
        assert_eq!(variable_length(&[0xFF, 0xFF, 0xFF, 0x7F]), Ok(Some((268_435_455, 4))));
        assert_eq!(variable_length(&[0xFF, 0xFF, 0xFF]), Ok(None));
        for bytes in
            [&[0x80, 0x00][..], &[0xFF, 0x80, 0x00], &[0x80, 0x80, 0x80, 0x80], &[0xFF, 0xFF, 0xFF, 0xFF, 1]]
        {
            assert_eq!(reason(variable_length(bytes)), Reason::Malformed, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_frame_is_judged_by_its_header() {
        assert_eq!(head(&[], 100), Ok(None));
        assert_eq!(head(&[0x30], 100), Ok(None));
        assert_eq!(
            head(&[0x30, 0x62], 100),
            Ok(Some(Head { first: 0x30, header_bytes: 2, frame_bytes: 100 }))
        );
        assert_eq!(reason(head(&[0x30, 0x63], 100)), Reason::TooLarge);
        assert_eq!(reason(head(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 256 * 1024)), Reason::TooLarge);
    }

    #[test]
    fn first_bytes_that_no_frame_has_are_refused() {
        let valid: Vec<u8> = (0..=255).filter(|&first| first_byte(first).is_ok()).collect();
        let expected = [
            0x10, 0x20, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D, 0x40, 0x50, 0x62, 0x70,
            0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0,
        ];
        assert_eq!(valid, expected);
    }
}
