//! Errors of the disk: the process ends with exit 74 and nothing acknowledged is lost; no room: it refuses and lives.

use std::{os::unix::fs::symlink, process::Command, thread, time::Duration};

use tidegate_tests::{
    Acknowledged, Client, Fault, Gateway, Load, Login, LoopDisk, Publish, SmallDisk, Version, count_from,
    delivered, inject, missing_at_last, open_segment, out_of_order, ran, read_credentials, run, tidegate,
    within,
};

const EXIT_DISK: i32 = 74;
const READING: &[u8] = br#"{"temperature":23.4}"#;

fn logins(gateway: &Gateway, count: usize) -> Vec<Login> {
    read_credentials(&gateway.add_devices(count, "virtual_"))
}

/// Runs the gateway with `fault` and loads it until it ends, which it does with 74. Started without the fault, it still
/// has all that was acknowledged, and goes on.
fn assert_ends_and_keeps(gateway: &mut Gateway, logins: &[Login], fault: &str) {
    inject(gateway, fault);
    let (status, acknowledged) = match gateway.try_run() {
        Err(failure) => (failure.status, Acknowledged::new()),
        Ok(()) => {
            let load = Load::start(gateway.port, logins, &Acknowledged::new());
            let status = gateway.wait(Duration::from_secs(60));
            (status, load.stop())
        }
    };
    assert_eq!(status.code(), Some(EXIT_DISK), "{fault}: {}", gateway.log());
    gateway.through(&[]);
    gateway.run();
    assert_keeps(gateway, &acknowledged, fault);
}

/// It has all that was acknowledged, in order, and acknowledges more.
fn assert_keeps(gateway: &Gateway, acknowledged: &Acknowledged, fault: &str) {
    assert_eq!(missing_at_last(acknowledged, &gateway.out()), 0, "{fault}: {}", gateway.log());
    assert_eq!(out_of_order(&delivered(&gateway.out())), 0, "{fault}");
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    assert_eq!(client.publish_and_wait("telemetry", READING, 1), 0, "{fault}");
}

/// Commits are written with O_DSYNC: each write is a sync.
#[test]
fn the_nth_commit_fails() {
    let mut gateway = Gateway::start();
    let logins = logins(&gateway, 4);
    let mut acknowledged = Acknowledged::new();
    assert_keeps(&gateway, &acknowledged, "none");
    let step = if count_from("TIDEGATE_EVERY_FAULT", 0) > 0 { 1 } else { 7 };
    for n in (1..=50).step_by(step) {
        let fault = format!("pwrite64,pwritev,pwritev2,fdatasync:error=EIO:when={n}+");
        let strace = Fault::attach(&gateway, &fault, &open_segment(&gateway));
        let load = Load::start(gateway.port, &logins, &acknowledged);
        let status = gateway.wait(Duration::from_secs(60));
        drop(strace);
        acknowledged = load.stop();
        assert_eq!(status.code(), Some(EXIT_DISK), "{fault}: {}", gateway.log());
        gateway.run();
        assert_keeps(&gateway, &acknowledged, &fault);
    }
    let total = acknowledged.values().sum::<u64>();
    println!("{total} acknowledged before the errors");
    assert!(total > 100, "only {total} acknowledged: the errors come too early");
}

/// In a fresh folder most of them are syncs of new files and folders, and zeros.
#[test]
fn the_nth_write_or_sync_of_a_first_start_fails() {
    let step = if count_from("TIDEGATE_EVERY_FAULT", 0) > 0 { 1 } else { 7 };
    for n in (1..=50).step_by(step) {
        let mut gateway = Gateway::make();
        let logins = logins(&gateway, 4);
        let calls = "fsync,fdatasync,pwrite64,pwritev,pwritev2";
        let fault = format!("{calls}:error=EIO:when={n}+");
        assert_ends_and_keeps(&mut gateway, &logins, &fault);
    }
}

/// The spool keeps what an output cannot sync. When the spool itself is hit, it ends as for any error of the disk.
#[test]
fn an_output_that_cannot_sync_gets_everything_later() {
    for n in [9, 17, 33] {
        let mut gateway = Gateway::start();
        let logins = logins(&gateway, 4);
        assert!(gateway.stop().success());
        let fault = format!("fsync,fdatasync:error=EIO:when={n}+");
        inject(&mut gateway, &fault);
        gateway.run();
        let load = Load::start(gateway.port, &logins, &Acknowledged::new());
        thread::sleep(Duration::from_millis(500));
        if gateway.is_running() {
            gateway.kill();
        } else {
            assert_eq!(gateway.wait(Duration::from_secs(1)).code(), Some(EXIT_DISK), "{fault}");
        }
        let acknowledged = load.stop();
        gateway.through(&[]);
        gateway.run();
        assert_keeps(&gateway, &acknowledged, &fault);
    }
}

#[test]
fn a_slow_disk_delays_and_loses_nothing() {
    let mut gateway = Gateway::make();
    inject(&mut gateway, "pwrite64,pwritev,pwritev2,fdatasync:delay_exit=2000000:when=40+40");
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
