//! Each limit, reached.

use super::*;

const DISK_BYTES: u64 = 200 * SEGMENT_BYTES_MIN;

fn open(disk: &SimulatedDisk, config: &Config) -> (Spool, Stepper) {
    let (spool, stepper, _) = Spool::open_stepped(disk.clone(), config, 0).unwrap();
    (spool, stepper)
}

fn append(spool: &Spool, lane: Lane, n: u64) -> Result<Position, Unavailable> {
    spool.append(
        lane,
        &message(if n.is_multiple_of(3) { "door" } else { "sensor_1" }, n, n),
        0,
        &[n as u8; 3_000],
    )
}

/// Appends until the answer is not yes; how many were taken, and the answer.
fn until_refused(spool: &Spool, stepper: &mut Stepper, lane: Lane) -> (u64, Unavailable) {
    for n in 0..10_000 {
        let next = spool.handle.state.pending().next(lane);
        if let Err(refused) = append(spool, lane, next) {
            return (n, refused);
        }
        while stepper.write().unwrap() {}
        stepper.keep().unwrap();
    }
    panic!("never refused")
}

#[test]
fn a_full_spool_refuses_keeps_a_reserve_for_events_and_takes_up_by_itself() {
    let (spool, mut stepper) = open(&SimulatedDisk::new(1, DISK_BYTES), &small());
    let cursor = spool.cursor("file", Start::Oldest).unwrap();
    let (taken, refused) = until_refused(&spool, &mut stepper, Lane::Telemetry);
    assert_eq!(refused, Unavailable::Full);
    assert!(taken > 50, "{taken}");
    let status = spool.status().unwrap();
    assert!(status.full && status.disk_bytes <= status.disk_bytes_max, "{status:?}");
    let (events, refused) = until_refused(&spool, &mut stepper, Lane::Event);
    assert_eq!(refused, Unavailable::Full);
    assert!(events >= 8, "a segment is kept for events, {events} went in");
    assert_eq!(read_all(&spool, Lane::Telemetry, 0).len() as u64, taken);

    cursor.advance(Lane::Telemetry, taken / 2).unwrap();
    stepper.keep().unwrap();
    append(&spool, Lane::Event, 0).unwrap();
    stepper.keep().unwrap();
    append(&spool, Lane::Telemetry, taken).unwrap();
    assert!(!spool.status().unwrap().full);
    spool.remove_cursor("file").unwrap();
    stepper.keep().unwrap();
    assert!(spool.handle.state.pending().blanks() >= 2);
}

#[test]
fn by_choice_the_oldest_goes_and_gap_records_stand_in_its_place() {
    let config = Config { when_full: WhenFull::DropOldest, ..small() };
    let disk = SimulatedDisk::new(2, DISK_BYTES);
    let (spool, mut stepper) = open(&disk, &config);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    for n in 0..600 {
        append(&spool, Lane::Telemetry, n).unwrap();
        while stepper.write().unwrap() {}
        stepper.keep().unwrap();
    }
    let status = spool.status().unwrap();
    let dropped = status.lanes.telemetry.oldest;
    assert_eq!(status.dropped, dropped);
    assert!(
        disk.names().iter().filter(|name| name.starts_with("gaps/")).count() <= super::super::gap::GAPS_MAX
    );
    drop((spool, stepper));

    let (spool, _) = open(&disk.power_cut(3), &config);
    let mut reader = spool.reader(Lane::Telemetry, 0);
    let (mut counted, mut records) = (std::collections::HashMap::new(), 0);
    let mut last = None;
    loop {
        let batch = reader.next_batch(1).unwrap();
        if batch.is_empty() {
            break;
        }
        assert_eq!(batch.lost(), None);
        for record in batch.records() {
            assert!(last < Some(record.position.offset), "in order");
            last = Some(record.position.offset);
            if record.envelope.kind == Kind::Gap {
                let summary: GapSummary = serde_json::from_slice(record.payload).unwrap();
                assert_eq!(
                    (summary.reason.as_str(), summary.to_offset),
                    ("drop-oldest", record.position.offset)
                );
                *counted.entry(record.envelope.device.to_owned()).or_insert(0) += summary.count;
            } else {
                records += 1;
            }
        }
    }
    assert_eq!(counted["door"], dropped.div_ceil(3));
    assert_eq!(counted["door"] + counted["sensor_1"], dropped);
    assert_eq!(records, 600 - dropped);
}

