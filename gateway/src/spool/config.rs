//! `[spool]` in the owner's words, and the limits that follow from it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::segment::BLOCK_BYTES;

/// Segments that the spool needs at least: one of each lane, one ready for each lane, and two to give back.
pub const SEGMENTS_MIN: u64 = 6;

/// Bytes in the smallest segment: header, footer and two commits of 16 KiB.
pub const SEGMENT_BYTES_MIN: u64 = 40 * 1024;

/// Bytes in the largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Milliseconds between commits on an SD card, unless the owner says otherwise.
pub const SD_CARD_COMMIT_INTERVAL_MS: u64 = 100;

/// Milliseconds between commits that an owner may ask for.
pub const COMMIT_INTERVAL_MS_MAX: u64 = 10_000;

/// Percent of `max_disk` that an owner may give to reject records.
const REJECTS_SHARE_PERCENT_MAX: u8 = 50;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// What happens when there is no room and an output has not confirmed the oldest records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// New records are refused until an output catches up.
    #[default]
    Refuse,
    /// The oldest segment is dropped; a gap record for each device goes out in its place.
    DropOldest,
}

/// `[spool]`: the log on disk, in which readings wait until every output has them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `max_disk`: bytes the spool may take on disk, both lanes and quarantine together.
    #[serde(rename = "max_disk", deserialize_with = "bytes")]
    #[schemars(range(min = SEGMENTS_MIN * SEGMENT_BYTES_MIN), extend("format" = "size"))]
    pub spool_bytes_max: u64,
    /// `keep`: how long delivered records stay, space permitting.
    #[serde(deserialize_with = "duration", serialize_with = "span")]
    #[schemars(with = "String", extend("format" = "span"))]
    pub keep: Duration,
    /// `when_full`: what happens to new records when there is no room.
    pub when_full: WhenFull,
    /// `sd_card`: the disk wears by writing; commits are made at most every 100 ms.
    pub sd_card: bool,
    /// `commit_interval_ms`: milliseconds between commits; overrides what `sd_card` says.
    #[schemars(range(max = COMMIT_INTERVAL_MS_MAX))]
    pub commit_interval_ms: Option<u64>,
    /// `reserve_free`: bytes of the file system that are left to others.
    #[serde(rename = "reserve_free", deserialize_with = "bytes")]
    #[schemars(extend("format" = "size"))]
    pub reserve_free_bytes: u64,
    /// `rejects_share_percent`: part of `max_disk` that reject records may take.
    #[schemars(range(max = REJECTS_SHARE_PERCENT_MAX))]
    pub rejects_share_percent: u8,
    /// `segment_bytes`: bytes of one segment, a multiple of 4 KiB; made smaller where `max_disk` is small.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = SEGMENT_BYTES_MIN, max = SEGMENT_BYTES_MAX), extend("format" = "size"))]
    pub segment_bytes: u64,
    /// `commit_bytes_max`: bytes of the largest commit.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 2 * BLOCK), extend("format" = "size"))]
    pub commit_bytes_max: u64,
    /// `pending_bytes_max`: bytes appended and not yet durable, at least `commit_bytes_max`; beyond it appends are
    /// refused as busy.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 2 * BLOCK), extend("format" = "size"))]
    pub pending_bytes_max: u64,
    /// `recent_bytes_max`: bytes of recent commits a lane kept in memory for live readers.
    #[serde(deserialize_with = "bytes")]
    #[schemars(extend("format" = "size"))]
    pub recent_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            spool_bytes_max: 2_000_000_000,
            keep: Duration::from_secs(24 * 60 * 60),
            when_full: WhenFull::Refuse,
            sd_card: false,
            commit_interval_ms: None,
            reserve_free_bytes: 100_000_000,
            rejects_share_percent: 2,
            segment_bytes: 16 << 20,
            commit_bytes_max: 1 << 20,
            pending_bytes_max: 8 << 20,
            recent_bytes_max: 4 << 20,
        }
    }
}

/// A value in `[spool]` that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct ConfigError {
    /// The key in `[spool]`.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub why: String,
}

