//! A disk without room, a slow disk, a process that is killed: what a device is told stays true.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::symlink,
    process::Command,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tidegate_tests::{
    Acknowledged, CoapLoad, Fault, Gateway, Login, SOON_MAX, SmallDisk,
    coap::{Code, Datagram, Kind, MAX_AGE},
    count_from, eventually, missing_at_last, open_segment, ran, read_credentials, within,
};

use crate::{CHANGED, READING, Rig, await_coap, delivered_lines, stored};

/// 5.03 Service Unavailable (RFC 7252, section 5.9.3.4).
const UNAVAILABLE: Code = Code(0xa3);

#[test]
fn a_full_spool_says_when_to_try_again() {
    // The output stands still for want of room, so what is acknowledged has to stay in the spool.
    let disk = SmallDisk::make(1);
    let mut gateway = Gateway::make();
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "8MB""#);
    symlink(disk.path(), gateway.out()).expect("the output is not there yet");
    let rig = Rig::with(gateway);
    let login = rig.gateway.device.clone();
    let mut client = rig.client();
    let payload = vec![b'x'; 1_000];
    let mut taken = 0;
    let refused = loop {
        let request = client.post("telemetry", &login, &payload);
        let answer = client.exchange(&request).response;
        if answer.code != CHANGED {
            break (request, answer);
        }
        taken += 1;
        assert!(taken < 50_000, "8 MB hold no more than this");
    };
    let (request, answer) = refused;
    println!("full after {taken} readings");
    assert_eq!((answer.code, answer.kind), (UNAVAILABLE, Kind::Ack), "{answer:?}");
    assert!(answer.uint(MAX_AGE).is_some_and(|seconds| seconds > 0), "{answer:?}");
    let mut non = client.post("telemetry", &login, &payload);
    non.kind = Kind::Non;
    client.send(&non.bytes());
    let answer = client.receive(Duration::from_millis(500));
    assert!(answer.is_none_or(|answer| answer.code == UNAVAILABLE), "best effort is not promised");
    let status = rig.gateway.status();
    assert_eq!(status["spool"]["full"], true);
    assert!(status["connections"]["shed"].as_u64().is_some_and(|count| count > 0), "{status}");

    ran(Command::new("mount").args(["-o", "remount,size=200m"]).arg(disk.path()));
    // The refusal is not remembered: the very same datagram is taken when there is room.
    let again = within(Duration::from_secs(60), || {
        (client.exchange(&request).response.code == CHANGED).then_some(())
    });
    assert!(again.is_some(), "it takes readings again when the output has caught up:\n{}", rig.gateway.log());
}

/// Each commit takes two seconds.
fn slow_down(rig: &Rig) -> Fault {
    let calls = "pwrite64,pwritev,pwritev2,fdatasync";
    let fault = format!("{calls}:delay_exit=2000000");
    Fault::attach(&rig.gateway, &fault, &open_segment(&rig.gateway))
}

#[test]
fn a_slow_disk_makes_separate_responses() {
    let mut rig = Rig::start();
    rig.assert_well();
    let before = stored(&rig.gateway);
    let slow = slow_down(&rig);
    let login = rig.gateway.device.clone();
    let mut client = rig.client();
    let request = client.post("telemetry", &login, READING);
    let begin = Instant::now();
    client.send(&request.bytes());
    let empty = client.receive(SOON_MAX).expect("an empty acknowledgement");
    assert_eq!(empty, Datagram::bare(Kind::Ack, Code::EMPTY, request.id), "RFC 7252, section 5.2.2");
    let acknowledged = begin.elapsed();
    assert!((300..1_500).contains(&acknowledged.as_millis()), "{acknowledged:?}");
    // Repetitions are attached to the answer that is on its way.
    for _ in 0..5 {
        client.send(&request.bytes());
        assert_eq!(client.receive(Duration::from_millis(500)), Some(empty.clone()));
    }
    let response = client.receive(SOON_MAX).expect("the response");
    assert!(begin.elapsed() > Duration::from_millis(1_800), "not before the disk has it");
    assert_eq!((response.kind, response.code, &response.token), (Kind::Con, CHANGED, &request.token));
    // Without an acknowledgement it comes again, the same message (section 4.2).
    let again = client.receive(Duration::from_secs(6)).expect("the response again");
    assert_eq!(again, response);
    client.confirm(&again);
    // A repetition that comes late has the answer piggybacked, and no record of its own.
    client.send(&request.bytes());
    let late = client.receive(SOON_MAX).expect("an answer");
    assert_eq!((late.kind, late.code, late.id), (Kind::Ack, CHANGED, request.id));
    assert_eq!(client.receive(Duration::from_secs(7)), None, "what was acknowledged is not sent again");
    drop(slow);
    assert_eq!(stored(&rig.gateway), before + 1);
    rig.assert_well_and_counted();
}

