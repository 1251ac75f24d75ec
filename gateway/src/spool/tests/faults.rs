//! One fault at a time: the n-th operation fails, bytes are flipped, files are gone, the disk is full.

use super::*;

const DISK_BYTES: u64 = 40 * SEGMENT_BYTES_MIN;

fn payload(n: u64) -> Vec<u8> {
    let mut payload = n.to_le_bytes().to_vec();
    payload.resize(700, n as u8);
    payload
}

fn append(spool: &Spool, lane: Lane, n: u64) -> Result<Position, Unavailable> {
    spool.append(lane, &message("sensor_1", n, n), 0, &payload(n))
}

fn open(disk: &SimulatedDisk) -> (Spool, Stepper, Recovered) {
    Spool::open_stepped(disk.clone(), &small(), 0).unwrap()
}

/// Appends `count` records, each in a commit of its own.
fn fill(spool: &Spool, stepper: &mut Stepper, lane: Lane, numbers: std::ops::Range<u64>) {
    for n in numbers {
        append(spool, lane, n).unwrap();
        stepper.write().unwrap();
        stepper.keep().unwrap();
    }
}

/// A bit of everything; how many records of each lane were acknowledged before something failed.
fn work(disk: &SimulatedDisk) -> PerLane<u64> {
    let Ok((spool, mut stepper, _)) = Spool::open_stepped(disk.clone(), &small(), 0) else {
        return PerLane::default();
    };
    let mut appended = PerLane::new(|_| 0);
    for n in 0..40 {
        for lane in Lane::ALL {
            let next = *appended.of(lane);
            *appended.of_mut(lane) += u64::from(append(&spool, lane, next).is_ok());
        }
        drop(stepper.write());
        drop(stepper.keep());
        if n % 5 == 4
            && let Ok(cursor) = spool.cursor("file", Start::Oldest)
        {
            let durable = spool.watermark().durable();
            drop(cursor.advance_both(PerLane::new(|lane| durable.end(lane).min(n))));
        }
        drop(spool.reader(Lane::Telemetry, n / 2).next_batch(10_000));
        drop(spool.status());
    }
    let durable = spool.watermark().durable();
    PerLane::new(|lane| durable.end(lane))
}

