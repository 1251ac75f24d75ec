//! Errors of the disk: the process ends with exit 74 and nothing acknowledged is lost; no room: it refuses and lives.

use std::{ffi::OsStr, os::unix::fs::symlink, process::Command, thread, time::Duration};

use tidegate_tests::{
    Acknowledged, Client, Gateway, Load, Login, LoopDisk, Publish, SmallDisk, Version, delivered,
    missing_at_last, out_of_order, ran, read_credentials, run, tidegate, within,
};

const EXIT_DISK: i32 = 74;
const READING: &[u8] = br#"{"temperature":23.4}"#;

fn logins(gateway: &Gateway, count: usize) -> Vec<Login> {
    read_credentials(&gateway.add_devices(count, "virtual_"))
}

/// Runs the gateway under strace with `fault`, loads it until it ends; it ends with 74 and, started without the fault,
/// still has all that was acknowledged.
fn assert_ends_and_keeps(fault: &str) {
    let mut gateway = Gateway::make();
    let logins = logins(&gateway, 4);
    let trace = gateway.dir.join("trace");
    let words: Vec<&OsStr> =
        ["strace", "-D", "-f", "-qq", "-e", "signal=none", "-o"].iter().map(OsStr::new).collect();
    let inject = format!("inject={fault}");
    let calls = fault.split(':').next().unwrap_or("");
    let tracing = format!("trace={calls}");
    let mut words = words;
    words.extend([
        trace.as_os_str(),
        OsStr::new("-e"),
        OsStr::new(&tracing),
        OsStr::new("-e"),
        OsStr::new(&inject),
    ]);
    gateway.through(&words);
    let started = gateway.try_run();
    let mut acknowledged = Acknowledged::new();
    let status = match started {
        Err(failure) => failure.status,
        Ok(()) => {
            let load = Load::start(gateway.port, &logins, &Acknowledged::new());
            let status = gateway.wait(Duration::from_secs(60));
            acknowledged = load.stop();
            status
        }
    };
    assert_eq!(status.code(), Some(EXIT_DISK), "{fault}: {}", gateway.log());
    gateway.through(&[]);
    gateway.run();
    assert_eq!(missing_at_last(&acknowledged, &gateway.out()), 0, "{fault}");
    assert_eq!(out_of_order(&delivered(&gateway.out())), 0, "{fault}");
    assert_eq!(
        Client::login(gateway.port, Version::V5, &gateway.device).publish_and_wait("telemetry", READING, 1),
        0
    );
}

#[test]
fn the_nth_sync_fails() {
    // What is synced by O_DSYNC is a pwrite64; cursors and new segments are fsync and fdatasync.
    for n in [1, 2, 3, 5, 9, 17, 33, 50] {
        assert_ends_and_keeps(&format!("fsync,fdatasync:error=EIO:when={n}+"));
    }
}

#[test]
fn the_nth_write_fails() {
    for n in [1, 4, 20, 50] {
        assert_ends_and_keeps(&format!("pwrite64,pwritev,pwritev2:error=EIO:when={n}+"));
    }
}

#[test]
fn a_slow_disk_delays_and_loses_nothing() {
    let mut gateway = Gateway::make();
    let trace = gateway.dir.join("trace");
    let words = ["strace", "-D", "-f", "-qq", "-o"].map(OsStr::new);
    let calls = "pwrite64,pwritev,pwritev2,fdatasync";
    let (tracing, delay) =
        (format!("trace={calls}"), format!("inject={calls}:delay_exit=2000000:when=40+40"));
    let mut words = words.to_vec();
    words.extend([
        trace.as_os_str(),
        OsStr::new("-e"),
        OsStr::new(&tracing),
        OsStr::new("-e"),
        OsStr::new(&delay),
    ]);
    gateway.through(&words);
    gateway.run();
    let load = Load::start(gateway.port, &logins(&gateway, 4), &Acknowledged::new());
    thread::sleep(Duration::from_secs(10));
    let acknowledged = load.stop();
    assert!(acknowledged.values().sum::<u64>() > 0);
    assert!(gateway.is_running(), "{}", gateway.log());
    assert_eq!(missing_at_last(&acknowledged, &gateway.out()), 0);
}

