//! How much disk a load needs, reckoned from the format: record, commit, padding, segments. Pure.

use std::time::Duration;

use super::{
    ClockQuality, Config, ConfigError, Envelope, Kind, Protocol, SEGMENT_BYTES_MIN, SEGMENTS_MIN, Uid,
    commit::COMMIT_HEADER_BYTES,
    config::Limits,
    cursor::FILE_BYTES,
    pending::EVENT_RESERVE_SEGMENTS,
    record,
    segment::{BLOCK, BLOCK_BYTES},
};

/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

const DAY_US: u64 = DAY_MS * 1000;

/// Microseconds that a disk takes for a commit at least: more often than this it makes none.
const COMMIT_US_MIN: u64 = 100;

/// Blocks written for each segment beside its commits: made ready, begun, sealed.
const SEGMENT_BLOCKS: u64 = 3;

/// Segments that the event lane writes to, beside the one that lies ready for it.
const EVENT_SEGMENTS: u64 = 1;

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Devices.
    pub devices: u32,
    /// Readings a day, of all devices together.
    pub records_per_day: u64,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Outputs, each with a cursor.
    pub outputs: u64,
    /// Milliseconds between two moves of a cursor, at least.
    pub cursor_ms: u64,
}

/// What a load means for the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Bytes of a record.
    pub record_bytes: u64,
    /// Commits a day, at most: without an interval each reading may be one.
    pub commits_per_day: u64,
    /// Bytes of a commit on disk, padding included.
    pub commit_bytes: u64,
    /// Bytes written to the disk in a day in which everything is delivered.
    pub written_bytes_per_day: u64,
    /// Bytes of commits that an outage leaves.
    pub outage_bytes: u64,
    /// The smallest `max_disk` that holds them.
    pub spool_bytes_max: u64,
}

/// What `load` means for a spool of `config`, whose `max_disk` does not count, and for an outage of all outputs.
///
/// # Errors
/// [`ConfigError`] when `config` cannot be, or a reading does not fit into it.
pub fn size(config: &Config, load: &Load, outage: Duration) -> Result<Sizing, ConfigError> {
    let limits = config.limits()?;
    let record_bytes = record_bytes(load)?;
    if record_bytes + COMMIT_HEADER_BYTES as u64 > limits.commit_bytes_max as u64 {
        return Err(too_large());
    }
    let records = load.records_per_day;
    let (commits_per_day, commit_bytes) = commits(&limits, records, record_bytes);
    let written = commits_per_day.saturating_mul(commit_bytes);
    let segments = written / (limits.segment_bytes - 2 * BLOCK) + 1;
    let cursor_writes = records.min(DAY_MS / load.cursor_ms.max(1)).saturating_mul(load.outputs);
    let beside = segments.saturating_mul(SEGMENT_BLOCKS).saturating_add(cursor_writes).saturating_mul(BLOCK);
    let outage_ms = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
    let outage_bytes =
        u128::from(commits_per_day) * u128::from(outage_ms) / u128::from(DAY_MS) * u128::from(commit_bytes);
    let outage_bytes = u64::try_from(outage_bytes).unwrap_or(u64::MAX);
    Ok(Sizing {
        record_bytes,
        commits_per_day,
        commit_bytes,
        written_bytes_per_day: written.saturating_add(beside),
        outage_bytes,
        spool_bytes_max: max_disk(config, load, outage_bytes, commit_bytes)?,
    })
}

/// Of a device that numbers its readings, which is the longer kind.
fn record_bytes(load: &Load) -> Result<u64, ConfigError> {
    let device = format!("sensor_{}", load.devices);
    let envelope = Envelope {
        kind: Kind::Message,
        device: &device,
        uid: Uid::Device { boot: 0, sequence: 0 },
        topic: "telemetry",
        protocol: Protocol::Mqtt5,
        qos: 1,
        content_type: None,
        user_properties: Vec::new(),
        ts_dev: None,
        uptime_dev: None,
        ts_gw: 0,
        mono_gw: 0,
        boot_gw: 0,
        clock: ClockQuality::Unknown,
    };
    let len = record::encoded_len(&envelope, &vec![0; load.payload_bytes]);
    len.and_then(|len| u64::try_from(len).ok()).ok_or_else(too_large)
}

