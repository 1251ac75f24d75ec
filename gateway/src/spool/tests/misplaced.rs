//! Blocks and files that have got to where they do not belong, and values that nobody has written.

use super::*;

const DISK_BYTES: u64 = 40 * SEGMENT_BYTES_MIN;
const BLOCK: usize = 4096;
const RECORDS: u64 = 20;

/// Records by offset.
type Records = Vec<(Offset, Vec<u8>)>;

/// A sound spool of several segments, its records and the names of its segments in order.
fn spool_on_disk() -> (SimulatedDisk, Records, Vec<String>) {
    let disk = SimulatedDisk::new(3, DISK_BYTES);
    let (spool, mut stepper, _) = Spool::open_stepped(disk.clone(), &small(), 0).unwrap();
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    for n in 0..RECORDS {
        append(&spool, &mut stepper, n);
    }
    let all = read_all(&spool, Lane::Telemetry, 0);
    let segments = spool.handle.state.catalog().segments.telemetry.clone();
    (disk, all, segments.iter().map(|segment| segment.name.clone()).collect())
}

fn append(spool: &Spool, stepper: &mut Stepper, n: u64) {
    let position = spool.append(Lane::Telemetry, &message("sensor_1", n, n), 0, &payload(n)).unwrap();
    assert_eq!(position.offset, n);
    stepper.write().unwrap();
    stepper.keep().unwrap();
}

fn payload(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(100)
}

fn copy_block(disk: &SimulatedDisk, (from, from_block): (&str, usize), (to, to_block): (&str, usize)) {
    let (from, mut bytes) = (disk.bytes(from).unwrap(), disk.bytes(to).unwrap());
    let block = &from[from_block * BLOCK..][..BLOCK];
    bytes[to_block * BLOCK..][..BLOCK].copy_from_slice(block);
    disk.put(to, bytes);
}

/// Opens the spool, compares what is there, appends, and looks whether that is there after another start.
fn assert_goes_on(disk: &SimulatedDisk, expected: &[(Offset, Vec<u8>)]) {
    let disk = disk.restart();
    let (spool, mut stepper, recovered) = Spool::open_stepped(disk.clone(), &small(), 0).unwrap();
    assert_eq!(recovered.ends.telemetry, RECORDS);
    assert_eq!(present(&spool), expected);
    append(&spool, &mut stepper, RECORDS);
    let (spool, _, _) = Spool::open_stepped(disk.restart(), &small(), 0).unwrap();
    assert_eq!(present(&spool), [expected, &[(RECORDS, payload(RECORDS))]].concat());
}

/// The records that can be read.
fn present(spool: &Spool) -> Records {
    let (mut reader, mut all) = (spool.reader(Lane::Telemetry, 0), Vec::new());
    loop {
        let batch = reader.next_batch(usize::MAX).unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.records().map(|record| (record.position.offset, record.payload.to_vec())));
    }
}

#[test]
fn the_header_of_another_segment_costs_nothing() {
    let (disk, all, names) = spool_on_disk();
    for from in &names {
        for to in names.iter().filter(|to| *to != from) {
            let disk = disk.restart();
            copy_block(&disk, (from, 0), (to, 0));
            assert_goes_on(&disk, &all);
        }
    }
}

#[test]
fn a_commit_of_another_segment_does_not_take_its_log_over() {
    let (disk, all, names) = spool_on_disk();
    let (first, last) = (&names[0], &names[names.len() - 1]);
    copy_block(&disk, (last, 1), (first, 2));
    disk.corrupt(first, 20, 0xff);
    let expected: Vec<_> = all.into_iter().filter(|(offset, _)| *offset != 1).collect();
    assert_goes_on(&disk, &expected);
}

#[test]
fn of_two_damaged_headers_each_segment_gets_its_own_back() {
    let (disk, all, names) = spool_on_disk();
    let (first, last) = (&names[0], &names[names.len() - 1]);
    copy_block(&disk, (last, 1), (first, 2));
    for name in [first, last] {
        disk.corrupt(name, 20, 0xff);
    }
    let expected: Vec<_> = all.into_iter().filter(|(offset, _)| *offset != 1).collect();
    assert_goes_on(&disk, &expected);
}

#[test]
fn a_second_copy_of_a_segment_is_left_out() {
    let (disk, all, names) = spool_on_disk();
    for name in &names {
        let disk = disk.restart();
        disk.put("copy.segment", disk.bytes(name).unwrap());
        assert_goes_on(&disk, &all);
    }
}

#[test]
fn a_record_that_cannot_have_been_written_is_none() {
    let position = Position { lane: Lane::Event, offset: 0 };
    let envelope = message("sensor_1", 1, 1);
    let len = record::encoded_len(&envelope, b"x").unwrap();
    let mut bytes = Vec::new();
    record::encode(&envelope, 0, b"x", len, &mut bytes);
    assert!(record::decode(position, &mut bytes.as_slice()).is_ok());
    for (at, value) in [(6, bytes[6] | 0xc0), (7, 65), (12, 1)] {
        let mut changed = bytes.clone();
        changed[at] = value;
        assert_eq!(record::decode(position, &mut changed.as_slice()), Err(Malformed), "byte {at}");
    }
}
