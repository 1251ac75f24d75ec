//! Entries for coverage-guided fuzzing: any bytes, read as a record and as a commit.

use tidegate_protocol::Lane;

use super::{
    commit::{self, Commit, CommitHeader},
    record::{self, Position},
};

/// Reads `input` as a record. What is one, written again, reads the same.
///
/// # Panics
/// When it does not.
pub fn exercise_record(input: &[u8]) {
    let position = Position { lane: Lane::Telemetry, offset: 0 };
    let mut rest = input;
    let Ok(record) = record::decode(position, &mut rest) else { return };
    let taken = input.len().saturating_sub(rest.len());
    let len = record::encoded_len(&record.envelope, record.payload);
    assert_eq!(len, Some(taken), "the length of {record:?}");
    let mut again = Vec::new();
    record::encode(&record.envelope, record.format, record.payload, taken, &mut again);
    assert_eq!(again.len(), taken, "the length of {record:?} in bytes");
    let reread = record::decode(position, &mut again.as_slice());
    assert_eq!(reread.as_ref(), Ok(&record), "a record read, written and read again");
    assert!(!record.uid_text().is_empty(), "every record has an id");
}

/// Reads `input` as a commit: as it is, and with its checksum put right, as no damage would leave it.
///
/// # Panics
/// When a commit that is valid has not the records it says.
pub fn exercise_commit(input: &[u8]) {
    walk(input.to_vec());
    if let Some(header) = CommitHeader::claimed(input, None) {
        let mut bytes = input.to_vec();
        commit::seal(&header, &mut bytes);
        walk(bytes);
    }
}

fn walk(bytes: Vec<u8>) {
    let Ok(commit) = Commit::check(bytes) else { return };
    let offsets = commit.records().map(|record| record.position.offset);
    let expected = commit.header.base..commit.header.end();
    assert!(offsets.eq(expected), "the offsets of {:?}", commit.header);
    assert!(commit.header.padded_len() >= commit.header.len(), "the padding of {:?}", commit.header);
}
