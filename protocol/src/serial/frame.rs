use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use super::key::{Direction, LinkKey, TAG_BYTES};

/// Version of the frame's layout and of what the bodies mean.
pub const VERSION: u8 = 1;
/// Bytes of the longest frame: COBS takes as many with one byte more, whatever they are.
pub const FRAME_BYTES_MAX: usize = 253;
/// Bytes of the longest body.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES - TAG_BYTES - CRC_BYTES;
/// Bytes of the longest frame on the line: the COBS byte, and a zero in front and behind.
pub const WIRE_BYTES_MAX: usize = FRAME_BYTES_MAX + 3;

const HEADER_BYTES: usize = 10;
const CRC_BYTES: usize = 4;

/// Without a table: a kilobyte of flash saved, and a frame's checksum takes a tenth of its time on the line.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What stands in front of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the body is, see [`super::Kind`].
    pub kind: u8,
    /// Which of the devices behind one port.
    pub address: u16,
    /// Number of the frame in its link and direction; a frame that is not newer than the last one is an echo.
    pub sequence: u32,
}

/// A frame whose length and checksum are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What stands in front.
    pub header: Header,
    /// The body's bytes.
    pub body: &'a [u8],
    /// All zero where there is no key yet.
    pub tag: [u8; TAG_BYTES],
    signed: &'a [u8],
}

/// How a frame is sealed: with the key of a link, or not at all.
pub type Seal<'k> = Option<(&'k LinkKey, Direction)>;

/// Bytes between two zeros that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// More than [`FRAME_BYTES_MAX`] of them.
    TooLong,
    /// Not COBS, too short, or a length that does not fit.
    Malformed,
    /// The checksum is wrong: noise.
    Checksum,
    /// A whole frame of another version.
    Version(u8),
}

/// The body does not fit into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Writes a frame as it goes over the line, with a zero in front and behind, and returns its bytes.
///
/// # Errors
/// [`TooLong`] when `body` has more than [`BODY_BYTES_MAX`].
pub fn encode<'o>(
    header: Header,
    body: &[u8],
    seal: Seal<'_>,
    out: &'o mut [u8; WIRE_BYTES_MAX],
) -> Result<&'o [u8], TooLong> {
    let body_len = u8::try_from(body.len()).map_err(|_| TooLong)?;
    let mut raw = heapless::Vec::<u8, FRAME_BYTES_MAX, u16>::new();
    let mut put = |bytes: &[u8]| raw.extend_from_slice(bytes).map_err(|_| TooLong);
    put(&[VERSION, header.kind])?;
    put(&header.address.to_le_bytes())?;
    put(&header.sequence.to_le_bytes())?;
    put(&u16::from(body_len).to_le_bytes())?;
    put(body)?;
    let tag = seal.map_or([0; TAG_BYTES], |(key, direction)| key.tag(direction, &raw));
    raw.extend_from_slice(&tag).map_err(|_| TooLong)?;
    let crc = CRC.checksum(&raw);
    raw.extend_from_slice(&crc.to_le_bytes()).map_err(|_| TooLong)?;
    let len = cobs::try_encode_including_sentinels(&raw, out).map_err(|_| TooLong)?;
    out.get(..len).ok_or(TooLong)
}

impl<'a> Frame<'a> {
    /// Reads what stood between two zeros, the COBS byte taken out.
    pub(super) fn parse(raw: &'a [u8]) -> Result<Self, FrameError> {
        let (checked, crc) = raw.split_last_chunk::<CRC_BYTES>().ok_or(FrameError::Malformed)?;
        if CRC.checksum(checked) != u32::from_le_bytes(*crc) {
            return Err(FrameError::Checksum);
        }
        let (signed, tag) = checked.split_last_chunk::<TAG_BYTES>().ok_or(FrameError::Malformed)?;
        let (head, body) = signed.split_first_chunk::<HEADER_BYTES>().ok_or(FrameError::Malformed)?;
        let [version, kind, a0, a1, s0, s1, s2, s3, l0, l1] = *head;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if usize::from(u16::from_le_bytes([l0, l1])) != body.len() {
            return Err(FrameError::Malformed);
        }
        let header = Header {
            kind,
            address: u16::from_le_bytes([a0, a1]),
            sequence: u32::from_le_bytes([s0, s1, s2, s3]),
        };
        Ok(Self { header, body, tag: *tag, signed })
    }

    /// Whether whoever knows `key` has sent this frame.
    #[must_use]
    pub fn is_from(&self, key: &LinkKey, direction: Direction) -> bool {
        key.vouches(direction, self.signed, &self.tag)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("longer than a frame"),
            Self::Malformed => f.write_str("not a frame"),
            Self::Checksum => f.write_str("wrong checksum"),
            Self::Version(version) => write!(f, "a frame of version {version}"),
        }
    }
}

impl core::error::Error for FrameError {}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body does not fit into a frame")
    }
}

impl core::error::Error for TooLong {}