#[test]
fn whichever_operation_fails_what_was_acknowledged_is_there_afterwards() {
    let disk = SimulatedDisk::new(1, DISK_BYTES);
    work(&disk);
    let operations = disk.operations();
    assert!(operations > 500, "{operations}");
    for fault in [Fault::Error, Fault::NoRoom, Fault::Crash] {
        for number in 0..operations {
            let disk = SimulatedDisk::new(number, DISK_BYTES);
            disk.fail_at(number, fault);
            let acknowledged = work(&disk);
            for disk in [disk.restart(), disk.power_cut(number)] {
                let (spool, _, recovered) = open(&disk);
                assert_eq!(recovered.damage, [""; 0], "{fault:?} at {number}");
                for lane in Lane::ALL {
                    let end = *acknowledged.of(lane);
                    assert!(*recovered.ends.of(lane) >= end, "{fault:?} at {number}: {lane} lost its end");
                    let from = spool.cursor("file", Start::Oldest).unwrap().get(lane);
                    for (offset, found) in read_all(&spool, lane, from) {
                        assert_eq!(found, payload(offset), "{fault:?} at {number}: {lane} {offset}");
                    }
                }
            }
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_more_is_accepted_or_acknowledged() {
    let disk = SimulatedDisk::new(3, DISK_BYTES);
    let (spool, mut stepper, _) = open(&disk);
    fill(&spool, &mut stepper, Lane::Event, 0..3);
    append(&spool, Lane::Event, 3).unwrap();
    // The write is the next operation, its sync the one after.
    disk.fail_at(disk.operations() + 1, Fault::Error);
    let failure = stepper.write().unwrap_err();
    assert!(failure.to_string().contains("event lane"), "{failure}");
    assert_eq!(spool.watermark().failure(), Some(&failure));
    assert_eq!(spool.watermark().durable().end(Lane::Event), 3);
    assert_eq!(append(&spool, Lane::Event, 4), Err(Unavailable::Poisoned));
    assert!(matches!(spool.cursor("x", Start::Oldest), Err(CursorError::Poisoned)));
    assert_eq!(stepper.write(), Err(failure.clone()), "never tried again");
    assert_eq!(spool.drain(), Err(failure));
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_afresh_before_it_is_trusted() {
    for seed in 0..200 {
        let disk = SimulatedDisk::new(seed, DISK_BYTES);
        let (spool, mut stepper, _) = open(&disk);
        fill(&spool, &mut stepper, Lane::Event, 0..3);
        append(&spool, Lane::Event, 3).unwrap();
        disk.fail_at(disk.operations() + 1, Fault::Error);
        drop(stepper.write());
        let disk = disk.restart();
        let (spool, _, recovered) = open(&disk);
        assert_eq!(recovered.ends.event, 4, "the next process reads it from the page cache");
        let (spool_again, _, recovered) = open(&disk.power_cut(seed));
        assert_eq!(recovered.ends.event, 4, "and after it has said so the power may go");
        assert_eq!(read_all(&spool_again, Lane::Event, 0), read_all(&spool, Lane::Event, 0));
    }
}

/// Flips bits of byte `at` of the tail, which holds 15 records in a commit each, and reads everything.
fn flip(disk: &SimulatedDisk, config: &Config, tail: &str, at: usize) {
    let disk = disk.restart();
    disk.corrupt(tail, at, 1 << (at % 8));
    let (spool, _, recovered) = Spool::open_stepped(disk, config, 0).unwrap();
    let in_commit = at.checked_sub(4096).map_or(15, |at| at / 4096) as u64;
    let mut reader = spool.reader(Lane::Telemetry, 0);
    let (mut next, mut missing) = (0, Vec::new());
    loop {
        let batch = reader.next_batch(usize::MAX).unwrap();
        if batch.is_empty() {
            break;
        }
        missing.extend(batch.lost().into_iter().flat_map(|lost| lost.from..lost.to));
        next = batch.lost().map_or(next, |lost| lost.to);
        for record in batch.records() {
            assert_eq!(record.position.offset, next, "byte {at}");
            assert_eq!(record.payload, payload(next), "byte {at}");
            next += 1;
        }
    }
    missing.extend(next..15);
    assert!(missing.is_empty() || missing == [in_commit], "byte {at}: {missing:?} missing");
    let told = !recovered.damage.is_empty() || recovered.cut_bytes > 0 || in_commit == 14;
    assert!(missing.is_empty() || told, "byte {at}: {recovered:?}");
}

#[test]
fn every_byte_of_the_tail_flipped_loses_at_most_its_commit() {
    let config = Config { segment_bytes: 72 * 1024, spool_bytes_max: 20 * 72 * 1024, ..small() };
    let disk = SimulatedDisk::new(5, DISK_BYTES);
    let (spool, mut stepper, _) = Spool::open_stepped(disk.clone(), &config, 0).unwrap();
    append(&spool, Lane::Event, 0).unwrap();
    for n in 0..15 {
        append(&spool, Lane::Telemetry, n).unwrap();
        stepper.write().unwrap();
        stepper.keep().unwrap();
    }
    let tail = spool.handle.state.catalog().segments.telemetry.back().unwrap().name.clone();
    drop((spool, stepper));
    let disk = disk.power_cut(0);
    let bytes = disk.bytes(&tail).unwrap().len();
    assert!(bytes >= 65_536);
    std::thread::scope(|scope| {
        let odd = scope.spawn(|| (1..bytes).step_by(2).for_each(|at| flip(&disk, &config, &tail, at)));
        (0..bytes).step_by(2).for_each(|at| flip(&disk, &config, &tail, at));
        odd.join().unwrap();
    });
}

#[test]
fn damage_in_the_middle_is_set_aside_counted_and_read_past() {
    let disk = SimulatedDisk::new(6, DISK_BYTES);
    let (spool, mut stepper, _) = open(&disk);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    fill(&spool, &mut stepper, Lane::Telemetry, 0..20);
    let first = spool.handle.state.catalog().segments.telemetry[0].name.clone();
    drop((spool, stepper));
    disk.corrupt(&first, 3 * 4096 + 100, 1);
    let disk = disk.restart();
    let (spool, _, _) = open(&disk);
    let mut reader = spool.reader(Lane::Telemetry, 0);
    let before = reader.next_batch(usize::MAX).unwrap();
    assert_eq!((before.lost(), before.end()), (None, 2));
    let behind = reader.next_batch(usize::MAX).unwrap();
    assert_eq!(behind.lost(), Some(Lost { from: 2, to: 3, cause: LostCause::Damaged }));
    assert_eq!(behind.records().next().unwrap().position.offset, 3);
    let status = spool.status().unwrap();
    assert_eq!((status.quarantined, status.quarantined_bytes, status.lost), (1, 4096, 1));
    let piece = disk.names().into_iter().find(|name| name.starts_with("quarantine/")).unwrap();
    let damaged = disk.bytes(&first).unwrap()[3 * 4096..4 * 4096].to_vec();
    assert_eq!(disk.bytes(&piece).unwrap(), damaged);
}

#[test]
fn damaged_headers_and_footers_lose_nothing() {
    let disk = SimulatedDisk::new(7, DISK_BYTES);
    let (spool, mut stepper, _) = open(&disk);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    fill(&spool, &mut stepper, Lane::Telemetry, 0..20);
    let all = read_all(&spool, Lane::Telemetry, 0);
    let names: Vec<_> =
        spool.handle.state.catalog().segments.telemetry.iter().map(|segment| segment.name.clone()).collect();
    drop((spool, stepper));
    let footer = SEGMENT_BYTES_MIN as usize - 4096 + 20;
    for (name, at) in names.iter().flat_map(|name| [(name, 20), (name, footer)]) {
        let disk = disk.restart();
        disk.corrupt(name, at, 0xff);
        let (spool, _, recovered) = open(&disk);
        let last_footer = name == names.last().unwrap() && at == footer;
        assert_eq!(recovered.damage.len(), usize::from(!last_footer), "{:?}", recovered.damage);
        assert_eq!(read_all(&spool, Lane::Telemetry, 0), all, "{name} byte {at}");
        drop(spool);
        assert_eq!(open(&disk).2.damage, [""; 0], "mended");
    }
}

#[test]
fn segments_that_are_gone_are_said_to_be_lost() {
    let disk = SimulatedDisk::new(8, DISK_BYTES);
    let (spool, mut stepper, _) = open(&disk);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    fill(&spool, &mut stepper, Lane::Telemetry, 0..30);
    let (second, from, to) = {
        let catalog = spool.handle.state.catalog();
        let second = &catalog.segments.telemetry[1];
        (second.name.clone(), second.place.base, second.extent().end)
    };
    drop((spool, stepper));
    disk.delete(&second);
    let (spool, _, recovered) = open(&disk.restart());
    let lost = Lost { from, to, cause: LostCause::Damaged };
    assert_eq!(recovered.lost.telemetry, [lost]);
    let mut reader = spool.reader(Lane::Telemetry, from);
    assert_eq!(reader.next_batch(1).unwrap().lost(), Some(lost));
    assert_eq!(read_all(&spool, Lane::Telemetry, to).len() as u64, 30 - to);
}

#[test]
fn a_cursor_that_is_gone_begins_again_and_one_beyond_the_end_takes_the_offsets_along() {
    let disk = SimulatedDisk::new(9, DISK_BYTES);
    let (spool, mut stepper, _) = open(&disk);
    fill(&spool, &mut stepper, Lane::Event, 0..5);
    spool.cursor("file", Start::Oldest).unwrap().advance(Lane::Event, 5).unwrap();
    assert_eq!(spool.cursor("late", Start::Newest).unwrap().get(Lane::Event), 5);
    let tail = spool.handle.state.catalog().segments.event.back().unwrap().name.clone();
    drop((spool, stepper));

    let gone = disk.restart();
    gone.delete("cursors/file.cursor");
    assert_eq!(open(&gone).0.cursor("file", Start::Oldest).unwrap().get(Lane::Event), 0);

    // Registered at generation 1, moved at 2: the slot of generation 2 is the first one in the file.
    let torn = disk.restart();
    torn.corrupt("cursors/file.cursor", 20, 1);
    let (spool, _, recovered) = open(&torn);
    assert_eq!(recovered.damage, [""; 0]);
    assert_eq!(spool.cursor("file", Start::Newest).unwrap().get(Lane::Event), 0, "what it was before");
    drop(spool);

    let damaged = disk.restart();
    damaged.corrupt("cursors/file.cursor", 20, 1);
    damaged.corrupt("cursors/file.cursor", 4096 + 20, 1);
    let (spool, _, recovered) = open(&damaged);
    assert!(recovered.damage[0].contains("file"), "{:?}", recovered.damage);
    assert_eq!(spool.cursor("file", Start::Newest).unwrap().get(Lane::Event), 0);

    disk.corrupt(&tail, 5 * 4096 + 8, 1);
    let (spool, mut stepper, recovered) = open(&disk.restart());
    assert_eq!(recovered.ends.event, 5, "the cursor vouches for record 4, which is damaged");
    assert_eq!(recovered.lost.event, [Lost { from: 4, to: 5, cause: LostCause::Damaged }]);
    fill(&spool, &mut stepper, Lane::Event, 5..6);
    assert_eq!(read_all(&spool, Lane::Event, 5), [(5, payload(5))]);
    assert_eq!(spool.reader(Lane::Event, 4).next_batch(1).unwrap().lost().map(|lost| lost.to), Some(5));
}

#[test]
fn stale_blocks_of_earlier_uses_never_come_back() {
    let mut state = 11_u64;
    for seed in 0..60 {
        let mut disk = SimulatedDisk::new(seed, 7 * SEGMENT_BYTES_MIN);
        let mut next = 0;
        for _ in 0..8 {
            let config = Config { spool_bytes_max: 6 * SEGMENT_BYTES_MIN, ..small() };
            let (spool, mut stepper, recovered) = Spool::open_stepped(disk.clone(), &config, 0).unwrap();
            assert_eq!((recovered.damage.len(), recovered.ends.telemetry), (0, next));
            let cursor = spool.cursor("file", Start::Oldest).unwrap();
            assert!(
                read_all(&spool, Lane::Telemetry, cursor.get(Lane::Telemetry))
                    .iter()
                    .all(|(n, p)| *p == payload(*n))
            );
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for _ in 0..(state >> 33) % 40 {
                append(&spool, Lane::Telemetry, next).unwrap();
                next += 1;
                stepper.write().unwrap();
                cursor.advance(Lane::Telemetry, next).unwrap();
                stepper.keep().unwrap();
            }
            assert!(spool.handle.state.catalog().file_number <= 6, "files are used again");
            disk = disk.power_cut(state);
        }
    }
}
