//! The bytes of a segment: a header block, commits, and a footer block once it is sealed. Pure.
//!
//! A segment file is made once, filled with zeros, and used again and again. Each use has an epoch of its own, which
//! is in the header, in every commit and in the footer: what an earlier use has left behind never passes for new.
//! The header lies in the first 512 bytes, which a disk writes as a whole or not at all. The file's name is for
//! people; what a segment is, its header says.

use tidegate_protocol::Lane;

use super::{
    lane,
    record::{Malformed, OFFSET_MAX, Offset, Take, put},
};

/// Bytes of a block: everything is written in whole blocks at block boundaries.
pub(super) const BLOCK_BYTES: usize = 4096;

/// The same, for places in files.
pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;

/// Of the format of segments and commits.
pub(super) const FORMAT_VERSION: u8 = 1;

const HEADER_MAGIC: [u8; 8] = *b"TIDESEGM";
const FOOTER_MAGIC: [u8; 8] = *b"TIDESEAL";

/// One use of a segment file: a running number in the upper half, so that later is larger, and a number that no device
/// can guess in the lower, so that no payload can pass for a commit.
pub(super) type Epoch = u64;

/// The running number of an epoch.
pub(super) const fn epoch_count(epoch: Epoch) -> u64 {
    epoch >> 32
}

/// What a segment's first block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Bytes of the file.
    pub(super) bytes: u64,
    pub(super) epoch: Epoch,
    /// None: made ready and not in use.
    pub(super) log: Option<LogPlace>,
}

/// Which log a segment belongs to and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogPlace {
    pub(super) lane: Lane,
    /// The offset of its first record.
    pub(super) base: Offset,
}

/// How far a segment is filled, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Behind the last record.
    pub(super) end: Offset,
    /// Behind the last commit, in bytes from the file's beginning.
    pub(super) position: u64,
    pub(super) commits: u32,
    pub(super) records: u64,
    pub(super) rejects: u64,
    pub(super) rejects_bytes: u64,
    /// The smallest and the largest `ts_gw`; `u64::MAX` and 0 with no record.
    pub(super) ts_min: u64,
    pub(super) ts_max: u64,
}

impl Extent {
    pub(super) const fn empty(base: Offset) -> Self {
        Self {
            end: base,
            position: BLOCK,
            commits: 0,
            records: 0,
            rejects: 0,
            rejects_bytes: 0,
            ts_min: u64::MAX,
            ts_max: 0,
        }
    }
}

impl SegmentHeader {
    pub(super) fn to_block(self) -> [u8; BLOCK_BYTES] {
        let (state, base) = match self.log {
            None => ([0, 0], 0),
            Some(place) => ([1, place.lane as u8], place.base),
        };
        let mut block = [0; BLOCK_BYTES];
        let mut rest = block.as_mut_slice();
        put(&mut rest, &HEADER_MAGIC);
        put(&mut rest, &[FORMAT_VERSION]);
        put(&mut rest, &state);
        put(&mut rest, &[0; 5]);
        for number in [self.bytes, self.epoch, base] {
            put(&mut rest, &number.to_le_bytes());
        }
        with_checksum(block, 40)
    }

    pub(super) fn from_block(block: &[u8]) -> Result<Self, Malformed> {
        let mut take = Take(checked(block, 40)?);
        if take.array()? != HEADER_MAGIC || take.array()? != [FORMAT_VERSION] {
            return Err(Malformed);
        }
        let [used, lane_byte] = take.array()?;
        take.array::<5>()?;
        let (bytes, epoch, base) = (take.u64()?, take.u64()?, take.u64()?);
        let log = match used {
            0 => None,
            _ => Some(LogPlace { lane: lane::from_byte(lane_byte).ok_or(Malformed)?, base }),
        };
        if bytes < 2 * BLOCK || !bytes.is_multiple_of(BLOCK) || base > OFFSET_MAX {
            return Err(Malformed);
        }
        Ok(Self { bytes, epoch, log })
    }
}

/// The footer of the segment's use `epoch`: it is sealed and `extent` is all there is.
pub(super) fn footer_to_block(epoch: Epoch, extent: &Extent) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut rest = block.as_mut_slice();
    put(&mut rest, &FOOTER_MAGIC);
    for number in [
        epoch,
        extent.end,
        extent.position,
        extent.commits.into(),
        extent.records,
        extent.rejects,
        extent.rejects_bytes,
        extent.ts_min,
        extent.ts_max,
    ] {
        put(&mut rest, &number.to_le_bytes());
    }
    with_checksum(block, 80)
}

/// The footer in `block`, if it is one of the segment's use `epoch`.
pub(super) fn footer_from_block(epoch: Epoch, block: &[u8]) -> Result<Extent, Malformed> {
    let mut take = Take(checked(block, 80)?);
    if take.array()? != FOOTER_MAGIC || take.u64()? != epoch {
        return Err(Malformed);
    }
    let extent = Extent {
        end: take.u64()?,
        position: take.u64()?,
        commits: u32::try_from(take.u64()?).map_err(|_| Malformed)?,
        records: take.u64()?,
        rejects: take.u64()?,
        rejects_bytes: take.u64()?,
        ts_min: take.u64()?,
        ts_max: take.u64()?,
    };
    let is_possible = extent.end <= OFFSET_MAX
        && extent.position >= BLOCK
        && extent.position.is_multiple_of(BLOCK)
        && extent.records <= extent.end
        && extent.rejects <= extent.records
        && extent.rejects_bytes <= extent.position;
    if is_possible { Ok(extent) } else { Err(Malformed) }
}

/// Puts the CRC-32C of the first `len` bytes behind them.
fn with_checksum(mut block: [u8; BLOCK_BYTES], len: usize) -> [u8; BLOCK_BYTES] {
    if let Some((front, back)) = block.split_at_mut_checked(len) {
        let crc = crc32c::crc32c(front);
        put(&mut &mut *back, &crc.to_le_bytes());
    }
    block
}

/// The first `len` bytes, if the CRC-32C behind them is right.
fn checked(block: &[u8], len: usize) -> Result<&[u8], Malformed> {
    let (front, back) = block.split_at_checked(len).ok_or(Malformed)?;
    let crc = Take(back).u32()?;
    if crc == crc32c::crc32c(front) { Ok(front) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_footer_come_back_and_no_flipped_byte_passes() {
        let place = LogPlace { lane: Lane::Telemetry, base: 77 };
        for log in [None, Some(place)] {
            let header = SegmentHeader { bytes: 65_536, epoch: 5 << 32 | 9, log };
            let block = header.to_block();
            assert_eq!(SegmentHeader::from_block(&block), Ok(header));
            for at in 0..44 {
                let mut flipped = block;
                flipped[at] ^= 0x10;
                assert_eq!(SegmentHeader::from_block(&flipped), Err(Malformed));
            }
        }
        let extent = Extent { end: 99, position: 8192, records: 22, commits: 3, ..Extent::empty(77) };
        let block = footer_to_block(9, &extent);
        assert_eq!(footer_from_block(9, &block), Ok(extent));
        assert_eq!(footer_from_block(8, &block), Err(Malformed), "a footer of an earlier use");
        assert_eq!(footer_from_block(9, &[]), Err(Malformed));
    }
}