#[test]
fn a_slow_disk_loses_nothing() {
    let mut rig = Rig::start();
    let logins = logins(&rig.gateway, 16);
    let load = CoapLoad::start(rig.gateway.coap_address(), &logins, &Acknowledged::new());
    thread::sleep(Duration::from_secs(1));
    let slow = slow_down(&rig);
    thread::sleep(Duration::from_secs(12));
    drop(slow);
    thread::sleep(Duration::from_secs(1));
    let seen = load.seen();
    let acknowledged = load.stop();
    println!("{} acknowledged, {seen:?}", acknowledged.values().sum::<u64>());
    assert!(seen.separate.load(Ordering::Relaxed) >= 16, "every device met the slow disk: {seen:?}");
    assert_eq!(seen.anew.load(Ordering::Relaxed), 0, "{seen:?}");
    assert_eq!(missing_at_last(&acknowledged, &rig.gateway.out()), 0);
    let again = assert_uids(&rig.gateway, &acknowledged);
    assert_eq!(again, Again::default(), "repetitions while the disk was slow are no records of their own");
    rig.assert_well();
}

/// Requests that one worker keeps while the spool is busy: `HELD_MAX` of the gateway.
const HELD_MAX: usize = 1_024;

#[test]
fn more_than_can_wait_for_a_slow_disk_is_told_so() {
    let mut gateway = Gateway::make();
    // One commit holds about a hundred of these readings, and no more may be pending.
    gateway.configure("[spool]", "[spool]\ncommit_bytes_max = \"16KB\"\npending_bytes_max = \"16KB\"");
    let mut rig = Rig::with(gateway);
    rig.assert_well();
    let before = stored(&rig.gateway);
    let slow = slow_down(&rig);
    let login = rig.gateway.device.clone();
    let mut client = rig.client();
    // The worker finds out that the disk is slow, and leaves it to another thread from here on.
    assert_eq!(client.post_and_wait("telemetry", &login, READING), CHANGED);
    let requests: Vec<_> = (0..2 * HELD_MAX).map(|_| client.post("telemetry", &login, READING)).collect();
    let mut codes = BTreeMap::new();
    let mut take = |time_max| {
        let Some(answer) = client.receive(time_max) else { return false };
        client.confirm(&answer);
        if answer.code != Code::EMPTY {
            let is_told_when = answer.uint(MAX_AGE).is_some_and(|seconds| seconds > 0);
            assert!(answer.code == CHANGED || (answer.code == UNAVAILABLE && is_told_when), "{answer:?}");
            codes.insert(answer.token.clone(), answer.code);
        }
        true
    };
    for some in requests.chunks(16) {
        some.iter().for_each(|request| client.send(&request.bytes()));
        // The kernel keeps no more than a few hundred datagrams, in either direction.
        while take(Duration::from_millis(2)) {}
    }
    drop(slow);
    while take(Duration::from_secs(6)) {}
    let refused: Vec<_> =
        requests.iter().filter(|request| codes.get(&request.token) == Some(&UNAVAILABLE)).collect();
    println!("{} answered, {} of them refused, of {}", codes.len(), refused.len(), requests.len());
    assert!(!refused.is_empty() && refused.len() <= requests.len() - HELD_MAX, "{} refused", refused.len());
    // What was refused is not remembered and is taken now; what was taken has its answer again, where the client's
    // kernel dropped it.
    for request in &requests {
        if codes.get(&request.token) != Some(&CHANGED) {
            assert_eq!(client.exchange(request).response.code, CHANGED);
        }
    }
    assert_eq!(stored(&rig.gateway), before + 1 + requests.len() as u64);
    rig.assert_well_and_counted();
}

