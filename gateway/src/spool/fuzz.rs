//! One entry for coverage-guided fuzzing: any bytes, as a record, as a commit, or as what has happened to the files of
//! a spool.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fuzz target ends where a promise is broken"
)]

use std::{
    collections::{BTreeMap, HashSet},
    sync::OnceLock,
};

use super::{
    ClockQuality, Config, Envelope, Kind, Lane, Offset, PerLane, Position, Protocol, Record,
    SEGMENT_BYTES_MIN, SEGMENTS_MIN, SimulatedDisk, Spool, Start, Stepper, Uid, WhenFull,
    commit::{self, COMMIT_HEADER_BYTES, Commit, CommitHeader},
    record::{self, Take},
    segment::BLOCK_BYTES,
};

/// Room on the simulated disk.
const DISK_BYTES_MAX: u64 = 64 * SEGMENT_BYTES_MIN;

/// Changes to the files that one input makes.
const CHANGES_MAX: usize = 32;

/// Batches read of a lane; more would be a reader that does not get on.
const BATCHES_MAX: usize = 10_000;

/// Bytes of a commit in front of what its checksum covers, and of the checksum in front of that.
const COMMIT_CHECKED_FROM: usize = 8;

/// Plays `input`: its first byte says what the rest is.
///
/// # Panics
/// When the spool breaks one of its promises.
pub fn exercise(input: &[u8]) {
    let Some((what, rest)) = input.split_first() else { return };
    match what % 4 {
        0 => read_record(rest),
        1 => read_commit(rest),
        2 => damaged(rest),
        _ => resealed(rest),
    }
}

/// A record: one that is read and written again reads the same.
fn read_record(input: &[u8]) {
    let position = Position { lane: Lane::Event, offset: 7 };
    let mut rest = input;
    let Ok(record) = record::decode(position, &mut rest) else { return };
    let taken = input.len() - rest.len();
    let len = record::encoded_len(&record.envelope, record.payload);
    assert_eq!(len, Some(taken), "the length of {record:?}");
    let mut written = Vec::new();
    record::encode(&record.envelope, record.format, record.payload, taken, &mut written);
    assert_eq!(written.len(), taken, "the length of {record:?} in bytes");
    assert_eq!(record::decode(position, &mut written.as_slice()).as_ref(), Ok(&record));
    assert!(!record.uid_text().is_empty());
}

/// A commit: as it is, and with its checksum put right, as no damage would leave it.
fn read_commit(input: &[u8]) {
    walk(input.to_vec());
    if let Some(header) = CommitHeader::claimed(input, None) {
        let mut bytes = input.to_vec();
        commit::seal(&header, &mut bytes);
        walk(bytes);
    }
}

fn walk(bytes: Vec<u8>) {
    let len = bytes.len();
    let Ok(commit) = Commit::check(bytes) else { return };
    let header = commit.header;
    assert!(header.padded_len() >= header.len());
    let (mut at, mut offset) = (COMMIT_HEADER_BYTES, header.base);
    for record in commit.records() {
        assert_eq!(record.position, Position { lane: header.lane, offset });
        assert_eq!(commit.records_from(at, offset).next(), Some(record));
        (at, offset) = (commit.behind(at), offset + 1);
    }
    assert_eq!((at, offset), (len, header.end()));
}

/// A spool whose files were changed: it starts, and nothing it gives out is altered.
fn damaged(changes: &[u8]) {
    let (disk, commits) = pristine();
    let disk = disk.restart();
    change(&disk, changes, false);
    // Whoever finds out the checksum of other bytes may have them read as valid.
    if commits_of(&disk).is_subset(commits) {
        live(&disk, true);
    }
}

/// The same with checksums that are made right again: whatever it gives out, it starts and gets on.
fn resealed(changes: &[u8]) {
    let disk = pristine().0.restart();
    change(&disk, changes, true);
    live(&disk, false);
}

/// Opens the spool, reads it, appends, and opens it again: the records are still the same.
fn live(disk: &SimulatedDisk, is_unaltered: bool) {
    let (spool, mut stepper, recovered) = Spool::open_stepped(disk.clone(), &config(), 0).unwrap();
    let first = PerLane::new(|lane| read(&spool, lane, is_unaltered));
    let cursor = spool.cursor("file", Start::Oldest).unwrap();
    let mut appended = Vec::new();
    for lane in Lane::ALL {
        let end = *recovered.ends.of(lane);
        assert!(first.of(lane).keys().next_back().is_none_or(|last| *last < end));
        assert!(cursor.get(lane) <= end);
        if let Some(position) = append(&spool, &mut stepper, lane, end) {
            assert_eq!(position, Position { lane, offset: end });
            appended.push(position);
        }
    }
    spool.status().unwrap();
    stepper.keep().unwrap();
    drop((cursor, spool, stepper));
    let (spool, _, recovered) = Spool::open_stepped(disk.restart(), &config(), 0).unwrap();
    let second = PerLane::new(|lane| read(&spool, lane, is_unaltered));
    for lane in Lane::ALL {
        let oldest = *recovered.oldest.of(lane);
        let mut kept = first.of(lane).range(oldest..).filter(|(_, payload)| payload.is_some());
        assert!(kept.all(|(offset, payload)| second.of(lane).get(offset) == Some(payload)), "{lane}");
    }
    for Position { lane, offset } in appended {
        assert_eq!(second.of(lane).get(&offset), Some(&Some(payload(lane, offset))), "{lane} {offset}");
    }
}

