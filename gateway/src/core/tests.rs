//! The core as a whole: a spool on a disk, the real router, services that follow.

use std::{collections::HashMap, time::Duration};

use tempfile::TempDir;
use tidegate_protocol::Lane;

use super::*;
use crate::{
    clock::{deadline, is_over},
    spool::{self, ClockQuality, Disk, Envelope, Kind, Protocol, Uid},
};

/// How long something that should happen at once may take on a busy machine.
const SOON_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Fixture {
    pub(crate) spool: Spool,
    pub(crate) core: Core,
    _folder: TempDir,
}

impl Fixture {
    pub(crate) fn new(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config_of_spool = spool::Config { reserve_free_bytes: 0, ..spool::Config::default() };
        let (spool, _) = Spool::open(Disk::new(folder.path().join("spool")), &config_of_spool, 1).unwrap();
        let core = Core::start(spool.clone(), config);
        Self { spool, core, _folder: folder }
    }

    pub(crate) fn envelope<'a>(device: &'a str, topic: &'a str) -> Envelope<'a> {
        Envelope {
            kind: Kind::Message,
            device,
            uid: Uid::Gateway,
            topic,
            protocol: Protocol::Mqtt5,
            qos: 1,
            content_type: None,
            user_properties: Vec::new(),
            ts_dev: None,
            uptime_dev: None,
            ts_gw: 1,
            mono_gw: 1,
            boot_gw: 1,
            clock: ClockQuality::Unknown,
        }
    }

    /// Appends without waiting for the disk.
    pub(crate) fn append(&self, lane: Lane, device: &str, topic: &str, payload: &str) {
        let envelope = Self::envelope(device, topic);
        self.spool.append(lane, &envelope, 0, payload.as_bytes()).unwrap();
    }