fn too_large() -> ConfigError {
    ConfigError { key: "commit_bytes_max", why: "more than one reading takes".to_owned() }
}

/// Commits a day, and bytes of each on disk.
fn commits(limits: &Limits, records: u64, record_bytes: u64) -> (u64, u64) {
    let interval_us = u64::try_from(limits.commit_interval.as_micros()).unwrap_or(u64::MAX);
    // Readings far enough apart are a commit each; the disk and the interval say how many of these there can be.
    let by_time = DAY_US / interval_us.saturating_add(COMMIT_US_MIN);
    let header = COMMIT_HEADER_BYTES as u64;
    let room = (limits.commit_bytes_max as u64).saturating_sub(header).max(1);
    let by_size = records.saturating_mul(record_bytes).div_ceil(room);
    let commits = by_time.min(records).max(by_size).max(1);
    let each = header.saturating_add(records.saturating_mul(record_bytes).div_ceil(commits));
    (commits, each.next_multiple_of(BLOCK_BYTES as u64))
}

/// The smallest `max_disk` under which so many bytes of commits find room.
fn max_disk(config: &Config, load: &Load, outage_bytes: u64, commit_bytes: u64) -> Result<u64, ConfigError> {
    let holds = |spool_bytes_max| -> Result<bool, ConfigError> {
        let limits = Config { spool_bytes_max, ..config.clone() }.limits()?;
        Ok(capacity(&limits, load.outputs, commit_bytes) >= outage_bytes)
    };
    let mut enough = SEGMENTS_MIN * SEGMENT_BYTES_MIN;
    while !holds(enough)? {
        enough = enough.checked_mul(2).ok_or_else(too_large)?;
    }
    let mut short = enough / 2;
    // To a thousandth: an owner writes no more digits.
    while enough - short > enough / 1000 + 1 {
        let middle = short + (enough - short) / 2;
        // What is too small to be a spool at all is too small for this, too.
        if holds(middle).unwrap_or(false) {
            enough = middle;
        } else {
            short = middle;
        }
    }
    Ok(enough)
}

/// Bytes of commits of that size that the telemetry lane finds room for.
fn capacity(limits: &Limits, outputs: u64, commit_bytes: u64) -> u64 {
    let segments = limits.spool_bytes_max.saturating_sub(outputs * FILE_BYTES) / limits.segment_bytes;
    let telemetry = segments.saturating_sub(EVENT_SEGMENTS + EVENT_RESERVE_SEGMENTS as u64);
    let each = (limits.segment_bytes - 2 * BLOCK) / commit_bytes * commit_bytes;
    telemetry.saturating_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(records_per_second: u64) -> Load {
        Load {
            devices: 100,
            records_per_day: records_per_second * 86_400,
            payload_bytes: 40,
            outputs: 1,
            cursor_ms: 500,
        }
    }

    #[test]
    fn an_interval_saves_commits_where_there_is_more_than_one_reading_in_it() {
        let (plain, card) = (Config::default(), Config { sd_card: true, ..Config::default() });
        let outage = Duration::from_secs(6 * 3600);
        let plain = size(&plain, &load(100), outage).unwrap();
        let spared = size(&card, &load(100), outage).unwrap();
        assert_eq!((plain.commits_per_day, plain.commit_bytes), (8_640_000, 4096));
        assert_eq!(plain.outage_bytes, 8_640_000 / 4 * 4096);
        assert!((8..=10).contains(&(spared.commits_per_day / 86_400)), "{spared:?}");
        assert!(spared.written_bytes_per_day * 8 < plain.written_bytes_per_day);
        let seldom = Load { records_per_day: 24, ..load(1) };
        assert_eq!(
            size(&card, &seldom, outage).unwrap().commits_per_day,
            24,
            "an hour apart, each for itself"
        );
    }

    #[test]
    fn much_at_once_fills_commits_and_blocks() {
        let sizing = size(&Config::default(), &load(1_000_000), Duration::from_secs(60)).unwrap();
        assert_eq!(sizing.commits_per_day, 864_000_000, "as fast as a disk can be");
        assert_eq!(sizing.commit_bytes, 12 * 1024);
        let large = Load { payload_bytes: 2 << 20, ..load(1) };
        let error = size(&Config::default(), &large, Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.key, "commit_bytes_max");
    }
}