/// Everything of a lane: by offset, the payload; none for a gap record.
fn read(spool: &Spool, lane: Lane, is_unaltered: bool) -> BTreeMap<Offset, Option<Vec<u8>>> {
    let mut reader = spool.reader(lane, 0);
    let (mut all, mut end) = (BTreeMap::new(), 0);
    for _ in 0..BATCHES_MAX {
        let batch = reader.next_batch(4_096).unwrap();
        if batch.is_empty() {
            return all;
        }
        for record in batch.records() {
            let Position { lane: its_lane, offset } = record.position;
            assert!(its_lane == lane && offset >= end && offset < batch.end());
            end = offset + 1;
            if is_unaltered && record.envelope.kind != Kind::Gap {
                assert_is_original(&record);
            }
            let is_gap = record.envelope.kind == Kind::Gap;
            all.insert(offset, (!is_gap).then(|| record.payload.to_vec()));
        }
        assert!(batch.end() == reader.offset() && batch.end() >= end);
        end = batch.end();
    }
    assert_eq!(end, 0, "the reader of the {lane} lane does not get on");
    all
}

fn assert_is_original(record: &Record<'_>) {
    let Position { lane, offset } = record.position;
    assert_eq!(record.payload, payload(lane, offset));
    assert_eq!(record.envelope, envelope(offset));
}

/// Appends what the offset `expected` should hold and makes it durable; none when the spool has no room.
fn append(spool: &Spool, stepper: &mut Stepper, lane: Lane, expected: Offset) -> Option<Position> {
    let payload = payload(lane, expected);
    for _ in 0..4 {
        if let Ok(position) = spool.append(lane, &envelope(expected), 0, &payload) {
            while stepper.write().unwrap() {}
            assert!(spool.watermark().durable().covers(position));
            return Some(position);
        }
        stepper.keep().unwrap();
    }
    None
}

fn payload(lane: Lane, offset: Offset) -> Vec<u8> {
    let len = usize::try_from(offset % 3 * 900 + 8).unwrap();
    let mut payload = offset.to_le_bytes().to_vec();
    payload.resize(len, lane as u8 + 1);
    payload
}

fn envelope(offset: Offset) -> Envelope<'static> {
    Envelope {
        kind: Kind::Message,
        device: if offset.is_multiple_of(5) { "sensor_2" } else { "sensor_1" },
        uid: Uid::Device { boot: 1, sequence: offset },
        topic: "telemetry",
        protocol: Protocol::Mqtt5,
        qos: 1,
        content_type: None,
        user_properties: Vec::new(),
        ts_dev: None,
        uptime_dev: None,
        ts_gw: offset,
        mono_gw: offset,
        boot_gw: 1,
        clock: ClockQuality::Synchronised,
    }
}

/// Few and small segments, so that files are recycled and gap records stand for what was dropped.
fn config() -> Config {
    Config {
        spool_bytes_max: (SEGMENTS_MIN + 1) * SEGMENT_BYTES_MIN,
        segment_bytes: SEGMENT_BYTES_MIN,
        commit_bytes_max: 8 * 1024,
        pending_bytes_max: 16 * 1024,
        recent_bytes_max: 8 * 1024,
        reserve_free_bytes: 0,
        when_full: WhenFull::DropOldest,
        ..Config::default()
    }
}

/// A disk with a sound spool on it: sealed, recycled and unfinished segments, a gap, a cursor; and its commits.
fn pristine() -> &'static (SimulatedDisk, HashSet<Vec<u8>>) {
    static DISK: OnceLock<(SimulatedDisk, HashSet<Vec<u8>>)> = OnceLock::new();
    DISK.get_or_init(|| {
        let disk = SimulatedDisk::new(1, DISK_BYTES_MAX);
        let (spool, mut stepper, _) = Spool::open_stepped(disk.clone(), &config(), 0).unwrap();
        let cursor = spool.cursor("file", Start::Oldest).unwrap();
        for offset in 0..70 {
            append(&spool, &mut stepper, Lane::Telemetry, offset).unwrap();
            if offset % 7 == 0 {
                append(&spool, &mut stepper, Lane::Event, offset / 7).unwrap();
            }
        }
        drop((cursor, spool, stepper));
        let commits = commits_of(&disk);
        assert!(commits.len() > 20 && disk.names().iter().any(|name| name.starts_with("gaps/")));
        (disk, commits)
    })
}

