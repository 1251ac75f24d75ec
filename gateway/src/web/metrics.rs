//! The numbers of `tidegate status` under names for Prometheus. Pure.

use std::time::Duration;

use super::exposition::{
    Exposition,
    Kind::{Counter, Gauge, Histogram},
};
use crate::control::{ConnectionStatus, OutputStatus, SpoolStatus, Status, WritesStatus};

/// The page. `turned_away`: connections to the pages that were ended for newer ones.
pub(super) fn text(status: &Status, turned_away: u64) -> String {
    let mut page = Exposition::default();
    page.family("tidegate_build_info", Gauge, "The gateway's version; always 1.")
        .sample(&[("version", &status.version)], 1);
    let started = Duration::from_millis(status.started_ms).as_secs_f64();
    page.single("tidegate_start_time_seconds", Gauge, "When the gateway was started, Unix time.", started);
    let help = "Threads that stand still; a healthy gateway has none.";
    page.single("tidegate_still_threads", Gauge, help, status.still.len());
    spool(&mut page, &status.spool, status.failure.is_some());
    writes(&mut page, &status.spool.writes);
    outputs(&mut page, &status.outputs);
    connections(&mut page, &status.connections);
    let help = "Connections to these pages ended in favour of newer ones.";
    page.single("tidegate_http_turned_away_total", Counter, help, turned_away);
    page.into_text()
}

fn spool(page: &mut Exposition, spool: &SpoolStatus, failed: bool) {
    let mut family = page.family("tidegate_spool_records", Gauge, "Records on disk by lane.");
    spool.lanes.iter().for_each(|lane| family.sample(&[("lane", &lane.lane)], lane.records));
    let mut family = page.family("tidegate_spool_bytes", Gauge, "Bytes of commits on disk by lane.");
    spool.lanes.iter().for_each(|lane| family.sample(&[("lane", &lane.lane)], lane.bytes));
    let mut family = page.family("tidegate_spool_segments", Gauge, "Segments on disk by lane.");
    spool.lanes.iter().for_each(|lane| family.sample(&[("lane", &lane.lane)], lane.segments));
    let gauges = [
        ("tidegate_spool_disk_bytes", "Bytes that the spool takes on disk.", spool.disk_bytes),
        ("tidegate_spool_disk_max_bytes", "Bytes that the spool may take on disk.", spool.disk_bytes_max),
        (
            "tidegate_spool_full",
            "1 while new readings are refused for want of room, else 0.",
            spool.full.into(),
        ),
        (
            "tidegate_spool_failed",
            "1 when the disk has failed and the gateway is ending, else 0.",
            failed.into(),
        ),
        ("tidegate_spool_rejects", "Reject records on disk.", spool.rejects),
    ];
    gauges.into_iter().for_each(|(name, help, value)| page.single(name, Gauge, help, value));
    let counters = [
        ("tidegate_spool_dropped_records_total", "Records dropped by the owner's choice.", spool.dropped),
        ("tidegate_spool_damaged_records_total", "Records taken by damage of the disk.", spool.damaged),
    ];
    counters.into_iter().for_each(|(name, help, value)| page.single(name, Counter, help, value));
}

fn writes(page: &mut Exposition, writes: &WritesStatus) {
    let help = "Bytes that the spool has written to the disk, with zeros and padding.";
    page.single("tidegate_spool_written_bytes_total", Counter, help, writes.bytes);
    if let Some(bytes) = writes.bytes_per_day {
        let help = "Bytes that the spool writes in a day at the rate of the last hour.";
        page.single("tidegate_spool_written_bytes_per_day", Gauge, help, bytes);
    }
    let help = "Time from the write of a commit to the disk's answer.";
    let mut family = page.family("tidegate_spool_commit_seconds", Histogram, help);
    let mut so_far = 0;
    for (end_us, count) in &writes.classes {
        so_far += count;
        let end = end_us.map_or("+Inf".to_owned(), |us| Duration::from_micros(us).as_secs_f64().to_string());
        family.suffixed("_bucket", &[("le", &end)], so_far);
    }
    family.suffixed("_sum", &[], Duration::from_micros(writes.commits_us).as_secs_f64());
    family.suffixed("_count", &[], so_far);
}

fn outputs(page: &mut Exposition, outputs: &[OutputStatus]) {
    let mut each = |name, kind, help, value: fn(&OutputStatus) -> f64| {
        let mut family = page.family(name, kind, help);
        outputs.iter().for_each(|output| family.sample(&[("output", &output.name)], value(output)));
    };
    each(
        "tidegate_output_oldest_unsent_seconds",
        Gauge,
        "Age of the oldest record not confirmed; 0 when all are.",
        |output| Duration::from_millis(output.oldest_unsent_ms.unwrap_or(0)).as_secs_f64(),
    );
    each("tidegate_output_trouble", Gauge, "1 while deliveries fail, else 0.", |output| {
        f64::from(u8::from(!output.trouble.is_empty()))
    });
    let mut each = |name, kind, help, value: fn(&OutputStatus) -> u64| {
        let mut family = page.family(name, kind, help);
        outputs.iter().for_each(|output| family.sample(&[("output", &output.name)], value(output)));
    };
    each("tidegate_output_unsent_records", Gauge, "Records that it has not confirmed.", |output| {
        output.unsent
    });
    each("tidegate_output_delivered_records_total", Counter, "Records delivered.", |output| output.delivered);
    each("tidegate_output_dead_letters_total", Counter, "Messages refused for good.", |output| {
        output.dead_letters
    });
    each("tidegate_output_failures_total", Counter, "Failed tries to deliver.", |output| output.failed);
}

fn connections(page: &mut Exposition, status: &ConnectionStatus) {
    page.single("tidegate_connections", Gauge, "Open connections of devices and applications.", status.open);
    let counters = [
        (
            "tidegate_connections_turned_away_total",
            "Connections closed for want of room.",
            status.turned_away,
        ),
        ("tidegate_logins_refused_total", "Refused logins.", status.logins_refused),
        (
            "tidegate_sessions_malformed_total",
            "Sessions ended because a client broke the protocol.",
            status.malformed,
        ),
        (
            "tidegate_sessions_timed_out_total",
            "Sessions ended because a client was silent.",
            status.timed_out,
        ),
        ("tidegate_sessions_slow_total", "Subscribers disconnected because they were too slow.", status.slow),
        ("tidegate_messages_accepted_total", "Messages handed to the spool.", status.accepted),
        ("tidegate_messages_denied_total", "Publishes without the right to.", status.denied),
        ("tidegate_messages_rejected_total", "Payloads that can never be accepted.", status.rejected),
        ("tidegate_messages_shed_total", "Publishes refused for want of room.", status.shed),
    ];
    counters.into_iter().for_each(|(name, help, value)| page.single(name, Counter, help, value));
}
