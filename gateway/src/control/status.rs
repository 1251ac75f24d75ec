use std::sync::{
    PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use super::Services;
use crate::{
    clock::wall_ms,
    core,
    logging::{Filtering, Log},
    service::alarm,
    spool::{self, CursorStatus, Lane, ReadError},
};

mod serial;
mod show;

pub use self::serial::SerialStatus;

/// Devices without a promise that are named; the rest is counted.
const QOS0_NAMED_MAX: usize = 20;

/// How the gateway is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the gateway.
    #[serde(default)]
    pub version: String,
    /// When it was started, Unix milliseconds.
    #[serde(default)]
    pub started_ms: u64,
    /// Threads that stand still, and for how long; empty when all is well.
    #[serde(default)]
    pub still: Vec<String>,
    /// What is logged; none where the gateway is part of another program.
    #[serde(default)]
    pub log: Option<Filtering>,
    /// Records that are gone: dropped by choice, or taken by damage of the disk.
    pub lost: u64,
    /// Age of the oldest record that an output has not confirmed, milliseconds; none when all is delivered.
    pub oldest_unsent_ms: Option<u64>,
    /// Why the spool ends, if it does.
    pub failure: Option<String>,
    /// When and why the gateway ended by itself the last time it did.
    pub last_failure: Option<String>,
    /// The durable log.
    pub spool: SpoolStatus,
    /// The destinations.
    pub outputs: Vec<OutputStatus>,
    /// Outputs that are not configured any more and still hold back the deletion of what they did not get.
    pub forgotten: Vec<OutputStatus>,
    /// Who is connected, and what came.
    pub connections: ConnectionStatus,
    /// The CoAP listener; none where it is off.
    #[serde(default)]
    pub coap: Option<CoapStatus>,
    /// The serial ports; none where there are none.
    #[serde(default)]
    pub serial: Option<SerialStatus>,
    /// The live bus.
    pub core: core::Status,
    /// What is out of range.
    pub alarms: alarm::Status,
}

/// The CoAP listener since the start, all its sockets together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoapStatus {
    /// Devices heard of in the last minutes, by address.
    pub peers: u64,
    /// Requests, repetitions included.
    pub requests: u64,
    /// Repetitions, stored once.
    pub duplicates: u64,
    /// Requests remembered so that a repetition is stored once.
    pub remembered: u64,
    /// Requests that are not answered yet.
    pub pending: u64,
    /// Requests refused.
    pub refused: u64,
    /// Datagrams that are no CoAP, or not allowed in it.
    pub malformed: u64,
    /// Pings.
    pub pings: u64,
    /// Requests acknowledged before their answer was known, because the disk or a password took long.
    pub separate: u64,
    /// Answers sent once more.
    pub retransmitted: u64,
    /// Answers that nobody acknowledged.
    pub given_up: u64,
    /// Answers dropped because the kernel took none for too long.
    pub dropped: u64,
}

/// The durable log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// `event`, then `telemetry`.
    pub lanes: Vec<LaneStatus>,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes that it may take.
    pub disk_bytes_max: u64,
    /// New records are refused.
    pub full: bool,
    /// Records dropped by the owner's choice.
    pub dropped: u64,
    /// Records taken by damage.
    pub damaged: u64,
    /// Reject records stored.
    pub rejects: u64,
    /// What was written to the disk since the start.
    #[serde(default)]
    pub writes: WritesStatus,
}

/// What the spool wrote to the disk since the start, with zeros and padding.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WritesStatus {
    /// Bytes.
    pub bytes: u64,
    /// Bytes a day at the rate of the last hour; none in the first seconds.
    pub bytes_per_day: Option<u64>,
    /// Commits.
    pub commits: u64,
    /// Microseconds that the disk took for them, all together.
    pub commits_us: u64,
    /// Commits that took as long as the microseconds in front or less, but for those of the classes before; `None`
    /// stands for longer still.
    pub classes: Vec<(Option<u64>, u64)>,
}

