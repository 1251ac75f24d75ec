//! `simulator run --baseline mosquitto`: both verdicts on one machine, and nothing left behind.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidegate_tests::{run, simulator, tidegate, within};

/// The simulator, whose folders are made in `temporary`.
fn compare(temporary: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "90"]).arg(simulator()).args(["run", "--baseline", "mosquitto"]);
    command.arg("--gateway").arg(tidegate()).args(words).env("TMPDIR", temporary);
    command
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Command lines of running processes that name `folder`.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a plain path");
    let processes = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    let lines = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.map(|line| line.replace('\0', " ")).filter(|line| line.contains(folder)).collect()
}

fn assert_nothing_is_left(temporary: &Path) {
    let left = within(Duration::from_secs(5), || processes_of(temporary).is_empty().then_some(()));
    assert!(left.is_some(), "still running: {:?}", processes_of(temporary));
    let folders: Vec<_> = fs::read_dir(temporary).expect("the folder").collect();
    assert!(folders.is_empty(), "{folders:?}");
}

#[test]
fn tidegate_passes_where_a_bridge_of_mosquitto_loses() {
    let temporary = tempfile::tempdir().expect("a folder");
    let report = tempfile::NamedTempFile::new().expect("a file");
    let words = ["--duration", "8s", "--report", report.path().to_str().expect("a plain path")];
    let output = run(&mut compare(temporary.path(), &words));
    let printed = text(&output);
    assert!(output.status.success(), "{printed}");
    let row = |name: &str| {
        let line = printed.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no line {name}:\n{printed}"));
        line.strip_prefix(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("verdict"), ["PASS", "FAIL"], "{printed}");
    assert_eq!(row("lost")[0], "0", "{printed}");
    assert!(
        printed.contains("persistence true") && printed.contains("kill -9 at 1.0, 3.0, 5.0, 7.0 s"),
        "{printed}"
    );

    let json = fs::read_to_string(report.path()).expect("the report was written");
    let json: Value = serde_json::from_str(&json).expect("the report is JSON");
    let count = |arm: usize, name: &str| json["arms"][arm]["report"][name].as_u64().expect("a number");
    assert_eq!(
        (&json["arms"][0]["name"], &json["arms"][1]["name"]),
        (&"tidegate".into(), &"mosquitto".into())
    );
    // 50 sensors, ten readings a second each, for eight seconds; both have acknowledged nearly all of them.
    for arm in [0, 1] {
        assert!((3800..=4000).contains(&count(arm, "acknowledged")), "{printed}");
        assert!(count(arm, "reconnects") >= 100, "each was killed under its sensors: {printed}");
    }
    assert_eq!((count(0, "lost"), count(0, "out_of_order")), (0, 0), "{printed}");
    // Acknowledged between the break of the uplink and the next kill alone: 50 sensors for more than half a second.
    assert!(count(1, "lost") > 100, "{printed}");
    assert_nothing_is_left(temporary.path());
}

#[test]
fn ctrl_c_ends_all_that_was_started() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(simulator());
    command.args(["run", "--baseline", "mosquitto", "--duration", "60s"]).arg("--gateway").arg(tidegate());
    command.env("TMPDIR", temporary.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().expect("the simulator starts");
    let started = within(Duration::from_secs(20), || {
        processes_of(temporary.path()).iter().any(|line| line.contains(" run -c ")).then_some(())
    });
    let pid = Pid::from_child(&running);
    kill_process(pid, Signal::INT).expect("it takes signals");
    let status = within(Duration::from_secs(10), || running.try_wait().expect("a child of this process"));
    if status.is_none() {
        running.kill().expect("it can be killed");
    }
    assert!(started.is_some(), "no gateway was started");
    assert_eq!(status.expect("it ends at once").code(), Some(130));
    assert_nothing_is_left(temporary.path());
}

#[test]
fn what_is_missing_is_told_before_anything_runs() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(simulator());
    command.args(["run", "--baseline", "mosquitto", "--gateway", "/nonexistent/tidegate"]);
    let output = run(command.env("TMPDIR", temporary.path()));
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    assert!(text(&output).contains("--gateway /nonexistent/tidegate: there is no such program"));
    assert_nothing_is_left(temporary.path());
}