#[test]
fn what_waits_for_the_disk_is_limited() {
    let (spool, mut stepper) = open(&SimulatedDisk::new(3, DISK_BYTES), &small());
    let mut taken = 0;
    while append(&spool, Lane::Telemetry, taken).is_ok() {
        taken += 1;
    }
    assert_eq!(append(&spool, Lane::Telemetry, taken), Err(Unavailable::Busy));
    assert_eq!(taken, 5, "of 3 kB each in 16 KiB");
    while stepper.write().unwrap() {}
    append(&spool, Lane::Telemetry, taken).unwrap();
}

#[test]
fn what_fits_into_no_commit_is_too_large() {
    let (spool, mut stepper) = open(&SimulatedDisk::new(4, DISK_BYTES), &small());
    let largest = 8 * 1024 - 64 - record::encoded_len(&message("d", 0, 0), &[]).unwrap();
    let append = |envelope: &Envelope<'_>, bytes| spool.append(Lane::Event, envelope, 0, &vec![7; bytes]);
    append(&message("d", 0, 0), largest).unwrap();
    assert_eq!(append(&message("d", 0, 0), largest + 1), Err(Unavailable::TooLarge));
    let long = "t".repeat(65_536);
    let properties = vec![("k".into(), "v".into()); USER_PROPERTIES_MAX + 1];
    for wrong in [
        Envelope { topic: &long, ..message("d", 0, 0) },
        Envelope { content_type: Some(&long), ..message("d", 0, 0) },
        Envelope { device: &long[..65], ..message("d", 0, 0) },
        Envelope { qos: 3, ..message("d", 0, 0) },
        Envelope { user_properties: properties, ..message("d", 0, 0) },
        Envelope { user_properties: vec![("k".into(), long.as_str().into())], ..message("d", 0, 0) },
    ] {
        assert_eq!(append(&wrong, 0), Err(Unavailable::TooLarge));
    }
    stepper.write().unwrap();
    assert_eq!(read_all(&spool, Lane::Event, 0)[0].1.len(), largest);
}

#[test]
fn reject_records_have_a_share_of_their_own() {
    let config = Config { rejects_share_percent: 2, ..small() };
    let disk = SimulatedDisk::new(5, DISK_BYTES);
    let (spool, mut stepper) = open(&disk, &config);
    let reject = Envelope { kind: Kind::Reject, ..message("sensor_1", 0, 0) };
    let mut taken = 0;
    while spool.append(Lane::Telemetry, &reject, 0, &[0; 1_000]).is_ok() {
        taken += 1;
        stepper.write().unwrap();
    }
    assert_eq!(spool.append(Lane::Telemetry, &reject, 0, &[0; 1_000]), Err(Unavailable::RejectsFull));
    append(&spool, Lane::Telemetry, 0).unwrap();
    stepper.write().unwrap();
    let status = spool.status().unwrap();
    assert_eq!(status.rejects, taken);
    assert!(status.rejects_bytes <= config.spool_bytes_max / 50);
    drop((spool, stepper));
    let (spool, _) = open(&disk.restart(), &config);
    assert_eq!(spool.append(Lane::Telemetry, &reject, 0, &[0; 1_000]), Err(Unavailable::RejectsFull));
}