impl WritesStatus {
    /// Microseconds within which the disk took `percent` of the commits, as far as the classes tell; none when there
    /// are none, or when it took longer than the largest class.
    #[must_use]
    pub fn within_us(&self, percent: u64) -> Option<u64> {
        let wanted = self.commits.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0;
        let class = self.classes.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        class.and_then(|(end_us, _)| *end_us)
    }
}

/// One lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// Records from the oldest to the durable end.
    pub records: u64,
    /// The first record's offset.
    pub oldest: u64,
    /// The next record's offset.
    pub end: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Bytes of commits in them.
    pub bytes: u64,
}

/// One destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputStatus {
    /// Its name.
    pub name: String,
    /// Records that it has not confirmed.
    pub unsent: u64,
    /// Age of the oldest of them, milliseconds.
    pub oldest_unsent_ms: Option<u64>,
    /// Records delivered since the start.
    pub delivered: u64,
    /// Failed tries since the start.
    #[serde(default)]
    pub failed: u64,
    /// Messages that the destination has refused for good since the start; they are in its dead-letter file.
    #[serde(default)]
    pub dead_letters: u64,
    /// Why the last try failed; empty when deliveries go well.
    pub trouble: String,
}

/// Who is connected, and what came since the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Open now.
    pub open: u64,
    /// Connections closed for want of room.
    pub turned_away: u64,
    /// Refused logins.
    pub logins_refused: u64,
    /// Sessions ended because a client sent what is no MQTT or not allowed in it.
    pub malformed: u64,
    /// Sessions ended because a client was silent for too long.
    pub timed_out: u64,
    /// Subscribers disconnected because they were too slow.
    pub slow: u64,
    /// Messages taken.
    pub accepted: u64,
    /// Publishes without the right to.
    pub denied: u64,
    /// Payloads that can never be accepted.
    pub rejected: u64,
    /// Publishes refused for want of room.
    pub shed: u64,
    /// Devices that use QoS 0 only: nothing is promised to them.
    pub qos0_only: Vec<String>,
    /// More devices than are named.
    pub qos0_more: bool,
}

/// The numbers of this moment.
///
/// # Errors
/// The spool cannot be read.
pub fn observe(services: &Services) -> Result<Status, ReadError> {
    let spool = services.shared.pipeline.spool().status()?;
    let now_ms = wall_ms();
    let forgotten = forgotten(services, &spool);
    let outputs: Vec<_> = services
        .bridges
        .iter()
        .map(|bridge| {
            let cursor = spool.cursors.iter().find(|cursor| cursor.consumer == bridge.name());
            let counters = bridge.counters();
            OutputStatus {
                name: bridge.name().to_owned(),
                unsent: cursor.map_or(0, unsent),
                oldest_unsent_ms: cursor.and_then(oldest_unsent).map(|at_ms| now_ms.saturating_sub(at_ms)),
                delivered: counters.delivered.load(Ordering::Relaxed),
                failed: counters.failed.load(Ordering::Relaxed),
                dead_letters: counters.dead_letters.load(Ordering::Relaxed),
                trouble: counters.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            }
        })
        .collect();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: now_ms.saturating_sub(services.shared.clock.now_ms()),
        still: services.shared.health.still(),
        log: services.reloader.log().map(Log::filtering),
        lost: spool.dropped.saturating_add(spool.lost),
        oldest_unsent_ms: outputs.iter().filter_map(|output| output.oldest_unsent_ms).max(),
        failure: spool.failure.as_ref().map(ToString::to_string),
        last_failure: services.last_failure.clone(),
        outputs,
        forgotten,
        connections: connections(services),
        coap: coap(services),
        serial: serial::observe(services),
        core: services.core.status(),
        alarms: services.alarms.status(),
        spool: spool_status(&spool),
    })
}

