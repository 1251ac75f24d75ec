//! What the spool costs: CPU a record and time to durable with 1, 16 and 256 records of 256 bytes in flight, beside the
//! disk's own sync. `cargo bench -p tidegate --bench spool [-- DIRECTORY]`; the directory says which disk.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures are printed with two digits")]

use std::{
    error::Error,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tidegate::spool::{
    ClockQuality, Config, Disk, Envelope, Kind, Lane, Protocol, Spool, Start, Uid, Unavailable,
};

const PAYLOAD: [u8; 256] = [b'x'; 256];
const RECORDS: u64 = 200_000;
const SECONDS_MAX: f64 = 10.0;
const SYNCS: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let temporary = tempfile::tempdir()?;
    let directory = named.map_or_else(|| temporary.path().to_owned(), Into::into);
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("disk: {}, load average {}", directory.display(), load.trim());
    sync_alone(&directory)?;
    append_alone(&directory.join("append"))?;
    for in_flight in [1, 16, 256, 4_096] {
        run(&directory.join(format!("spool-{in_flight}")), in_flight)?;
    }
    Ok(())
}

/// Seconds on `clock`.
fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values.get(values.len() * part / 100).copied().unwrap_or_default() * 1e3;
    (at(50), at(99))
}

/// A 4 KiB write and fdatasync in a file that is there already.
fn sync_alone(directory: &Path) -> Result<(), Box<dyn Error>> {
    let path = directory.join("sync-alone");
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; 4096 * SYNCS], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for block in 0..SYNCS {
        let began = seconds(ClockId::Monotonic);
        file.write_all_at(&[1; 4096], block as u64 * 4096)?;
        file.sync_data()?;
        times.push(seconds(ClockId::Monotonic) - began);
    }
    std::fs::remove_file(path)?;
    let (p50, p99) = percentiles(times);
    println!("the disk's own fdatasync: p50 {p50:.3} ms, p99 {p99:.3} ms");
    Ok(())
}

fn envelope(sequence: u64) -> Envelope<'static> {
    Envelope {
        kind: Kind::Message,
        device: "sensor_1",
        uid: Uid::Device { boot: 1, sequence },
        topic: "telemetry",
        protocol: Protocol::Mqtt5,
        qos: 1,
        content_type: None,
        user_properties: Vec::new(),
        ts_dev: None,
        uptime_dev: None,
        ts_gw: 1_700_000_000_000 + sequence,
        mono_gw: sequence,
        boot_gw: 1,
        clock: ClockQuality::Synchronised,
    }
}

/// The append by itself: nothing is written meanwhile.
fn append_alone(directory: &Path) -> Result<(), Box<dyn Error>> {
    let config = Config { segment_bytes: 64 << 20, pending_bytes_max: 64 << 20, ..Config::default() };
    let (spool, mut stepper, _) = Spool::open_stepped(Disk::new(directory), &config, 0)?;
    for round in ["first round", "buffers used again"] {
        let began = seconds(ClockId::ThreadCPUTime);
        let mut appended = 0_u32;
        while appended < 8_000
            && spool.append(Lane::Telemetry, &envelope(appended.into()), 0, &PAYLOAD).is_ok()
        {
            appended += 1;
        }
        let spent = seconds(ClockId::ThreadCPUTime) - began;
        println!("append alone, {round}: {:.3} µs a record", spent * 1e6 / f64::from(appended));
        while stepper.write()? {}
        stepper.keep()?;
    }
    Ok(())
}

/// Keeps `in_flight` records on their way until enough are durable.
fn run(directory: &Path, in_flight: u64) -> Result<(), Box<dyn Error>> {
    let (spool, _) = Spool::open(Disk::new(directory), &Config::default(), 0)?;
    let cursor = spool.cursor("bench", Start::Oldest)?;
    let woken = Arc::new((Mutex::new(false), Condvar::new()));
    let wake = Arc::clone(&woken);
    spool.watermark().on_commit(Box::new(move || {
        *wake.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.1.notify_one();
    }));
    let (began, cpu_began) = (seconds(ClockId::Monotonic), seconds(ClockId::ProcessCPUTime));
    let (mut appended, mut durable, mut times) = (0, 0, Vec::new());
    let mut sent_at = std::collections::VecDeque::new();
    while durable < RECORDS && seconds(ClockId::Monotonic) - began < SECONDS_MAX {
        while appended < durable + in_flight {
            match spool.append_held(Lane::Telemetry, &envelope(appended), 0, &PAYLOAD) {
                Ok(_) => appended += 1,
                Err(Unavailable::Busy) => break,
                Err(error) => return Err(error.into()),
            }
        }
        spool.release();
        sent_at.push_back((appended, seconds(ClockId::Monotonic)));
        let held = woken.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = woken.1.wait_timeout_while(held, Duration::from_millis(100), |woken| !*woken);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
        durable = spool.watermark().durable().end(Lane::Telemetry);
        while let Some((_, sent)) = sent_at.pop_front_if(|(end, _)| *end <= durable) {
            times.push(seconds(ClockId::Monotonic) - sent);
        }
        if durable.is_multiple_of(50_000) {
            cursor.advance(Lane::Telemetry, durable)?;
        }
    }
    let cpu = seconds(ClockId::ProcessCPUTime) - cpu_began;
    let rate = durable as f64 / (seconds(ClockId::Monotonic) - began);
    let (p50, p99) = percentiles(times);
    let each = cpu * 1e6 / durable as f64;
    println!(
        "{in_flight} in flight: {rate:.0} records/s, {each:.2} µs CPU a record, durable after p50 {p50:.3} ms, p99 {p99:.3} ms"
    );
    Ok(())
}