#[test]
fn a_full_file_system_is_met_before_anyone_waits() {
    let config = Config { spool_bytes_max: 1_000 * SEGMENT_BYTES_MIN, ..small() };
    let disk = SimulatedDisk::new(6, 6 * SEGMENT_BYTES_MIN);
    let (spool, mut stepper) = open(&disk, &config);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    let (taken, refused) = until_refused(&spool, &mut stepper, Lane::Telemetry);
    assert_eq!(refused, Unavailable::Full);
    assert_eq!(spool.watermark().durable().end(Lane::Telemetry), taken);
    assert_eq!(spool.watermark().failure(), None);
    disk.set_bytes_max(DISK_BYTES);
    stepper.keep().unwrap();
    append(&spool, Lane::Telemetry, taken).unwrap();

    let none = SimulatedDisk::new(7, 1_000);
    let error = Spool::open_stepped(none, &config, 0).unwrap_err();
    assert!(matches!(error, OpenError::NoRoom { .. }), "{error}");
}

#[test]
fn others_keep_their_part_of_the_file_system() {
    let reserve_free_bytes = 10 * SEGMENT_BYTES_MIN;
    let config = Config { spool_bytes_max: 1_000 * SEGMENT_BYTES_MIN, reserve_free_bytes, ..small() };
    let disk = SimulatedDisk::new(8, 20 * SEGMENT_BYTES_MIN);
    let (spool, mut stepper) = open(&disk, &config);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    assert_eq!(until_refused(&spool, &mut stepper, Lane::Telemetry).1, Unavailable::Full);
    assert!(disk.free_bytes().unwrap() >= reserve_free_bytes);
}

#[test]
fn delivered_records_stay_as_long_as_the_owner_says() {
    let config = Config { keep: std::time::Duration::from_millis(1_000), ..small() };
    let (spool, mut stepper) = open(&SimulatedDisk::new(9, DISK_BYTES), &config);
    let cursor = spool.cursor("file", Start::Oldest).unwrap();
    for n in 0..30 {
        append(&spool, Lane::Telemetry, n).unwrap();
        stepper.write().unwrap();
        stepper.keep().unwrap();
    }
    cursor.advance(Lane::Telemetry, 30).unwrap();
    stepper.keep().unwrap();
    assert_eq!(spool.status().unwrap().lanes.telemetry.oldest, 0);
    spool.note_time(10_000);
    stepper.keep().unwrap();
    let status = spool.status().unwrap();
    assert_eq!(status.lanes.telemetry.segments, 1);
    assert!(status.lanes.telemetry.oldest > 20);
    let expired = spool.reader(Lane::Telemetry, 3).next_batch(1).unwrap().lost().unwrap();
    assert_eq!(expired, Lost { from: 3, to: status.lanes.telemetry.oldest, cause: LostCause::Expired });
}

#[test]
fn consumers_and_their_names_are_limited() {
    let (spool, _) = open(&SimulatedDisk::new(10, DISK_BYTES), &small());
    for name in ["", "a/b", "..", "ü"] {
        assert!(matches!(spool.cursor(name, Start::Oldest), Err(CursorError::Name)));
    }
    for n in 0..CONSUMERS_MAX {
        spool.cursor(&format!("c{n}"), Start::Oldest).unwrap();
    }
    spool.cursor("c0", Start::Oldest).unwrap();
    assert!(matches!(spool.cursor("more", Start::Oldest), Err(CursorError::TooMany)));
}

#[test]
fn recent_records_in_memory_are_limited_and_older_ones_come_from_the_disk() {
    let disk = SimulatedDisk::new(11, DISK_BYTES);
    let (spool, mut stepper) = open(&disk, &small());
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    for n in 0..20 {
        append(&spool, Lane::Event, n).unwrap();
        stepper.write().unwrap();
        stepper.keep().unwrap();
    }
    let before = disk.operations();
    assert_eq!(read_all(&spool, Lane::Event, 18).len(), 2);
    assert_eq!(disk.operations(), before, "what is recent is read without the disk");
    assert_eq!(read_all(&spool, Lane::Event, 0).len(), 20);
    assert!(disk.operations() > before);
}

