//! What the spool writes to the disk, and how long the disk takes for it.
//!
//! Every byte is counted where it leaves for the disk: commits with their padding, headers, footers, zeros of new
//! segments, cursors, gap summaries. What the file system writes on its own account comes on top.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::storage::{Lock, Storage, StorageFile, Synced};
use crate::clock::{Clock, Millis};

/// Upper ends of the classes in which commits are counted by the time their write and sync took, microseconds.
pub const COMMIT_CLASSES_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// Time between two samples of the bytes written.
const SAMPLE_MS: Millis = 60_000;

/// Samples kept: what is said of a day rests on the last hour.
const SAMPLES_MAX: usize = 60;

/// Below this, what was written is no measure of a day.
const SPAN_MS_MIN: Millis = 10_000;

/// What the spool has written since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Bytes handed to the disk.
    pub bytes: u64,
    /// Bytes a day at the rate of the last hour; none before there is something to go by.
    pub bytes_per_day: Option<u64>,
    /// Commits.
    pub commits: u64,
    /// Microseconds that their writes and syncs took, all together.
    pub commits_us: u64,
    /// Commits by the time they took: one number for each of [`COMMIT_CLASSES_US`], then those beyond.
    pub classes: Vec<u64>,
}

/// Counts what the spool writes.
#[derive(Debug)]
pub(super) struct Meter {
    clock: Clock,
    bytes: AtomicU64,
    commits_us: AtomicU64,
    classes: [AtomicU64; COMMIT_CLASSES_US.len() + 1],
    /// When, and bytes written by then; the oldest first.
    samples: Mutex<VecDeque<(Millis, u64)>>,
}

impl Meter {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            bytes: AtomicU64::new(0),
            commits_us: AtomicU64::new(0),
            classes: Default::default(),
            samples: Mutex::default(),
        }
    }

    fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A commit took this from its write to the disk's answer.
    pub(super) fn add_commit(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits_us.fetch_add(us, Ordering::Relaxed);
        let class = COMMIT_CLASSES_US.partition_point(|end_us| *end_us < us);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Remembers how much is written by this moment, once a minute.
    pub(super) fn sample(&self) {
        self.sample_at(self.clock.now_ms());
    }

    fn sample_at(&self, now_ms: Millis) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.back().is_some_and(|(last_ms, _)| now_ms < last_ms.saturating_add(SAMPLE_MS)) {
            return;
        }
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back((now_ms, self.bytes.load(Ordering::Relaxed)));
    }

    pub(super) fn writes(&self) -> Writes {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let classes: Vec<_> = self.classes.iter().map(|class| class.load(Ordering::Relaxed)).collect();
        let first = self.samples.lock().unwrap_or_else(PoisonError::into_inner).front().copied();
        let now_ms = self.clock.now_ms();
        Writes {
            bytes,
            bytes_per_day: first.and_then(|(at_ms, by_then)| {
                per_day(bytes.saturating_sub(by_then), now_ms.saturating_sub(at_ms))
            }),
            commits: classes.iter().sum(),
            commits_us: self.commits_us.load(Ordering::Relaxed),
            classes,
        }
    }
}

/// `bytes` in `span_ms`, over a day.
fn per_day(bytes: u64, span_ms: Millis) -> Option<u64> {
    const DAY_MS: u128 = 24 * 60 * 60 * 1000;
    if span_ms < SPAN_MS_MIN {
        return None;
    }
    u64::try_from(u128::from(bytes) * DAY_MS / u128::from(span_ms)).ok()
}

/// A storage whose writes are counted.
pub(super) struct Metered {
    inner: Arc<dyn Storage>,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn new(inner: Arc<dyn Storage>, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }

    fn meter(&self, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(MeteredFile { inner, meter: Arc::clone(&self.meter) })
    }
}

impl Storage for Metered {
    fn directory(&self) -> PathBuf {
        self.inner.directory()
    }

    fn prepare(&self, folders: &[&str]) -> io::Result<()> {
        self.inner.prepare(folders)
    }

    fn lock(&self) -> io::Result<Option<Lock>> {
        self.inner.lock()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn create(
        &self,
        name: &str,
        bytes: u64,
        has_leisure: &dyn Fn() -> bool,
    ) -> io::Result<Arc<dyn StorageFile>> {
        let file = self.inner.create(name, bytes, has_leisure)?;
        self.meter.add_bytes(bytes);
        Ok(self.meter(file))
    }

    fn open(&self, name: &str, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        self.inner.open(name, write).map(|file| self.meter(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }

    fn random(&self) -> io::Result<u32> {
        self.inner.random()
    }
}

struct MeteredFile {
    inner: Arc<dyn StorageFile>,
    meter: Arc<Meter>,
}

impl StorageFile for MeteredFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_synced(&self, bytes: &[u8], offset: u64) -> io::Result<Synced> {
        let synced = self.inner.write_synced(bytes, offset)?;
        self.meter.add_bytes(bytes.len() as u64);
        Ok(synced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_by_the_time_they_took() {
        let meter = Meter::new(Clock::start());
        for us in [250, 251, 20_000_000] {
            meter.add_commit(Duration::from_micros(us));
        }
        let writes = meter.writes();
        assert_eq!((writes.commits, writes.commits_us), (3, 20_000_501));
        assert_eq!((writes.classes[0], writes.classes[1], writes.classes[14]), (1, 1, 1));
    }

    #[test]
    fn a_day_is_reckoned_from_what_a_while_has_shown() {
        assert_eq!(per_day(1_000, 9_999), None);
        assert_eq!(per_day(1_000, 10_000), Some(8_640_000));
        assert_eq!(per_day(0, 60_000), Some(0));
    }

    #[test]
    fn samples_are_a_minute_apart_and_no_more_than_an_hour() {
        let meter = Meter::new(Clock::start());
        for second in 0..7_200 {
            meter.sample_at(second * 1_000);
        }
        let samples = meter.samples.lock().unwrap();
        assert_eq!(samples.len(), SAMPLES_MAX);
        assert_eq!(samples.front().unwrap().0, 3_600_000);
        assert_eq!(samples.back().unwrap().0, 7_140_000);
    }
}