#[test]
fn a_full_spool_refuses_and_takes_again() {
    // The output stands still for want of room, so what is acknowledged has to stay in the spool.
    let disk = SmallDisk::make(1);
    let mut gateway = Gateway::make();
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "8MB""#);
    gateway.configure("# [mqtt.limits]", "[mqtt.limits]\nshed_ms_max = 1000");
    symlink(disk.path(), gateway.out()).expect("the output is not there yet");
    gateway.run();
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    let payload = vec![b'x'; 60_000];
    let refused =
        (1..2_000).map(|id| client.publish_and_wait("blob", &payload, id)).find(|reason| *reason >= 0x80);
    assert_eq!(refused, Some(0x97), "quota exceeded (MQTT 5 3.4.2.1)");
    assert!(gateway.is_running());
    assert_eq!(gateway.status()["spool"]["full"], true);

    // MQTT 3.1.1 cannot be told: no acknowledgement, then the end of the connection.
    let other = gateway.add_device("sensor_2");
    let mut old = Client::login(gateway.port, Version::V311, &other);
    old.publish(&Publish { topic: "blob", payload: &payload, qos: 1, id: 1 });
    match old.answer_within(Duration::from_secs(15)) {
        Err(_) => {}
        Ok(None) => panic!("still open and unanswered long after shed_ms_max: {}", gateway.status()),
        Ok(Some(answer)) => panic!("answered {answer:?} by a full spool: {}", gateway.status()),
    }

    ran(Command::new("mount").args(["-o", "remount,size=200m"]).arg(disk.path()));
    let taken = within(Duration::from_secs(60), || {
        (client.publish_and_wait("telemetry", READING, 60_000) == 0).then_some(())
    });
    assert!(taken.is_some(), "it takes records again when the output has caught up:\n{}", gateway.log());
}

#[test]
fn no_room_on_the_disk() {
    let disk = SmallDisk::make(40);
    let mut gateway = Gateway::make_at(&disk.path().join("try"));
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "1GB""#);
    gateway.configure(r#"reserve_free = "100MB""#, r#"reserve_free = "1MB""#);
    if let Err(failure) = gateway.try_run() {
        assert!(
            [74, 78].contains(&failure.status.code().unwrap_or(0)),
            "{}: {}",
            failure.status,
            failure.log
        );
        return;
    }
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    let payload = vec![b'x'; 60_000];
    let refused =
        (1..2_000).map(|id| client.publish_and_wait("blob", &payload, id)).find(|reason| *reason >= 0x80);
    assert_eq!(refused, Some(0x97), "refused, not fatal");
    assert!(gateway.is_running(), "{}", gateway.log());
}

#[test]
fn one_process_a_directory() {
    let mut gateway = Gateway::start();
    let second =
        run(Command::new("timeout").arg("20").arg(tidegate()).args(["run", "-c"]).arg(gateway.config_path()));
    let code = second.status.code();
    assert!(code.is_some_and(|code| code != 0 && code != 124), "{second:?}");
    assert!(!second.stderr.is_empty(), "it says why");
    assert!(gateway.is_running());
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    assert_eq!(client.publish_and_wait("telemetry", READING, 1), 0);
}

#[test]
fn a_disk_that_turns_read_only() {
    let disk = LoopDisk::make(256);
    let mut gateway = Gateway::make_at(&disk.path().join("try"));
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "100MB""#);
    gateway.run();
    let logins = logins(&gateway, 4);
    let load = Load::start(gateway.port, &logins, &Acknowledged::new());
    thread::sleep(Duration::from_millis(700));
    disk.shut_down();
    let status = gateway.wait(Duration::from_secs(60));
    let acknowledged = load.stop();
    assert_eq!(status.code(), Some(EXIT_DISK), "{}", gateway.log());
    assert!(acknowledged.values().sum::<u64>() > 0);
    let after = disk.cut_power();
    let mut recovered = Gateway::make();
    recovered.take_over(&after.path().join("try"), gateway.port);
    recovered.run();
    assert_eq!(missing_at_last(&acknowledged, &recovered.out()), 0);
}