#[test]
fn a_lower_max_disk_gives_room_back() {
    let disk = SimulatedDisk::new(12, DISK_BYTES);
    let (spool, mut stepper) = open(&disk, &small());
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    until_refused(&spool, &mut stepper, Lane::Telemetry);
    spool.remove_cursor("file").unwrap();
    drop((spool, stepper));
    let smaller = Config { spool_bytes_max: 7 * SEGMENT_BYTES_MIN, ..small() };
    let (spool, mut stepper) = open(&disk.restart(), &smaller);
    stepper.keep().unwrap();
    let status = spool.status().unwrap();
    assert!(status.disk_bytes <= status.disk_bytes_max, "{status:?}");
}

#[test]
fn inspection_tells_what_is_there_and_what_is_damaged() {
    let disk = SimulatedDisk::new(13, DISK_BYTES);
    let (spool, mut stepper) = open(&disk, &small());
    let cursor = spool.cursor("file", Start::Oldest).unwrap();
    for n in 5..25 {
        append(&spool, Lane::Telemetry, n).unwrap();
        stepper.write().unwrap();
        stepper.keep().unwrap();
    }
    cursor.advance(Lane::Telemetry, 7).unwrap();
    let found = look(&disk, true).unwrap();
    assert!(found.is_sound(), "{found}");
    let text = found.to_string();
    for part in
        ["sound", "cursor file: event 0, telemetry 7", "oldest record 0 arrived at 5 ms", "event: 0 segments"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["cursors"][0]["offsets"]["telemetry"], 7);
    let first = found.segments[0].name.clone();
    disk.corrupt(&first, 2 * 4096 + 70, 1);
    assert!(look(&disk, false).unwrap().is_sound(), "a sealed segment is only looked into by verify");
    let found = look(&disk, true).unwrap();
    assert_eq!(found.damage.len(), 1);
    assert!(found.to_string().contains("records 1..2 are lost"), "{found}");
}

#[test]
fn what_was_given_up_does_not_come_back_with_the_power() {
    let disk = SimulatedDisk::new(14, DISK_BYTES);
    let (spool, mut stepper) = open(&disk, &small());
    let cursor = spool.cursor("file", Start::Oldest).unwrap();
    let (taken, _) = until_refused(&spool, &mut stepper, Lane::Telemetry);
    cursor.advance(Lane::Telemetry, taken).unwrap();
    stepper.keep().unwrap();
    let oldest = spool.status().unwrap().lanes.telemetry.oldest;
    assert!(oldest > 0, "something was given up");
    drop((spool, stepper));
    let (_, _, recovered) = Spool::open_stepped(disk.power_cut(1), &small(), 0).unwrap();
    assert_eq!(recovered.oldest.telemetry, oldest);
}

#[test]
fn max_disk_as_reckoned_holds_the_outage_and_little_more() {
    for hours in [1, 3, 24] {
        let load =
            Load { devices: 10, records_per_day: 4_800, payload_bytes: 3_000, outputs: 1, cursor_ms: 500 };
        let outage = std::time::Duration::from_secs(hours * 3_600);
        let sizing = size(&small(), &load, outage).unwrap();
        assert_eq!((sizing.commits_per_day, sizing.commit_bytes), (4_800, 4_096));
        let config = Config { spool_bytes_max: sizing.spool_bytes_max, ..small() };
        let (spool, mut stepper) = open(&SimulatedDisk::new(15, 2 * sizing.spool_bytes_max), &config);
        let _cursor = spool.cursor("file", Start::Oldest).unwrap();
        append(&spool, Lane::Event, 0).unwrap();
        let (taken, refused) = until_refused(&spool, &mut stepper, Lane::Telemetry);
        assert_eq!(refused, Unavailable::Full);
        let needed = 4_800 * hours / 24;
        // To a segment, of which there are at least as many as a spool must have.
        let a_segment = SEGMENT_BYTES_MIN / 4_096;
        let most = (needed * 102 / 100).max(SEGMENTS_MIN * a_segment) + 2 * a_segment;
        assert!((needed..=most).contains(&taken), "{hours} h: {taken} taken, {needed} needed");
    }
}