    pub(crate) fn append_many(&self, lane: Lane, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.append(lane, &format!("sensor_{}", number % 7), "telemetry", &number.to_string());
        }
    }

    fn follower(&self) -> Follower {
        let durable = self.spool.watermark().durable();
        self.core.handle().follow(PerLane::new(|lane| durable.end(lane)))
    }

    fn status(&self) -> Status {
        self.core.handle().status()
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(Status) -> bool) {
        let until = deadline(SOON_MAX);
        while !is_so(self.status()) {
            assert!(!is_over(until), "not within {SOON_MAX:?}: {what}: {:?}", self.status());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Offsets and payloads of `lane` as they come, until there are `count` of them.
fn take(follower: &mut Follower, lane: Lane, count: usize) -> Vec<(u64, String)> {
    let mut taken = Vec::new();
    let until = deadline(SOON_MAX);
    while taken.len() < count {
        assert!(!is_over(until), "{} of {count} within {SOON_MAX:?}", taken.len());
        let each = &mut |record: &spool::Record<'_>| {
            if record.position.lane == lane {
                let payload = String::from_utf8(record.payload.to_vec()).unwrap();
                taken.push((record.position.offset, payload));
            }
        };
        follower.look(Duration::from_millis(100), each).unwrap();
    }
    taken
}

/// Looks when there is nothing.
fn connect(follower: &mut Follower) {
    assert_eq!(follower.look(Duration::from_millis(1), &mut |_| {}).unwrap(), 0);
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<(u64, String)> {
    numbers.map(|number| (number.into(), number.to_string())).collect()
}

#[test]
fn a_service_gets_what_was_there_and_what_comes_in_order() {
    let fixture = Fixture::new(Config::default());
    fixture.append_many(Lane::Telemetry, 0..50);
    fixture.spool.drain().unwrap();
    let mut follower = fixture.core.handle().follow(PerLane::default());
    assert_eq!(take(&mut follower, Lane::Telemetry, 50), numbered(0..50));
    fixture.wait_until("a router", |status| status.alive);
    for start in (50..5_050).step_by(500) {
        fixture.append_many(Lane::Telemetry, start..start + 500);
        assert_eq!(take(&mut follower, Lane::Telemetry, 500), numbered(start..start + 500));
    }
    fixture.append(Lane::Event, "a", "event", "e");
    assert_eq!(take(&mut follower, Lane::Event, 1), [(0, "e".to_owned())]);
    assert_eq!(follower.next(), PerLane { event: 1, telemetry: 5_050 });
    assert_eq!(fixture.status().rebuilt, 0);
}

#[test]
fn without_anybody_who_follows_there_is_no_router() {
    let fixture = Fixture::new(Config::default());
    fixture.append_many(Lane::Telemetry, 0..10);
    fixture.spool.drain().unwrap();
    assert_eq!(fixture.status(), Status::default());
    let follower = fixture.follower();
    fixture.wait_until("a router", |status| status.alive);
    drop(follower);
    assert_eq!(fixture.status().followers, 0);
    fixture.core.stop();
}

#[test]
fn a_dead_router_is_replaced_and_no_record_is_missing() {
    let fixture = Fixture::new(Config::default());
    let mut followers = [fixture.follower(), fixture.follower()];
    fixture.wait_until("a router", |status| status.alive);
    let mut sent = 0;
    for round in 1..=3 {
        fixture.append_many(Lane::Telemetry, sent..sent + 300);
        fixture.append(Lane::Event, "a", KILL_TOPIC, "killed");
        fixture.append_many(Lane::Telemetry, sent + 300..sent + 600);
        for follower in &mut followers {
            assert_eq!(take(follower, Lane::Telemetry, 600), numbered(sent..sent + 600), "round {round}");
        }
        sent += 600;
        fixture.wait_until("a new router", |status| status.alive && status.rebuilt >= round);
    }
    // The new router is in use: what comes is not only found by looking at the spool.
    for follower in &mut followers {
        fixture.append_many(Lane::Telemetry, sent..sent + 1);
        sent += 1;
        let missing = usize::try_from(u64::from(sent) - follower.next().telemetry).unwrap();
        assert_eq!(take(follower, Lane::Telemetry, missing).len(), missing);
        assert!(follower.has_link(), "{:?}", fixture.status());
    }
}

#[test]
fn one_who_falls_behind_the_log_reads_the_spool() {
    let config = Config { segment_bytes_max: SEGMENT_BYTES_MIN, segments_max: 2, ..Config::default() };
    let fixture = Fixture::new(config);
    let mut follower = fixture.follower();
    fixture.wait_until("a router", |status| status.alive);
    connect(&mut follower);
    // More messages than a link and the log have room for, while the service does not look.
    for number in 0..1000 {
        fixture.append(Lane::Telemetry, &format!("sensor_{number}"), "telemetry", &format!("{number:0>500}"));
        if number % 200 == 0 {
            // Not all at once, or it would be passed over.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    fixture.spool.drain().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let taken = take(&mut follower, Lane::Telemetry, 1000);
    assert_eq!(taken.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    assert!(fixture.status().reread > 0, "the log held all of it: {:?}", fixture.status());
}

#[test]
fn a_rush_is_passed_over_and_read_in_the_spool() {
    let fixture = Fixture::new(Config::default());
    let mut follower = fixture.follower();
    fixture.wait_until("a router", |status| status.alive);
    connect(&mut follower);
    let mut sent = 0;
    let until = deadline(SOON_MAX);
    while fixture.status().passed_over == 0 {
        assert!(!is_over(until), "{sent} records were never too many at once: {:?}", fixture.status());
        fixture.append_many(Lane::Telemetry, sent..sent + 2_000);
        assert_eq!(take(&mut follower, Lane::Telemetry, 2_000), numbered(sent..sent + 2_000));
        sent += 2_000;
    }
    assert_eq!((fixture.status().rebuilt, fixture.status().reread), (0, 0));
    assert!(follower.has_link());
}

#[test]
fn services_beyond_the_links_read_the_spool() {
    let fixture = Fixture::new(Config::default());
    let mut followers: Vec<_> = (0..=broker::LINKS_MAX).map(|_| fixture.follower()).collect();
    fixture.wait_until("a router", |status| status.alive);
    followers.iter_mut().for_each(connect);
    fixture.append_many(Lane::Telemetry, 0..100);
    for follower in &mut followers {
        assert_eq!(take(follower, Lane::Telemetry, 100), numbered(0..100));
    }
    assert_eq!(followers.iter().filter(|follower| follower.has_link()).count(), broker::LINKS_MAX);
    // Those who leave hand their links back, in a state that serves another.
    followers.truncate(1);
    let mut late: Vec<_> = (1..broker::LINKS_MAX).map(|_| fixture.follower()).collect();
    late.iter_mut().for_each(connect);
    fixture.append_many(Lane::Telemetry, 100..200);
    for follower in &mut late {
        assert_eq!(take(follower, Lane::Telemetry, 100), numbered(100..200));
        assert!(follower.has_link());
    }
    assert_eq!(fixture.status().rebuilt, 0);
}

#[test]
fn a_router_that_cannot_be_built_keeps_nobody_from_the_records() {
    // Less than the router takes: it panics while it is built.
    let fixture = Fixture::new(Config { segment_bytes_max: 0, ..Config::default() });
    let mut follower = fixture.follower();
    fixture.append_many(Lane::Telemetry, 0..100);
    assert_eq!(take(&mut follower, Lane::Telemetry, 100), numbered(0..100));
    assert!(!fixture.status().alive);
    fixture.wait_until("another try", |status| status.rebuilt > 1);
    fixture.core.stop();
}

#[test]
fn each_device_has_its_own_order() {
    let fixture = Fixture::new(Config::default());
    let mut follower = fixture.follower();
    fixture.wait_until("a router", |status| status.alive);
    fixture.append_many(Lane::Telemetry, 0..10_000);
    let mut last: HashMap<u64, u64> = HashMap::new();
    for (offset, payload) in take(&mut follower, Lane::Telemetry, 10_000) {
        let number: u64 = payload.parse().unwrap();
        assert!(last.insert(number % 7, offset).is_none_or(|before| before < offset));
    }
}
