//! What the disk itself takes for a sync, without which a latency says nothing.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    time::{Duration, Instant},
};

/// Syncs of each kind.
const SYNCS: u64 = 400;
/// Bytes of a block.
const BLOCK_BYTES: u64 = 4096;

/// Prints p50 and p99 of 4 KiB written into zero-filled blocks, with `fdatasync` and with O_DSYNC.
pub fn print_sync_times(when: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("blocks");
    let zeros = vec![0; usize::try_from(SYNCS * BLOCK_BYTES).expect("a small file")];
    std::fs::write(&path, zeros).expect("room for a small file");
    let file = OpenOptions::new().write(true).open(&path).expect("the file is there");
    file.sync_all().expect("the disk takes syncs");
    let plain = times(&file, true);
    let flags = rustix::fs::OFlags::DSYNC.bits().cast_signed();
    let at_once = OpenOptions::new().write(true).custom_flags(flags).open(&path).expect("the file is there");
    let direct = times(&at_once, false);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "disk {when}: fdatasync p50 {:.2} ms p99 {:.2} ms, O_DSYNC p50 {:.2} ms p99 {:.2} ms",
        ms(at(&plain, 50)),
        ms(at(&plain, 99)),
        ms(at(&direct, 50)),
        ms(at(&direct, 99)),
    );
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn times(file: &File, sync: bool) -> Vec<Duration> {
    let block = [0x5a; BLOCK_BYTES as usize];
    let one = |number: u64| {
        let begin = Instant::now();
        file.write_all_at(&block, number * BLOCK_BYTES).expect("the disk takes writes");
        if sync {
            file.sync_data().expect("the disk takes syncs");
        }
        begin.elapsed()
    };
    let mut times: Vec<Duration> = (0..SYNCS).map(one).collect();
    times.sort_unstable();
    times
}
