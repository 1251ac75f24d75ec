//! A positive acknowledgement means: on disk.
//!
//! Killing the process proves recovery: what it wrote stays in the page cache, synced or not. Cutting the power proves
//! durability: only what reached the device is left. The same cut of a gateway whose syncs are taken away has to lose
//! something, or the proof would prove nothing.

use std::{path::Path, process::Command, thread, time::Duration};

use rustix::process::Signal;
use tidegate_tests::{
    Acknowledged, Gateway, Load, Login, LoopDisk, Simulator, count_from, delivered, missing_at_last,
    out_of_order, ran, run, tidegate, tidegate_without_sync,
};

/// Devices of the power cuts.
const DEVICES: usize = 8;
/// Of a device behind each acknowledgement: a hundred cuts fit on the disk.
const REST: Duration = Duration::from_millis(1);
/// MiB of the disk whose power is cut.
const DISK_MIB: u64 = 512;

#[test]
fn killed_again_and_again() {
    let kills = count_from("TIDEGATE_KILLS", 20);
    let mut gateway = Gateway::start();
    let duration = format!("{}s", kills * 3 / 2 + 10);
    let words = ["--interval", "200ms", "--duration", &duration, "--seed", "1"];
    let simulator = Simulator::start(&gateway, 200, &words);
    thread::sleep(Duration::from_secs(2));
    for kill in 0..kills {
        gateway.kill();
        gateway.run();
        thread::sleep(Duration::from_millis(600 + 97 * (kill % 7)));
    }
    let report = simulator.finish(Duration::from_secs(kills * 3 / 2 + 150));
    println!("{kills} kills: {}", report.json);
    report.assert_nothing_lost();
    assert!(gateway.stop().success());
}

#[test]
fn power_cut() {
    let cuts = count_from("TIDEGATE_CUTS", 10);
    let disk = LoopDisk::make(DISK_MIB);
    let mut rig = Rig::make(&disk);
    let mut acknowledged = Acknowledged::new();
    for cut in 0..cuts {
        rig.gateway.run();
        let (after, found) = rig.cut(&disk, &acknowledged, Duration::from_millis(300 + 130 * (cut % 8)));
        let fresh = total(&after) - total(&acknowledged);
        println!("cut {cut}: {fresh} acknowledged since the last, {found:?}");
        assert!(fresh > 0, "nothing was acknowledged before the cut: it proves nothing");
        assert_eq!(found, Found { lost: 0, verify: Some(0) }, "cut {cut}");
        acknowledged = after;
    }
}

/// The negative control.
#[test]
fn power_cut_without_sync_loses() {
    let disk = LoopDisk::make(DISK_MIB);
    let mut rig = Rig::make(&disk);
    rig.gateway.with_program(tidegate_without_sync()).with_environment("TIDEGATE_TEST_NO_SYNC", "1");
    let mut acknowledged = Acknowledged::new();
    for cut in 0..5 {
        rig.gateway.run();
        let (after, found) = rig.cut(&disk, &acknowledged, Duration::from_millis(500));
        println!("cut {cut} without sync: {} acknowledged, {found:?}", total(&after));
        if found.lost > 0 {
            return;
        }
        acknowledged = after;
    }
    panic!("without sync nothing was lost: the power cut does not cut");
}

#[test]
fn a_stopped_gateway_has_drained() {
    let mut gateway = Gateway::start();
    let logins = logins(&gateway, 4);
    let load = Load::start(gateway.port, &logins, &Acknowledged::new());
    thread::sleep(Duration::from_secs(1));
    assert!(gateway.stop().success());
    let acknowledged = load.stop();
    assert!(total(&acknowledged) > 0);
    gateway.run();
    assert_eq!(missing_at_last(&acknowledged, &gateway.out()), 0);
    assert_eq!(out_of_order(&delivered(&gateway.out())), 0);
}

/// A gateway on a disk whose power is cut, and its devices.
struct Rig {
    gateway: Gateway,
    logins: Vec<Login>,
}

impl Rig {
    fn make(disk: &LoopDisk) -> Self {
        let mut gateway = Gateway::make_at(&disk.path().join("try"));
        gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "200MB""#);
        let logins = logins(&gateway, DEVICES);
        ran(&mut Command::new("sync"));
        Self { gateway, logins }
    }

    /// Cuts the power after `time` of load: stops the gateway, takes what the device has, kills it; then recovers what
    /// was taken. What was acknowledged before the cut, and what was found afterwards.
    fn cut(&mut self, disk: &LoopDisk, before: &Acknowledged, time: Duration) -> (Acknowledged, Found) {
        let load = Load::start_paced(self.gateway.port, &self.logins, before, REST);
        thread::sleep(time);
        self.gateway.signal(Signal::STOP);
        let acknowledged = load.acknowledged();
        let cut = disk.cut_power();
        self.gateway.kill();
        load.stop();
        let found = recover(&self.gateway, cut.path(), &acknowledged);
        (acknowledged, found)
    }
}

/// What is left after a cut.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Acknowledged readings that the output does not get.
    lost: u64,
    /// Exit of `spool verify` before the gateway starts again. A commit that the cut left unfinished is no damage.
    verify: Option<i32>,
}

/// Starts a gateway on the disk that lost its power.
fn recover(gateway: &Gateway, disk: &Path, acknowledged: &Acknowledged) -> Found {
    let mut recovered = Gateway::make();
    let left = disk.join("try");
    let everything = total(acknowledged);
    if !left.join("tidegate.toml").is_file() {
        return Found { lost: everything, verify: None };
    }
    recovered.take_over(&left, gateway.port);
    let verified = run(Command::new(tidegate()).args(["spool", "verify"]).arg(&left));
    let verify = verified.status.code();
    if verify != Some(0) {
        println!(
            "{}{}",
            String::from_utf8_lossy(&verified.stdout),
            String::from_utf8_lossy(&verified.stderr)
        );
    }
    if recovered.try_run().is_err() {
        return Found { lost: everything, verify };
    }
    let lost = missing_at_last(acknowledged, &recovered.out());
    assert_eq!(out_of_order(&delivered(&recovered.out())), 0);
    Found { lost, verify }
}

fn logins(gateway: &Gateway, count: usize) -> Vec<Login> {
    let file = gateway.add_devices(count, "virtual_");
    tidegate_tests::read_credentials(&file)
}

fn total(acknowledged: &Acknowledged) -> u64 {
    acknowledged.values().sum()
}