impl Config {
    /// Checks the values against each other.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key whose value cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.limits().map(drop)
    }

    /// The limits that follow, whole blocks each.
    pub(super) fn limits(&self) -> Result<Limits, ConfigError> {
        let fail = |key, why: String| Err(ConfigError { key, why });
        if self.spool_bytes_max < SEGMENTS_MIN * SEGMENT_BYTES_MIN {
            return fail("max_disk", format!("at least {} bytes", SEGMENTS_MIN * SEGMENT_BYTES_MIN));
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return fail("segment_bytes", format!("{SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes"));
        }
        if self.commit_interval_ms.is_some_and(|ms| ms > COMMIT_INTERVAL_MS_MAX) {
            return fail("commit_interval_ms", format!("at most {COMMIT_INTERVAL_MS_MAX}"));
        }
        if self.rejects_share_percent > REJECTS_SHARE_PERCENT_MAX {
            return fail("rejects_share_percent", format!("at most {REJECTS_SHARE_PERCENT_MAX}"));
        }
        let segment_bytes = self.segment_bytes.min(self.spool_bytes_max / SEGMENTS_MIN) / BLOCK * BLOCK;
        let commit_bytes_max = self.commit_bytes_max.min((segment_bytes - 2 * BLOCK) / 2) / BLOCK * BLOCK;
        if commit_bytes_max < 2 * BLOCK {
            return fail("commit_bytes_max", format!("at least {} bytes", 2 * BLOCK));
        }
        if self.pending_bytes_max < commit_bytes_max {
            return fail("pending_bytes_max", format!("at least a commit, {commit_bytes_max} bytes"));
        }
        let interval_ms =
            self.commit_interval_ms.unwrap_or(if self.sd_card { SD_CARD_COMMIT_INTERVAL_MS } else { 0 });
        Ok(Limits {
            spool_bytes_max: self.spool_bytes_max,
            keep_ms: u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX),
            when_full: self.when_full,
            commit_interval: Duration::from_millis(interval_ms),
            reserve_free_bytes: self.reserve_free_bytes,
            rejects_bytes_max: self.spool_bytes_max / 100 * u64::from(self.rejects_share_percent),
            quarantine_bytes_max: self.spool_bytes_max / 10,
            segment_bytes,
            commit_bytes_max: usize::try_from(commit_bytes_max).unwrap_or(usize::MAX),
            pending_bytes_max: usize::try_from(self.pending_bytes_max).unwrap_or(usize::MAX),
            recent_bytes_max: usize::try_from(self.recent_bytes_max).unwrap_or(usize::MAX),
        })
    }
}

/// A checked [`Config`].
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) spool_bytes_max: u64,
    pub(super) keep_ms: u64,
    pub(super) when_full: WhenFull,
    pub(super) commit_interval: Duration,
    pub(super) reserve_free_bytes: u64,
    pub(super) rejects_bytes_max: u64,
    pub(super) quarantine_bytes_max: u64,
    pub(super) segment_bytes: u64,
    pub(super) commit_bytes_max: usize,
    pub(super) pending_bytes_max: usize,
    pub(super) recent_bytes_max: usize,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(u64),
    Text(String),
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Word::deserialize(deserializer)? {
        Word::Number(bytes) => Ok(bytes),
        Word::Text(text) => text.parse::<bytesize::ByteSize>().map(|size| size.as_u64()).map_err(|_| {
            serde::de::Error::custom(format!("{text:?} is no size such as \"2GB\" or \"500MB\""))
        }),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| serde::de::Error::custom(format!("{text:?} is no time span such as \"1d\" or \"12h\"")))
}

/// The default of `keep`, as an owner writes it.
fn span<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_words_are_read() {
        let text = "max_disk = \"500MB\"\nkeep = \"12h\"\nwhen_full = \"drop-oldest\"\nsd_card = true";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.spool_bytes_max, 500_000_000);
        assert_eq!(config.keep, Duration::from_secs(12 * 3600));
        assert_eq!(config.when_full, WhenFull::DropOldest);
        assert_eq!(config.limits().unwrap().commit_interval, Duration::from_millis(100));
    }

    #[test]
    fn unknown_words_and_impossible_values_are_refused() {
        assert!(toml::from_str::<Config>("max_disc = \"2GB\"").unwrap_err().to_string().contains("max_disc"));
        assert!(toml::from_str::<Config>("max_disk = \"much\"").is_err());
        assert!(toml::from_str::<Config>("keep = \"long\"").is_err());
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().key
        };
        assert_eq!(wrong(|c| c.spool_bytes_max = 1000), "max_disk");
        assert_eq!(wrong(|c| c.segment_bytes = 4096), "segment_bytes");
        assert_eq!(wrong(|c| c.commit_bytes_max = 4096), "commit_bytes_max");
        assert_eq!(wrong(|c| c.pending_bytes_max = 4096), "pending_bytes_max");
        assert_eq!(wrong(|c| c.commit_interval_ms = Some(10_001)), "commit_interval_ms");
        assert_eq!(wrong(|c| c.rejects_share_percent = 51), "rejects_share_percent");
    }

    #[test]
    fn a_small_disk_gets_small_segments() {
        let config = Config { spool_bytes_max: 6_000_000, ..Config::default() };
        let limits = config.limits().unwrap();
        assert!(limits.segment_bytes * SEGMENTS_MIN <= 6_000_000);
        assert_eq!(limits.segment_bytes % BLOCK, 0);
    }
}
