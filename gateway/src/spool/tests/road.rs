//! The way of a record on a real disk: append, commit, sync, watermark, reader, cursor.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

fn open(directory: &std::path::Path, config: &Config) -> (Spool, Recovered) {
    Spool::open(Disk::new(directory), config, 1_000).unwrap()
}

#[test]
fn a_record_is_durable_read_confirmed_and_still_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = small();
    let (spool, recovered) = open(directory.path(), &config);
    assert_eq!(recovered, Recovered::default());
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    spool.watermark().on_commit(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let cursor = spool.cursor("file", Start::Oldest).unwrap();

    let mut envelope = message("sensor_1", 1, 1_000);
    envelope.content_type = Some("application/json");
    envelope.user_properties = vec![("a".into(), "b".into()), ("".into(), "ü".into())];
    envelope.ts_dev = Some(7);
    envelope.uptime_dev = Some(8);
    let position = spool.append(Lane::Event, &envelope, 9, b"hello").unwrap();
    assert_eq!(position, Position { lane: Lane::Event, offset: 0 });
    spool.drain().unwrap();
    assert!(spool.watermark().durable().covers(position));
    assert!(wakes.load(Ordering::Relaxed) > 0);

    let batch = spool.reader(Lane::Event, 0).next_batch(1 << 20).unwrap();
    let records: Vec<_> = batch.records().collect();
    assert_eq!(records, [Record { position, envelope, format: 9, payload: b"hello" }]);
    assert_eq!(records[0].uid_text(), "sensor_1/1/1");
    assert_eq!(batch.end(), 1);

    assert!(matches!(cursor.advance(Lane::Event, 2), Err(CursorError::Ahead)));
    cursor.advance(Lane::Event, 1).unwrap();
    cursor.advance(Lane::Event, 0).unwrap();
    spool.close().unwrap();
    assert_eq!(spool.append(Lane::Event, &message("a", 1, 1), 0, b""), Err(Unavailable::Closed));
    drop((spool, cursor));

    let (spool, recovered) = open(directory.path(), &config);
    assert_eq!(recovered.ends, PerLane { event: 1, telemetry: 0 });
    assert_eq!(recovered.damage, [""; 0]);
    assert_eq!(spool.cursor("file", Start::Newest).unwrap().get(Lane::Event), 1);
    assert_eq!(read_all(&spool, Lane::Event, 0), [(0, b"hello".to_vec())]);
}

#[test]
fn many_records_over_many_segments_come_back_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { spool_bytes_max: 100 * SEGMENT_BYTES_MIN, ..small() };
    let (spool, _) = open(directory.path(), &config);
    let _cursor = spool.cursor("file", Start::Oldest).unwrap();
    let payload = |n: u64| format!("{n}").repeat(40).into_bytes();
    for n in 0..3_000 {
        loop {
            match spool.append(Lane::Telemetry, &message("sensor_1", n, n), 0, &payload(n)) {
                Ok(position) => break assert_eq!(position.offset, n),
                Err(Unavailable::Busy) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    spool.drain().unwrap();
    let expected: Vec<_> = (0..3_000).map(|n| (n, payload(n))).collect();
    assert_eq!(read_all(&spool, Lane::Telemetry, 0), expected);
    assert_eq!(read_all(&spool, Lane::Telemetry, 1_234), expected[1_234..]);
    assert_eq!(spool.offset_at(Lane::Telemetry, 2_345).unwrap(), 2_345);
    assert_eq!(spool.offset_at(Lane::Telemetry, 9_999).unwrap(), 3_000);
    let status = spool.status().unwrap();
    assert!(status.lanes.telemetry.segments > 5);
    assert_eq!(status.lanes.telemetry.oldest_ts_gw, Some(0));
    assert_eq!(status.cursors[0].lanes.telemetry.lag, 3_000);
    drop((spool, _cursor));
    let (spool, recovered) = open(directory.path(), &config);
    assert_eq!(recovered.damage, [""; 0]);
    assert_eq!(read_all(&spool, Lane::Telemetry, 0), expected);
}

#[test]
fn a_directory_belongs_to_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let name = "TIDEGATE_TEST_LOCKED_DIRECTORY";
    if let Some(held) = std::env::var_os(name) {
        let error = Spool::open(Disk::new(held), &small(), 0).unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        return;
    }
    let (spool, _) = open(directory.path(), &small());
    let test = "spool::tests::road::a_directory_belongs_to_one_process";
    let other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(name, directory.path())
        .output()
        .unwrap();
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
    let error = Spool::open(Disk::new(directory.path()), &small(), 0).unwrap_err().to_string();
    assert!(error.contains(directory.path().to_str().unwrap()), "{error}");
    drop(spool);
    drop(open(directory.path(), &small()));
}