/// Datagrams that a worker takes in before its other tasks have their turn: `BATCHES_MAX` of `BATCH_MAX`.
const TURN_DATAGRAMS_MAX: usize = 4 * 64;

#[test]
fn more_than_one_turn_takes_in_is_answered_in_the_next() {
    let rig = Rig::start();
    let before = stored(&rig.gateway);
    let login = rig.gateway.device.clone();
    let mut client = rig.client();
    let requests: Vec<_> =
        (0..TURN_DATAGRAMS_MAX + 10).map(|_| client.post("telemetry", &login, READING)).collect();
    // What comes meanwhile is all there at its first look.
    rig.gateway.signal(Signal::STOP);
    requests.iter().for_each(|request| client.send(&request.bytes()));
    rig.gateway.signal(Signal::CONT);
    let all = before + requests.len() as u64;
    eventually("all are stored, although nothing more comes", || (stored(&rig.gateway) == all).then_some(()));
    // The client's kernel may have dropped some of so many answers: whoever misses one asks again.
    for request in &requests {
        assert_eq!(client.exchange(request).response.code, CHANGED);
    }
    assert_eq!(stored(&rig.gateway), all);
}

#[test]
fn killed_under_load() {
    let kills = count_from("TIDEGATE_KILLS", 8);
    let mut rig = Rig::start();
    let logins = logins(&rig.gateway, 16);
    let load = CoapLoad::start(rig.gateway.coap_address(), &logins, &Acknowledged::new());
    let mut before = 0;
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(400 + 97 * (kill % 7)));
        // Else it would prove nothing.
        before = eventually("something is acknowledged since the last kill", || {
            let acknowledged = load.acknowledged().values().sum::<u64>();
            (acknowledged > before).then_some(acknowledged)
        });
        rig.gateway.kill();
        rig.gateway.run();
        await_coap(&rig.gateway);
    }
    thread::sleep(Duration::from_millis(500));
    let seen = load.seen();
    let acknowledged = load.stop();
    assert_eq!(missing_at_last(&acknowledged, &rig.gateway.out()), 0);
    let again = assert_uids(&rig.gateway, &acknowledged);
    let count = acknowledged.values().sum::<u64>();
    println!("{kills} kills, {count} acknowledged, {again:?}, {seen:?}");
    // What is remembered of requests dies with the process: the one that each device had under way may come again.
    assert!(again.stored <= kills * logins.len() as u64, "{again:?}");
    assert!(rig.gateway.stop().success());
}

pub fn logins(gateway: &Gateway, count: usize) -> Vec<Login> {
    read_credentials(&gateway.add_devices(count, "virtual_"))
}

/// How often acknowledged readings came more than once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// Records of their own: the gateway took a repetition for a new request.
    pub stored: u64,
    /// The same record, delivered again by an output whose cursor was behind.
    pub delivered: u64,
}

/// Each acknowledged reading is delivered and has one uid, which no other reading has.
pub fn assert_uids(gateway: &Gateway, acknowledged: &Acknowledged) -> Again {
    let mut found: BTreeMap<(String, u64), BTreeMap<u64, String>> = BTreeMap::new();
    let mut again = Again::default();
    for line in delivered_lines(&gateway.out()) {
        let (Some(device), Some(sequence)) = (line["device"].as_str(), line["seq"].as_u64()) else {
            continue;
        };
        if acknowledged.get(device).is_some_and(|last| sequence <= *last) {
            let uid = line["uid"].as_str().expect("a uid").to_owned();
            let offset = line["offset"].as_u64().expect("an offset");
            let records = found.entry((device.to_owned(), sequence)).or_default();
            again.delivered += u64::from(records.insert(offset, uid).is_some());
        }
    }
    assert_eq!(found.len() as u64, acknowledged.values().sum::<u64>(), "each acknowledged reading is there");
    let mut all = BTreeSet::new();
    for (reading, records) in &found {
        let of_it: BTreeSet<&String> = records.values().collect();
        assert_eq!(of_it.len(), 1, "{reading:?} has one uid: {of_it:?}");
        assert!(all.is_disjoint(&of_it), "{of_it:?} names two readings");
        all.extend(of_it);
        again.stored += records.len() as u64 - 1;
    }
    again
}
