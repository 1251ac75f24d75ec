//! The thread that looks at the readings and tells of alarms.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use tidegate_protocol::{DeviceId, Lane};

use super::{
    Handle, Parts,
    progress::{FILE, Progress},
    record::{Alarm, CAUSE, TOPIC, cause},
    rules::{Change, RAISED_DEVICES_MAX, State, Watch},
};
use crate::{
    core::{self, Follower},
    listener::Shared,
    normalise::{Content, Input, Routes},
    pipeline::Own,
    spool::{Kind, Offset, PerLane, Position, Protocol, ReadError, Record, Unavailable},
};

/// Media type of a JSON object that is no SenML.
const JSON: &str = "application/json";
/// How long one look waits for a record.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two writes of the progress.
const SAVE_EVERY_MS: u64 = 30_000;
/// How long a stopping service goes on looking.
const DRAIN_MS_MAX: u64 = 2_000;
/// Wait before an alarm for which there was no room is tried again.
const AGAIN: Duration = Duration::from_millis(50);
/// Wait after a spool that cannot be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Alarms told before a crash that are looked up; one more is told again.
const TOLD_MAX: usize = 100_000;
/// Bytes of records that one look for them takes.
const TURN_BYTES_MAX: usize = 256 * 1024;

/// What makes an alarm the same: device, alarm, state and cause.
type Key = (String, String, State, String);

pub(super) struct Sentry {
    shared: Arc<Shared>,
    routes: Arc<ArcSwap<Routes>>,
    handle: Handle,
    stopping: Arc<AtomicBool>,
    path: PathBuf,
    follower: Follower,
    watch: Watch,
    /// Alarms that were told before the start, of readings behind the progress.
    told: HashSet<Key>,
    /// Where the lanes ended at the start.
    told_until: PerLane<Offset>,
    /// The last alarm appended.
    last: Option<Position>,
    saved: PerLane<Offset>,
    saved_ms: u64,
    /// There was no room for an alarm while stopping: the next start looks again.
    is_incomplete: bool,
}

/// What a reading has changed.
struct Found {
    device: DeviceId,
    change: Change,
    cause: String,
}

impl Sentry {
    pub(super) fn new(parts: Parts, handle: Handle, stopping: Arc<AtomicBool>) -> Self {
        let Parts { rules, data, core, shared, routes } = parts;
        let path = data.join(FILE);
        let mut watch = Watch::new(&rules, RAISED_DEVICES_MAX).unwrap_or_else(|(_, error)| {
            // The configuration was checked before.
            tracing::error!(%error, "the alarms are off");
            Watch::default()
        });
        let (from, told) = begin(&path, &core, &mut watch);
        let durable = core.spool().watermark().durable();
        let told_until = PerLane::new(|lane| durable.end(lane));
        let saved_ms = shared.clock.now_ms();
        let follower = core.follow(from);
        let sentry = Self {
            shared,
            routes,
            handle,
            stopping,
            path,
            follower,
            watch,
            told,
            told_until,
            last: None,
            saved: from,
            saved_ms,
            is_incomplete: false,
        };
        sentry.show();
        sentry
    }

