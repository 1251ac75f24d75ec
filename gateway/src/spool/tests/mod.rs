//! The spool as a whole, on a real disk and on one that fails on purpose.

#[expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]
mod faults;
mod fixtures;
#[expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]
mod limits;
mod misplaced;
#[expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]
mod model;
mod road;
mod waiting;

use super::*;

/// A message of `device`, the `sequence`th, that arrived at `ts_gw`.
pub(super) fn message(device: &str, sequence: u64, ts_gw: u64) -> Envelope<'_> {
    Envelope {
        kind: Kind::Message,
        device,
        uid: Uid::Device { boot: 1, sequence },
        topic: "telemetry",
        protocol: Protocol::Mqtt5,
        qos: 1,
        content_type: None,
        user_properties: Vec::new(),
        ts_dev: None,
        uptime_dev: None,
        ts_gw,
        mono_gw: ts_gw,
        boot_gw: 1,
        clock: ClockQuality::Synchronised,
    }
}

/// Segments of 40 KiB, so that a few records fill several.
fn small() -> Config {
    Config {
        spool_bytes_max: 12 * SEGMENT_BYTES_MIN,
        segment_bytes: SEGMENT_BYTES_MIN,
        commit_bytes_max: 8 * 1024,
        pending_bytes_max: 16 * 1024,
        recent_bytes_max: 8 * 1024,
        reserve_free_bytes: 0,
        ..Config::default()
    }
}

/// Everything of `lane` from `from` on: offsets and payloads.
fn read_all(spool: &Spool, lane: Lane, from: Offset) -> Vec<(Offset, Vec<u8>)> {
    let mut reader = spool.reader(lane, from);
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(4096).unwrap();
        if batch.is_empty() {
            return all;
        }
        assert_eq!(batch.lost(), None);
        all.extend(batch.records().map(|record| (record.position.offset, record.payload.to_vec())));
    }
}