/// The bytes of every valid commit in every file, wherever it is.
fn commits_of(disk: &SimulatedDisk) -> HashSet<Vec<u8>> {
    let mut commits = HashSet::new();
    for bytes in disk.names().iter().filter_map(|name| disk.bytes(name)) {
        for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
            let Some(header) = CommitHeader::claimed(&bytes[at..], None) else { continue };
            let Ok(len) = usize::try_from(header.len()) else { continue };
            let commit = bytes[at..].get(..len).map(<[u8]>::to_vec);
            commits.extend(commit.and_then(|bytes| Commit::check(bytes).ok()).map(|c| c.bytes().to_vec()));
        }
    }
    commits
}

/// Changes the files as `changes` says, one after the other: what (a byte), in which file (a byte), in which block (a
/// byte), where in it (two bytes), with how many bytes (a byte), the bytes.
fn change(disk: &SimulatedDisk, changes: &[u8], may_seal: bool) {
    let mut take = Take(changes);
    for _ in 0..CHANGES_MAX {
        let Ok([what, file, block, low, high, len]) = take.array() else { return };
        let (with, rest) = take.0.split_at(usize::from(len).min(take.0.len()));
        take.0 = rest;
        let names = disk.names();
        let name = &names[usize::from(file) % names.len()];
        let Some(mut bytes) = disk.bytes(name) else { return };
        let blocks = bytes.len().div_ceil(BLOCK_BYTES).max(1);
        let block = usize::from(block) % blocks * BLOCK_BYTES;
        let within = usize::from(u16::from_le_bytes([low, high]));
        let at = (block + within % BLOCK_BYTES).min(bytes.len());
        match what % 8 {
            0 => bytes[at..].iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with),
            1 => set(&mut bytes, at, with),
            2 => {
                let other = disk.bytes(&names[usize::from(len) % names.len()]).unwrap();
                let from = within % other.len().div_ceil(BLOCK_BYTES).max(1) * BLOCK_BYTES;
                let other = other.get(from..).unwrap_or_default();
                set(&mut bytes, block, other.get(..BLOCK_BYTES).unwrap_or(other));
            }
            3 => set(&mut bytes, block, &[0; BLOCK_BYTES]),
            4 => bytes.truncate(at),
            5 => {
                disk.delete(name);
                if disk.names().is_empty() {
                    return;
                }
                continue;
            }
            6 => {
                let other = &names[usize::from(len) % names.len()];
                disk.put(name, disk.bytes(other).unwrap());
                disk.put(other, bytes);
                continue;
            }
            _ if may_seal => seal_block(&mut bytes, block),
            _ => {}
        }
        disk.put(name, bytes);
    }
}

/// Makes the checksum in a block right, whatever it is a block of.
fn seal_block(bytes: &mut [u8], at: usize) {
    let Some(bytes) = bytes.get_mut(at..) else { return };
    match bytes.first_chunk() {
        Some(b"TIDESEGM") => seal(bytes, 40, 0..40),
        Some(b"TIDESEAL") => seal(bytes, 80, 0..80),
        Some(b"TIDECURS") => seal(bytes, 32, 0..32),
        Some(b"TIDEGAPS") => {
            let body = Take(bytes.get(36..).unwrap_or_default()).u32().unwrap_or(0);
            seal(bytes, 8, 12..usize::try_from(body).unwrap().saturating_add(40));
        }
        _ => {
            let len = CommitHeader::claimed(bytes, None).map_or(0, |header| header.len());
            seal(bytes, COMMIT_CHECKED_FROM - 4, COMMIT_CHECKED_FROM..usize::try_from(len).unwrap());
        }
    }
}

/// Puts the checksum of a range of bytes, as far as there are any, at `at`.
fn seal(bytes: &mut [u8], at: usize, range: std::ops::Range<usize>) {
    let end = range.end.min(bytes.len());
    let crc = crc32c::crc32c(bytes.get(range.start..end).unwrap_or_default());
    set(bytes, at, &crc.to_le_bytes());
}

/// Overwrites the bytes at `at`, as far as there are any.
fn set(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes.iter_mut().skip(at).zip(with).for_each(|(byte, with)| *byte = *with);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_bytes_never_break_a_promise(input in proptest::collection::vec(any::<u8>(), 0..64)) {
            exercise(&input);
        }
    }

    #[test]
    fn no_change_loses_nothing() {
        exercise(&[2]);
        exercise(&[3]);
    }
}