    pub(super) fn run(mut self) {
        while !self.is_stopping() {
            if let Err(error) = self.look(LOOK) {
                tracing::error!(%error, "the alarms cannot read the spool");
                thread::sleep(READ_AGAIN);
            }
            if self.shared.clock.now_ms() >= self.saved_ms.saturating_add(SAVE_EVERY_MS) {
                self.save();
            }
        }
        let until_ms = self.shared.clock.now_ms().saturating_add(DRAIN_MS_MAX);
        while self.look(Duration::ZERO).is_ok_and(|taken| taken > 0) && self.shared.clock.now_ms() < until_ms
        {
        }
        if self.shared.pipeline.spool().drain().is_ok() {
            self.save();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Looks at the next records and tells what they change; how many there were.
    fn look(&mut self, wait: Duration) -> Result<usize, ReadError> {
        let routes = self.routes.load_full();
        let mut found = Vec::new();
        let (watch, mut changes) = (&mut self.watch, Vec::new());
        let taken = self.follower.look(wait, &mut |record| {
            look_at(record, &routes, watch, &mut changes, &mut found);
        })?;
        let any = !found.is_empty();
        for found in found {
            self.tell(&found);
        }
        if any {
            self.show();
        }
        if !self.told.is_empty() {
            let next = self.follower.next();
            if Lane::ALL.into_iter().all(|lane| next.of(lane) >= self.told_until.of(lane)) {
                self.told = HashSet::new();
            }
        }
        Ok(taken)
    }

    /// Appends an alarm, and waits for room if there is none.
    fn tell(&mut self, found: &Found) {
        let Found { device, change, cause } = found;
        let key = (device.to_string(), change.alarm.clone(), change.state, cause.clone());
        if self.told.remove(&key) {
            return;
        }
        let Ok(payload) = serde_json::to_vec(&Alarm::of(change)) else { return };
        let own = Own { topic: TOPIC, payload: &payload, properties: &[(CAUSE, cause)] };
        let mut has_warned = false;
        let until_ms = self.shared.clock.now_ms().saturating_add(DRAIN_MS_MAX);
        loop {
            match self.shared.pipeline.accept_own(device, &own) {
                Ok(position) => {
                    self.last = Some(position);
                    break;
                }
                Err(Unavailable::Poisoned | Unavailable::Closed | Unavailable::TooLarge) => {
                    self.is_incomplete = true;
                    return;
                }
                Err(Unavailable::Busy | Unavailable::Full | Unavailable::RejectsFull) => {}
            }
            if self.is_stopping() && self.shared.clock.now_ms() >= until_ms {
                self.is_incomplete = true;
                return;
            }
            if !has_warned {
                tracing::warn!(%device, alarm = change.alarm, "no room for an alarm; it is told when there is");
                has_warned = true;
            }
            thread::sleep(AGAIN);
        }
        let Change { alarm, state, value, .. } = change;
        tracing::info!(%device, alarm, value, "alarm {}", state.as_str());
        self.handle.set(|status| match state {
            State::Raised => status.told_raised += 1,
            State::Cleared => status.told_cleared += 1,
        });
    }

    fn show(&self) {
        self.handle.set(|status| status.show(&self.watch));
    }

    /// Writes the progress down, when there is any and all that was told is on disk.
    fn save(&mut self) {
        self.saved_ms = self.shared.clock.now_ms();
        let next = self.follower.next();
        let durable = self.shared.pipeline.spool().watermark().durable();
        let is_told = self.last.is_none_or(|last| durable.covers(last));
        if next == self.saved || !is_told || self.is_incomplete {
            return;
        }
        let raised = self.watch.raised().map(|(device, alarm)| (device.to_string(), alarm.to_owned()));
        let progress = Progress { event: next.event, telemetry: next.telemetry, raised: raised.collect() };
        match progress.save(&self.path) {
            Ok(()) => self.saved = next,
            Err(error) => {
                tracing::warn!(%error, "the progress of the alarms cannot be written; a start looks again");
            }
        }
    }
}

/// Where to begin, and what was told of what comes from there on.
fn begin(path: &Path, core: &core::Handle, watch: &mut Watch) -> (PerLane<Offset>, HashSet<Key>) {
    let durable = core.spool().watermark().durable();
    let newest = PerLane::new(|lane| durable.end(lane));
    let progress = match Progress::load(path) {
        Ok(Some(progress)) => progress,
        Ok(None) => return anew(path, newest),
        Err(error) => {
            tracing::warn!(%error, "the progress of the alarms cannot be read; they begin with what comes next");
            return anew(path, newest);
        }
    };
    let from = PerLane { event: progress.event, telemetry: progress.telemetry };
    if Lane::ALL.into_iter().any(|lane| from.of(lane) > newest.of(lane)) {
        tracing::warn!(
            "the progress of the alarms is that of another spool; they begin with what comes next"
        );
        return anew(path, newest);
    }
    for (device, alarm) in &progress.raised {
        let known = DeviceId::new(device).is_ok_and(|device| watch.restore(&device, alarm));
        if !known {
            tracing::warn!(device, alarm, "this alarm was raised and is not configured any more");
        }
    }
    let told = told_since(core, from.event, TOLD_MAX).unwrap_or_else(|error| {
        tracing::error!(%error, "what was told before cannot be read and may be told again");
        HashSet::new()
    });
    (from, told)
}

/// Nothing raised, nothing told. Written down at once, so that a crash does not make the next start begin later.
fn anew(path: &Path, from: PerLane<Offset>) -> (PerLane<Offset>, HashSet<Key>) {
    let progress = Progress { event: from.event, telemetry: from.telemetry, raised: Vec::new() };
    if let Err(error) = progress.save(path) {
        tracing::warn!(%error, "the progress of the alarms cannot be written");
    }
    (from, HashSet::new())
}

/// The alarms that the records of `event` hold from `from` on, the first `told_max` of them.
fn told_since(core: &core::Handle, from: Offset, told_max: usize) -> Result<HashSet<Key>, ReadError> {
    let mut reader = core.spool().reader(Lane::Event, from);
    let mut told = HashSet::new();
    loop {
        let batch = reader.next_batch(TURN_BYTES_MAX)?;
        if batch.is_empty() || told.len() >= told_max {
            return Ok(told);
        }
        let room = told_max - told.len();
        told.extend(batch.records().filter_map(|record| key(&record)).take(room));
    }
}

fn key(record: &Record<'_>) -> Option<Key> {
    let alarm = Alarm::read(record)?;
    let state = alarm.state()?;
    let mut properties = record.envelope.user_properties.iter();
    let (_, cause) = properties.find(|(name, _)| name == CAUSE)?;
    Some((record.envelope.device.to_owned(), alarm.alarm, state, cause.to_string()))
}

/// What the readings of a record raise and clear.
fn look_at(
    record: &Record<'_>,
    routes: &Routes,
    watch: &mut Watch,
    changes: &mut Vec<Change>,
    found: &mut Vec<Found>,
) {
    let envelope = &record.envelope;
    // What the gateway itself says is no reading.
    if envelope.kind != Kind::Message || envelope.protocol == Protocol::Gateway {
        return;
    }
    // Where a route may name what is measured, or the payload may be more than text, it has to be read.
    let is_object =
        record.payload.first() == Some(&b'{') && matches!(envelope.content_type, None | Some(JSON));
    if is_object && routes.is_empty() && !watch.may_concern(record.payload) {
        return;
    }
    let Ok(device) = DeviceId::new(envelope.device) else { return };
    let Ok(message) = routes.normalise(&Input::of_record(record, &device)) else { return };
    let Content::Readings(readings) = &message.content else { return };
    for (index, reading) in readings.iter().enumerate() {
        watch.look(&message.device, reading, changes);
        let device = &message.device;
        let of_change =
            |change| Found { device: device.clone(), change, cause: cause(record.position, index) };
        found.extend(changes.drain(..).map(of_change));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::tests::Fixture, service::alarm::AlarmConfig, spool::Protocol};

    fn append_alarm(fixture: &Fixture, protocol: Protocol, cause: &str) {
        let payload = r#"{"alarm":"a","state":"raised","measurement":"m","value":2.0,"limit":1.0}"#;
        let mut envelope = Fixture::envelope("sensor_1", TOPIC);
        envelope.protocol = protocol;
        envelope.user_properties = vec![(CAUSE.into(), cause.to_owned().into())];
        fixture.spool.append(Lane::Event, &envelope, 0, payload.as_bytes()).unwrap();
    }

    #[test]
    fn what_was_told_is_found_and_only_what_the_gateway_has_told() {
        let fixture = Fixture::new(core::Config::default());
        append_alarm(&fixture, Protocol::Gateway, "t1.0");
        append_alarm(&fixture, Protocol::Mqtt5, "t2.0");
        append_alarm(&fixture, Protocol::Gateway, "t3.0");
        append_alarm(&fixture, Protocol::Gateway, "t4.0");
        fixture.spool.drain().unwrap();
        let core = fixture.core.handle();
        let causes = |told: HashSet<Key>| {
            let mut causes: Vec<_> = told.into_iter().map(|(.., cause)| cause).collect();
            causes.sort();
            causes
        };
        assert_eq!(causes(told_since(&core, 0, TOLD_MAX).unwrap()), ["t1.0", "t3.0", "t4.0"]);
        assert_eq!(causes(told_since(&core, 1, TOLD_MAX).unwrap()), ["t3.0", "t4.0"]);
        assert_eq!(causes(told_since(&core, 0, 2).unwrap()), ["t1.0", "t3.0"]);
    }

    #[test]
    fn the_beginning_is_where_the_progress_says_or_else_with_what_comes_next() {
        let fixture = Fixture::new(core::Config::default());
        fixture.append_many(Lane::Telemetry, 0..9);
        fixture.spool.drain().unwrap();
        let core = fixture.core.handle();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let newest = PerLane { event: 0, telemetry: 9 };
        let begin = |watch: &mut Watch| begin(&path, &core, watch).0;
        let fresh = || Watch::new(&[AlarmConfig::temperature_high()], RAISED_DEVICES_MAX).unwrap();
        assert_eq!(begin(&mut fresh()), newest);
        // The first start is remembered.
        fixture.append_many(Lane::Telemetry, 9..12);
        fixture.spool.drain().unwrap();
        assert_eq!(begin(&mut fresh()), newest);
        let raised = ["temperature_high", "gone"].map(|alarm| ("sensor_1".to_owned(), alarm.to_owned()));
        let mut progress = Progress { event: 0, telemetry: 3, raised: raised.to_vec() };
        progress.save(&path).unwrap();
        let mut watch = fresh();
        assert_eq!(begin(&mut watch), PerLane { event: 0, telemetry: 3 });
        assert_eq!(watch.raised().map(|(_, alarm)| alarm).collect::<Vec<_>>(), ["temperature_high"]);
        // That of another spool is not believed, nor what is none.
        progress.telemetry = 13;
        progress.save(&path).unwrap();
        let mut watch = fresh();
        assert_eq!(begin(&mut watch), PerLane { event: 0, telemetry: 12 });
        assert_eq!(watch.raised().count(), 0);
        std::fs::write(&path, "nonsense").unwrap();
        assert_eq!(begin(&mut fresh()), PerLane { event: 0, telemetry: 12 });
    }
}
