//! A segment whose header is damaged still says in its commits what it was.

use std::io;

use super::{
    commit::{Commit, CommitHeader},
    segment::{BLOCK, BLOCK_BYTES, LogPlace, SegmentHeader},
    storage::StorageFile,
};

/// Bytes of a commit that is looked at; larger claims are none.
const COMMIT_BYTES_MAX: u64 = 1 << 30;

/// The header that the valid commits of the latest epoch in the file speak for; none when there are none.
pub(super) fn header(file: &dyn StorageFile) -> io::Result<Option<SegmentHeader>> {
    let bytes = file.len()? / BLOCK * BLOCK;
    let mut found: Option<CommitHeader> = None;
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = BLOCK;
    while at + 2 * BLOCK <= bytes {
        file.read_at(&mut block, at)?;
        let mut next = at + BLOCK;
        let later = |claimed: &CommitHeader| found.is_none_or(|found| claimed.epoch > found.epoch);
        let fits =
            |claimed: &CommitHeader| claimed.padded_len() <= (bytes - BLOCK - at).min(COMMIT_BYTES_MAX);
        if let Some(claimed) = CommitHeader::claimed(&block, None).filter(fits) {
            let mut commit = vec![0; usize::try_from(claimed.len()).unwrap_or(0)];
            file.read_at(&mut commit, at)?;
            if Commit::check(commit).is_ok() {
                next = at + claimed.padded_len();
                if later(&claimed) {
                    found = Some(claimed);
                }
            }
        }
        at = next;
    }
    Ok(found.map(|first| SegmentHeader {
        bytes,
        epoch: first.epoch,
        log: Some(LogPlace { lane: first.lane, base: first.base }),
    }))
}