fn forgotten(services: &Services, spool: &spool::Status) -> Vec<OutputStatus> {
    let runs = |name: &str| services.bridges.iter().any(|bridge| bridge.name() == name);
    let cursors = spool.cursors.iter().filter(|cursor| !runs(&cursor.consumer));
    cursors
        .map(|cursor| OutputStatus {
            name: cursor.consumer.clone(),
            unsent: unsent(cursor),
            oldest_unsent_ms: oldest_unsent(cursor).map(|at_ms| wall_ms().saturating_sub(at_ms)),
            delivered: 0,
            failed: 0,
            dead_letters: 0,
            trouble: "not configured any more".to_owned(),
        })
        .collect()
}

fn unsent(cursor: &CursorStatus) -> u64 {
    Lane::ALL.iter().map(|lane| cursor.lanes.of(*lane).lag).sum()
}

fn oldest_unsent(cursor: &CursorStatus) -> Option<u64> {
    Lane::ALL.iter().filter_map(|lane| cursor.lanes.of(*lane).oldest_unsent_ts_gw).min()
}

fn spool_status(spool: &spool::Status) -> SpoolStatus {
    SpoolStatus {
        lanes: Lane::ALL.iter().map(|lane| lane_status(spool.lanes.of(*lane))).collect(),
        disk_bytes: spool.disk_bytes,
        disk_bytes_max: spool.disk_bytes_max,
        full: spool.full,
        dropped: spool.dropped,
        damaged: spool.lost,
        rejects: spool.rejects,
        writes: writes_status(&spool.writes),
    }
}

fn writes_status(writes: &spool::Writes) -> WritesStatus {
    let ends = spool::COMMIT_CLASSES_US.into_iter().map(Some).chain([None]);
    WritesStatus {
        bytes: writes.bytes,
        bytes_per_day: writes.bytes_per_day,
        commits: writes.commits,
        commits_us: writes.commits_us,
        classes: ends.zip(writes.classes.iter().copied()).collect(),
    }
}

fn lane_status(lane: &spool::LaneStatus) -> LaneStatus {
    LaneStatus {
        lane: lane.lane.to_string(),
        records: lane.durable_end.saturating_sub(lane.oldest),
        oldest: lane.oldest,
        end: lane.end,
        segments: lane.segments.try_into().unwrap_or(u64::MAX),
        bytes: lane.bytes,
    }
}

fn connections(services: &Services) -> ConnectionStatus {
    let counters = services.shared.pipeline.counters();
    let listener = &services.shared.counters;
    let mut qos0_only = services.shared.registry.qos0_only(QOS0_NAMED_MAX + 1);
    let qos0_more = qos0_only.len() > QOS0_NAMED_MAX;
    qos0_only.truncate(QOS0_NAMED_MAX);
    let open = services.shared.connections.load(Ordering::Relaxed);
    ConnectionStatus {
        open: open.try_into().unwrap_or(u64::MAX),
        turned_away: listener.turned_away.load(Ordering::Relaxed),
        logins_refused: listener.logins_refused.load(Ordering::Relaxed),
        malformed: listener.malformed.load(Ordering::Relaxed),
        timed_out: listener.timed_out.load(Ordering::Relaxed),
        slow: listener.slow.load(Ordering::Relaxed),
        accepted: counters.accepted.load(Ordering::Relaxed),
        denied: counters.denied.load(Ordering::Relaxed),
        rejected: counters.rejected.load(Ordering::Relaxed),
        shed: counters.shed.load(Ordering::Relaxed),
        qos0_only: qos0_only.iter().map(ToString::to_string).collect(),
        qos0_more,
    }
}

fn coap(services: &Services) -> Option<CoapStatus> {
    services.shared.coap.as_ref()?;
    let counters = &services.shared.coap_counters;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Some(CoapStatus {
        peers: get(&counters.peers),
        requests: get(&counters.requests),
        duplicates: get(&counters.duplicates),
        remembered: get(&counters.remembered),
        pending: get(&counters.pending),
        refused: get(&counters.refused),
        malformed: get(&counters.malformed),
        pings: get(&counters.pings),
        separate: get(&counters.separate),
        retransmitted: get(&counters.retransmitted),
        given_up: get(&counters.given_up),
        dropped: get(&counters.dropped),
    })
}
