//! Who waits for what: a commit for its interval, an append for a segment that is being made ready.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::*;

const DISK_BYTES: u64 = 200 * SEGMENT_BYTES_MIN;

/// Far more than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(8);

fn append(spool: &Spool, n: u64) -> Result<Position, Unavailable> {
    spool.append(Lane::Telemetry, &message("sensor_1", n, n), 0, &[7; 3_000])
}

fn with_interval(ms: u64) -> Spool {
    let config = Config { commit_interval_ms: Some(ms), ..Config::default() };
    let config = Config { spool_bytes_max: 100 * SEGMENT_BYTES_MIN, reserve_free_bytes: 0, ..config };
    Spool::open(SimulatedDisk::new(20, DISK_BYTES), &config, 0).unwrap().0
}

fn commits_when_durable(spool: &Spool, last: Position) -> u64 {
    let begin = Instant::now();
    while !spool.watermark().durable().covers(last) {
        assert!(begin.elapsed() < LONG, "never durable");
        std::thread::sleep(Duration::from_millis(1));
    }
    // The count follows the watermark closely: they are of the same thread.
    spool.drain().unwrap();
    spool.status().unwrap().writes.commits
}

#[test]
fn readings_within_the_interval_share_a_commit_that_comes_not_before_its_end() {
    let spool = with_interval(400);
    let begin = Instant::now();
    let mut last = None;
    for n in 0..20 {
        last = Some(spool.append(Lane::Telemetry, &message("sensor_1", n, n), 0, b"1").unwrap());
    }
    let appended = begin.elapsed();
    let commits = commits_when_durable(&spool, last.unwrap());
    assert!(begin.elapsed() >= Duration::from_millis(400));
    // A machine that stood still between two appends may have made two of it.
    assert!(commits == 1 || appended > Duration::from_millis(300), "{commits} commits, {appended:?}");

    let hasty = with_interval(0);
    let first = hasty.append(Lane::Telemetry, &message("sensor_1", 0, 0), 0, b"1").unwrap();
    let begin = Instant::now();
    commits_when_durable(&hasty, first);
    assert!(begin.elapsed() < Duration::from_millis(400), "without an interval nobody waits");
}

#[test]
fn who_drains_or_closes_does_not_wait_out_the_interval() {
    let spool = with_interval(COMMIT_INTERVAL_MS_MAX);
    let begin = Instant::now();
    let position = append(&spool, 0).unwrap();
    spool.drain().unwrap();
    assert!(spool.watermark().durable().covers(position));
    let position = append(&spool, 1).unwrap();
    spool.close().unwrap();
    assert!(spool.watermark().durable().covers(position));
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
}

#[test]
fn who_was_told_to_wait_is_woken_by_a_segment_made_ready() {
    let config = Config { spool_bytes_max: 100 * SEGMENT_BYTES_MIN, ..small() };
    let (spool, mut stepper, _) =
        Spool::open_stepped(SimulatedDisk::new(21, DISK_BYTES), &config, 0).unwrap();
    let refused = (0..1_000).find_map(|n| {
        let refused = append(&spool, n).err();
        while stepper.write().unwrap() {}
        refused
    });
    assert_eq!(refused, Some(Unavailable::Busy), "the next segment is the event lane's");
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    spool.watermark().on_commit(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    stepper.keep().unwrap();
    assert!(wakes.load(Ordering::Relaxed) > 0, "no commit comes that would wake it");
    assert!(append(&spool, 0).is_ok());
}

/// What to do at the next synced write.
type Look = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A disk on which a test looks around while it writes.
struct Watched {
    disk: SimulatedDisk,
    look: Look,
}

struct WatchedFile {
    file: Arc<dyn StorageFile>,
    look: Look,
}

impl Watched {
    fn watch(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(WatchedFile { file, look: Arc::clone(&self.look) })
    }
}

impl Storage for Watched {
    fn directory(&self) -> PathBuf {
        self.disk.directory()
    }
    fn prepare(&self, folders: &[&str]) -> io::Result<()> {
        self.disk.prepare(folders)
    }
    fn lock(&self) -> io::Result<Option<Lock>> {
        self.disk.lock()
    }
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn create(
        &self,
        name: &str,
        bytes: u64,
        has_leisure: &dyn Fn() -> bool,
    ) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.create(name, bytes, has_leisure).map(|file| self.watch(file))
    }
    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.open(name, write).map(|file| self.watch(file))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
    fn random(&self) -> io::Result<u32> {
        self.disk.random()
    }
}

impl StorageFile for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_synced(&self, bytes: &[u8], offset: u64) -> io::Result<Synced> {
        let look = self.look.lock().unwrap().take();
        if let Some(look) = look {
            look();
        }
        self.file.write_synced(bytes, offset)
    }
}

#[test]
fn while_a_segment_is_made_ready_there_is_nothing_full() {
    let look = Look::default();
    let disk = Watched { disk: SimulatedDisk::new(22, DISK_BYTES), look: Arc::clone(&look) };
    let (spool, mut stepper, _) = Spool::open_stepped(disk, &small(), 0).unwrap();
    let cursor = spool.cursor("file", Start::Oldest).unwrap();
    let mut taken = 0;
    let refused = loop {
        match append(&spool, taken) {
            Ok(_) => taken += 1,
            Err(Unavailable::Busy) => {}
            Err(refused) => break refused,
        }
        while stepper.write().unwrap() {}
        stepper.keep().unwrap();
    };
    assert_eq!(refused, Unavailable::Full);
    cursor.advance(Lane::Telemetry, taken).unwrap();
    let (seen, looker) = (Arc::new(Mutex::new(None)), spool.clone());
    let note = Arc::clone(&seen);
    *look.lock().unwrap() = Some(Box::new(move || *note.lock().unwrap() = Some(append(&looker, taken))));
    stepper.keep().unwrap();
    assert_eq!(seen.lock().unwrap().take(), Some(Err(Unavailable::Busy)), "it is a matter of waiting");
    assert!(append(&spool, taken).is_ok());
}
