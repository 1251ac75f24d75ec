//! What a slot of flash holds. Little endian: kind (u8), 3 bytes of zero, three numbers (u32 each), a time (u64), eight
//! values (u32 each), CRC-32 (u32) of everything in front of it.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use crate::store::{Place, Stored, Taken};

/// Bytes of a slot: a fourth of a page, so that none lies across two.
pub(super) const SLOT_BYTES: usize = 64;
/// Channels that a slot has room for.
pub(super) const SLOT_CHANNELS_MAX: usize = 8;

const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
const CRC_AT: usize = SLOT_BYTES - 4;
/// Stands for a sensor that did not answer.
const ABSENT: i32 = i32::MIN;

const KIND_HEADER: u8 = 0x48;
const KIND_BOOT: u8 = 0x42;
const KIND_WALL: u8 = 0x57;
const KIND_UPTIME: u8 = 0x55;
const KIND_ACKNOWLEDGED: u8 = 0x41;

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot<const C: usize> {
    /// The first of a sector: which one in the life of the log, the boot in which it was begun, and the last place that
    /// was acknowledged by then.
    Header { serial: u32, boot: u32, acknowledged: Place },
    /// The board has started.
    Boot(u32),
    /// A reading.
    Reading(Stored<C>),
    /// All up to here was acknowledged.
    Acknowledged(Place),
    /// Nothing was written here since the sector was erased.
    Blank,
    /// Power went while it was written, or it has worn out.
    Torn,
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

impl<const C: usize> Slot<C> {
    pub(super) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut out = Writer { bytes: [0; SLOT_BYTES], at: 0 };
        match self {
            Self::Header { serial, boot, acknowledged } => {
                out.put(&[KIND_HEADER, 0, 0, 0]);
                out.put(&serial.to_le_bytes());
                out.put(&boot.to_le_bytes());
                out.put(&acknowledged.0.to_le_bytes());
                out.put(&u64::from(acknowledged.1).to_le_bytes());
            }
            Self::Boot(boot) => {
                out.put(&[KIND_BOOT, 0, 0, 0]);
                out.put(&boot.to_le_bytes());
            }
            Self::Reading(reading) => {
                let (kind, time_ms) = match reading.taken {
                    Taken::Wall(ms) => (KIND_WALL, ms),
                    Taken::Uptime(ms) => (KIND_UPTIME, ms),
                };
                out.put(&[kind, 0, 0, 0]);
                out.put(&reading.boot.to_le_bytes());
                out.put(&reading.sequence.to_le_bytes());
                out.put(&[0; 4]);
                out.put(&time_ms.to_le_bytes());
                for value in reading.values {
                    out.put(&value.unwrap_or(ABSENT).to_le_bytes());
                }
            }
            Self::Acknowledged((boot, sequence)) => {
                out.put(&[KIND_ACKNOWLEDGED, 0, 0, 0]);
                out.put(&boot.to_le_bytes());
                out.put(&sequence.to_le_bytes());
            }
            Self::Blank | Self::Torn => return [0xff; SLOT_BYTES],
        }
        let crc = crc32(out.bytes.get(..CRC_AT).unwrap_or_default());
        out.at = CRC_AT;
        out.put(&crc.to_le_bytes());
        out.bytes
    }

    pub(super) fn decode(bytes: &[u8; SLOT_BYTES]) -> Self {
        if bytes.iter().all(|byte| *byte == 0xff) {
            return Self::Blank;
        }
        Self::parse(bytes).unwrap_or(Self::Torn)
    }

    fn parse(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let (checked, crc) = bytes.split_last_chunk::<4>()?;
        if crc32(checked) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut take = Reader(checked);
        let kind = take.u32()?;
        let (first, second, third) = (take.u32()?, take.u32()?, take.u32()?);
        let time = take.u64()?;
        let mut reading = |taken| {
            let mut values = [None; C];
            for value in &mut values {
                *value = take.i32().filter(|value| *value != ABSENT);
            }
            Self::Reading(Stored { boot: first, sequence: second, taken, values })
        };
        match u8::try_from(kind).ok()? {
            KIND_HEADER => {
                let acknowledged = (third, u32::try_from(time).ok()?);
                Some(Self::Header { serial: first, boot: second, acknowledged })
            }
            KIND_BOOT => Some(Self::Boot(first)),
            KIND_ACKNOWLEDGED => Some(Self::Acknowledged((first, second))),
            KIND_WALL => Some(reading(Taken::Wall(time))),
            KIND_UPTIME => Some(reading(Taken::Uptime(time))),
            _ => None,
        }
    }
}

struct Writer {
    bytes: [u8; SLOT_BYTES],
    at: usize,
}

impl Writer {
    fn put(&mut self, part: &[u8]) {
        let end = self.at.saturating_add(part.len());
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(part);
        }
        self.at = end;
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
