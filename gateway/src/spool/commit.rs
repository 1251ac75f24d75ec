//! The commit: the unit that is written, synced, valid or invalid as a whole. Pure.
//!
//! On disk, little endian: magic, CRC-32C of everything behind it (u32 each), version, lane (u8 each), 2 bytes of zero,
//! number in the segment (u32), epoch of the segment, offset of the first record (u64 each), records, bytes of them,
//! how many are rejects, bytes of those (u32 each), smallest and largest `ts_gw` (u64 each), the records, and zeros up
//! to the block boundary, which no checksum covers because nobody reads them.

use tidegate_protocol::Lane;

use super::{
    lane,
    record::{self, Malformed, OFFSET_MAX, Offset, Position, Record, Take, put},
    segment::{BLOCK, Epoch, Extent, FORMAT_VERSION},
};

/// Bytes of a commit before its records.
pub(super) const COMMIT_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 4] = *b"TIDE";

/// Bytes in front of what the checksum covers.
const CHECKED_FROM: usize = 8;

/// What a commit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitHeader {
    pub(super) lane: Lane,
    pub(super) epoch: Epoch,
    /// Counts the commits of a segment from 0.
    pub(super) number: u32,
    /// The offset of the first record; the others follow without a hole.
    pub(super) base: Offset,
    pub(super) records: u32,
    pub(super) records_bytes: u32,
    pub(super) rejects: u32,
    pub(super) rejects_bytes: u32,
    pub(super) ts_min: u64,
    pub(super) ts_max: u64,
}

impl CommitHeader {
    /// Behind the last record.
    pub(super) fn end(&self) -> Offset {
        self.base.saturating_add(self.records.into())
    }

    /// Bytes of header and records.
    pub(super) fn len(&self) -> u64 {
        COMMIT_HEADER_BYTES as u64 + u64::from(self.records_bytes)
    }

    /// Bytes in the segment: whole blocks.
    pub(super) fn padded_len(&self) -> u64 {
        self.len().next_multiple_of(BLOCK)
    }

    /// Reads the fields and checks none: a header is worth nothing without its records' checksum.
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut take = Take(bytes);
        if take.array()? != MAGIC {
            return Err(Malformed);
        }
        take.u32()?;
        let [version, lane_byte, _, _] = take.array()?;
        if version != FORMAT_VERSION {
            return Err(Malformed);
        }
        Ok(Self {
            lane: lane::from_byte(lane_byte).ok_or(Malformed)?,
            number: take.u32()?,
            epoch: take.u64()?,
            base: take.u64()?,
            records: take.u32()?,
            records_bytes: take.u32()?,
            rejects: take.u32()?,
            rejects_bytes: take.u32()?,
            ts_min: take.u64()?,
            ts_max: take.u64()?,
        })
    }

    /// What `block` claims to begin, if it claims to be a commit of the segment's use `epoch`; `None` takes any use.
    pub(super) fn claimed(block: &[u8], epoch: Option<Epoch>) -> Option<Self> {
        let header = Self::parse(block).ok()?;
        epoch.is_none_or(|epoch| epoch == header.epoch).then_some(header)
    }
}

/// Writes the header in front of the records, checksum last. `bytes` is header room and records, no padding.
pub(super) fn seal(header: &CommitHeader, bytes: &mut [u8]) {
    let mut rest = &mut *bytes;
    put(&mut rest, &MAGIC);
    put(&mut rest, &[0; 4]);
    put(&mut rest, &[FORMAT_VERSION, header.lane as u8, 0, 0]);
    put(&mut rest, &header.number.to_le_bytes());
    put(&mut rest, &header.epoch.to_le_bytes());
    put(&mut rest, &header.base.to_le_bytes());
    for number in [header.records, header.records_bytes, header.rejects, header.rejects_bytes] {
        put(&mut rest, &number.to_le_bytes());
    }
    put(&mut rest, &header.ts_min.to_le_bytes());
    put(&mut rest, &header.ts_max.to_le_bytes());
    let crc = crc32c::crc32c(bytes.get(CHECKED_FROM..).unwrap_or_default());
    if let Some(slot) = bytes.get_mut(4..CHECKED_FROM) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
}

/// A valid commit in memory.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) header: CommitHeader,
    /// Header and records, no padding.
    bytes: Vec<u8>,
}

impl Commit {
    /// Takes bytes that [`seal`] has made.
    pub(super) fn sealed(header: CommitHeader, bytes: Vec<u8>) -> Self {
        Self { header, bytes }
    }

    /// Takes bytes from a disk: header and records, no padding.
    ///
    /// # Errors
    /// [`Malformed`] when the checksum or any record is wrong.
    pub(super) fn check(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let header = CommitHeader::parse(&bytes)?;
        let crc = Take(bytes.get(4..).ok_or(Malformed)?).u32()?;
        let checked = bytes.get(CHECKED_FROM..).ok_or(Malformed)?;
        if header.len() != bytes.len() as u64 || crc != crc32c::crc32c(checked) {
            return Err(Malformed);
        }
        let commit = Self { header, bytes };
        let is_possible = header.base <= OFFSET_MAX
            && header.records > 0
            && header.rejects <= header.records
            && header.rejects_bytes <= header.records_bytes;
        if !is_possible {
            return Err(Malformed);
        }
        let mut records = commit.records();
        let decoded = u32::try_from(records.by_ref().count()).map_err(|_| Malformed)?;
        if decoded != header.records || !records.rest.is_empty() {
            return Err(Malformed);
        }
        Ok(commit)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All records.
    pub(super) fn records(&self) -> Records<'_> {
        self.records_from(COMMIT_HEADER_BYTES, self.header.base)
    }

    /// The records from byte `at` on, the first of which has `offset`.
    pub(super) fn records_from(&self, at: usize, offset: Offset) -> Records<'_> {
        Records { lane: self.header.lane, offset, rest: self.bytes.get(at..).unwrap_or_default() }
    }

    /// The byte at which the record behind the one at byte `at` begins.
    pub(super) fn behind(&self, at: usize) -> usize {
        let len = self.bytes.get(at..).and_then(record::peek_len).unwrap_or(u32::MAX);
        at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)).min(self.bytes.len())
    }
}

/// The records of a commit in order; ends early where the bytes are none, which the commit's checksum rules out.
pub(super) struct Records<'a> {
    lane: Lane,
    offset: Offset,
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let position = Position { lane: self.lane, offset: self.offset };
        let record = record::decode(position, &mut self.rest).ok()?;
        self.offset += 1;
        Some(record)
    }
}

impl Extent {
    /// Adds a commit that lies at `position`.
    pub(super) fn add(&mut self, header: &CommitHeader, position: u64) {
        self.end = header.end();
        self.position = position + header.padded_len();
        self.commits = header.number.saturating_add(1);
        self.records += u64::from(header.records);
        self.rejects += u64::from(header.rejects);
        self.rejects_bytes += u64::from(header.rejects_bytes);
        self.ts_min = self.ts_min.min(header.ts_min);
        self.ts_max = self.ts_max.max(header.ts_max);
    }
}
