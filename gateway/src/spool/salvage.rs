//! A segment whose header is damaged still says in its commits what it was.

use std::io;

use super::{
    commit::{Commit, CommitHeader},
    segment::{BLOCK, BLOCK_BYTES, Epoch, LogPlace, SegmentHeader},
    storage::StorageFile,
};

/// Bytes of a commit that is looked at; larger claims are none.
const COMMIT_BYTES_MAX: u64 = 1 << 30;

/// The header that the valid commits of the latest epoch in the file speak for; none when there are none. A commit of
/// an epoch that `is_of_another` file is a stray one.
pub(super) fn header(
    file: &dyn StorageFile,
    is_of_another: impl Fn(Epoch) -> bool,
) -> io::Result<Option<SegmentHeader>> {
    let mut found: Option<CommitHeader> = None;
    each_commit(file, |commit| {
        let is_later = found.is_none_or(|found| commit.epoch > found.epoch);
        if is_later && !is_of_another(commit.epoch) {
            found = Some(commit);
        }
    })?;
    let bytes = file.len()? / BLOCK * BLOCK;
    Ok(found.map(|first| SegmentHeader {
        bytes,
        epoch: first.epoch,
        log: Some(LogPlace { lane: first.lane, base: first.base }),
    }))
}

/// How many valid commits of `epoch` are in the file.
pub(super) fn commits(file: &dyn StorageFile, epoch: Epoch) -> io::Result<u64> {
    let mut commits = 0;
    each_commit(file, |commit| commits += u64::from(commit.epoch == epoch))?;
    Ok(commits)
}

/// Every valid commit of any epoch in the file.
fn each_commit(file: &dyn StorageFile, mut each: impl FnMut(CommitHeader)) -> io::Result<()> {
    let bytes = file.len()? / BLOCK * BLOCK;
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = BLOCK;
    while at + 2 * BLOCK <= bytes {
        file.read_at(&mut block, at)?;
        let mut next = at + BLOCK;
        let fits =
            |claimed: &CommitHeader| claimed.padded_len() <= (bytes - BLOCK - at).min(COMMIT_BYTES_MAX);
        if let Some(claimed) = CommitHeader::claimed(&block, None).filter(fits) {
            let mut commit = vec![0; usize::try_from(claimed.len()).unwrap_or(0)];
            file.read_at(&mut commit, at)?;
            if Commit::check(commit).is_ok() {
                next = at + claimed.padded_len();
                each(claimed);
            }
        }
        at = next;
    }
    Ok(())
}
