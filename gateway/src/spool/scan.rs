//! Walks the commits of one segment file and finds its way past damage.

use std::io;

use tidegate_protocol::Lane;

use super::{
    Offset,
    commit::{COMMIT_HEADER_BYTES, Commit, CommitHeader},
    segment::{BLOCK, BLOCK_BYTES, Epoch},
    storage::StorageFile,
};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// What [`Scan::next_commit`] came upon.
#[derive(Debug)]
pub(super) enum Found {
    /// A valid commit at this byte, after `damaged` bytes that are none.
    Commit { at: u64, damaged: u64, commit: Commit },
    /// No further commit. From this byte on there is nothing valid.
    End { at: u64 },
}

/// A walk over the commits of one use of a segment file.
pub(super) struct Scan<'a> {
    file: &'a dyn StorageFile,
    lane: Lane,
    epoch: Epoch,
    /// Where the next commit should begin.
    at: u64,
    /// Behind the last byte that may belong to a commit.
    end: u64,
    /// The smallest number and base that the next commit may have.
    number: u32,
    base: Offset,
    read: Vec<u8>,
    /// Where the bytes in `read` are from, and how many there are.
    read_at: u64,
    read_len: usize,
}

impl<'a> Scan<'a> {
    /// Begins at byte `at`, where a commit with at least this `number` and `base` is expected, and ends at byte `end`.
    pub(super) fn new(
        file: &'a dyn StorageFile,
        (lane, epoch): (Lane, Epoch),
        (at, end): (u64, u64),
        (number, base): (u32, Offset),
    ) -> Self {
        Self { file, lane, epoch, at, end, number, base, read: Vec::new(), read_at: 0, read_len: 0 }
    }

    /// The next valid commit. Commits are written one after the other, each synced before the next, so bytes that are
    /// no commit but have a valid commit of the same epoch behind them are damage.
    ///
    /// # Errors
    /// What the operating system says of a read.
    pub(super) fn next_commit(&mut self) -> io::Result<Found> {
        let expected = self.at;
        let mut at = self.at;
        while at + BLOCK <= self.end {
            if let Some(commit) = self.commit_at(at)? {
                self.at = at + commit.header.padded_len();
                self.number = commit.header.number.saturating_add(1);
                self.base = commit.header.end();
                return Ok(Found::Commit { at, damaged: at - expected, commit });
            }
            at += BLOCK;
        }
        Ok(Found::End { at: expected })
    }

    fn commit_at(&mut self, at: u64) -> io::Result<Option<Commit>> {
        let epoch = Some(self.epoch);
        let Some(block) = self.bytes(at, BLOCK_BYTES)? else { return Ok(None) };
        let Some(header) = CommitHeader::claimed(block, epoch) else { return Ok(None) };
        let in_order = header.lane == self.lane && header.number >= self.number && header.base >= self.base;
        if !in_order || header.padded_len() > self.end - at {
            return Ok(None);
        }
        let Ok(len) = usize::try_from(header.len()) else { return Ok(None) };
        let Some(bytes) = self.bytes(at, len.max(COMMIT_HEADER_BYTES))? else { return Ok(None) };
        Ok(Commit::check(bytes.to_vec()).ok())
    }

    /// `len` bytes at `at`, if the file has them.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<Option<&[u8]>> {
        let held = at.checked_sub(self.read_at).and_then(|from| usize::try_from(from).ok());
        let from = match held.filter(|from| from.saturating_add(len) <= self.read_len) {
            Some(from) => from,
            None => {
                let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
                let wanted = len.max(READ_BYTES.min(left));
                if self.read.len() < wanted {
                    self.read = vec![0; wanted];
                }
                self.read_len = self.file.read_at(self.read.get_mut(..wanted).unwrap_or_default(), at)?;
                self.read_at = at;
                0
            }
        };
        let read = self.read.get(..self.read_len).unwrap_or_default();
        Ok(read.get(from..from.saturating_add(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{
        commit,
        record::{self, encode},
        storage::{SimulatedDisk, Storage},
        tests::message,
    };

    /// One block with a commit of one record.
    fn block(epoch: Epoch, number: u32, base: Offset) -> Vec<u8> {
        let envelope = message("sensor_1", base, base);
        let len = record::encoded_len(&envelope, b"x").unwrap();
        let mut bytes = vec![0; COMMIT_HEADER_BYTES];
        encode(&envelope, 0, b"x", len, &mut bytes);
        let records_bytes = u32::try_from(len).unwrap();
        let header = CommitHeader {
            lane: Lane::Event,
            epoch,
            number,
            base,
            records: 1,
            records_bytes,
            rejects: 0,
            rejects_bytes: 0,
            ts_min: base,
            ts_max: base,
        };
        commit::seal(&header, &mut bytes);
        bytes.resize(BLOCK_BYTES, 0);
        bytes
    }

    /// The offsets found in a file of these blocks, and the damaged bytes before each.
    fn found(blocks: &[Vec<u8>]) -> Vec<(Offset, u64)> {
        let disk = SimulatedDisk::new(1, 1 << 20);
        let bytes = blocks.concat();
        let end = bytes.len() as u64;
        disk.put("0.segment", bytes);
        let file = disk.open("0.segment", false).unwrap();
        let mut scan = Scan::new(&*file, (Lane::Event, 7), (0, end), (0, 100));
        let mut found = Vec::new();
        while let Found::Commit { damaged, commit, .. } = scan.next_commit().unwrap() {
            found.push((commit.header.base, damaged));
        }
        found
    }

    #[test]
    fn a_commit_of_an_earlier_use_is_none_whatever_it_says() {
        assert_eq!(found(&[block(7, 0, 100), block(7, 1, 101), block(6, 2, 102)]), [(100, 0), (101, 0)]);
        assert_eq!(found(&[block(7, 0, 100), block(6, 1, 101), block(7, 2, 102)]), [(100, 0), (102, 4096)]);
    }

    #[test]
    fn a_commit_out_of_order_is_none() {
        assert_eq!(found(&[block(7, 5, 100), block(7, 4, 101)]), [(100, 0)]);
        assert_eq!(found(&[block(7, 0, 100), block(7, 1, 100)]), [(100, 0)]);
        assert_eq!(found(&[block(7, 0, 99)]), []);
    }
}
