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

/// A spool on the simulated disk, which is quick, after enough commits to know that it is.
fn quick() -> Spool {
    let (spool, _) = Spool::open(SimulatedDisk::new(7, 1 << 30), &Config::default(), 1_000).unwrap();
    make_quick(&spool);
    spool
}

/// A machine that was busy with something else for a moment makes the disk look slow.
fn make_quick(spool: &Spool) {
    while !spool.handle.state.may_write_out() {
        spool.append(Lane::Telemetry, &message("sensor_1", 1, 1_000), 0, b"x").unwrap();
        spool.drain().unwrap();
    }
}

#[test]
fn on_a_quick_disk_the_thread_that_has_appended_writes() {
    let spool = quick();
    let writers = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&writers);
    spool.watermark().on_commit(Box::new(move || noted.lock().unwrap().push(std::thread::current().id())));
    // The spool's thread may be busy with the commit before, and then writes this one too.
    let wrote = (0..1_000).any(|_| {
        make_quick(&spool);
        let position = spool.append_held(Lane::Event, &message("sensor_1", 1, 1_000), 0, b"x").unwrap();
        spool.write_out();
        let durable = spool.watermark().durable().covers(position);
        spool.drain().unwrap();
        durable && writers.lock().unwrap().contains(&std::thread::current().id())
    });
    assert!(wrote);
}

#[test]
fn a_slow_commit_hands_the_writing_back_to_the_spools_thread() {
    let spool = quick();
    spool.handle.state.pace.note(std::time::Duration::from_secs(2));
    let position = spool.append_held(Lane::Event, &message("sensor_1", 1, 1_000), 0, b"x").unwrap();
    let writers = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&writers);
    spool.watermark().on_commit(Box::new(move || noted.lock().unwrap().push(std::thread::current().id())));
    spool.write_out();
    spool.drain().unwrap();
    assert!(spool.watermark().durable().covers(position));
    assert!(!writers.lock().unwrap().contains(&std::thread::current().id()));
}

#[test]
fn what_several_threads_append_at_once_is_all_written_and_never_left_lying() {
    let spool = quick();
    let begin = spool.watermark().durable().end(Lane::Telemetry);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..2_000 {
                    let envelope = message("sensor_1", n, 1_000);
                    let position = spool.append_held(Lane::Telemetry, &envelope, 0, b"x").unwrap();
                    spool.write_out();
                    // Whoever holds the writer, or the spool's thread, writes it without a further word.
                    let began = std::time::Instant::now();
                    while !spool.watermark().durable().covers(position) {
                        assert!(began.elapsed().as_secs() < 20, "{position:?} is left lying");
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    assert_eq!(spool.watermark().durable().end(Lane::Telemetry) - begin, 6_000);
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
