//! The simulator and its report.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Gateway, RocketMq, programs, within};

/// A running `simulator run`.
pub struct Simulator {
    child: Child,
    report: PathBuf,
    _folder: TempDir,
}

/// What it says at the end.
pub struct Report {
    pub status: ExitStatus,
    pub json: Value,
}

impl Report {
    /// A number of the report, such as `lost` or `latency_ms.p50`.
    pub fn number(&self, name: &str) -> f64 {
        let value = name.split('.').fold(&self.json, |value, part| &value[part]);
        value.as_f64().unwrap_or_else(|| panic!("no number `{name}` in the report: {}", self.json))
    }

    /// Everything acknowledged has arrived, in order; and something was acknowledged.
    pub fn assert_nothing_lost(&self) {
        assert_eq!(self.number("lost"), 0.0, "{}", self.json);
        assert_eq!(self.number("out_of_order"), 0.0, "{}", self.json);
        assert!(self.number("acknowledged") > 0.0, "{}", self.json);
        assert!(self.status.success(), "{}: {}", self.status, self.json);
    }
}

impl Simulator {
    /// `devices` sensors against `gateway`, audited by its file output.
    pub fn start(gateway: &Gateway, devices: usize, words: &[&str]) -> Self {
        let devices_word = devices.to_string();
        let target = format!("mqtt://127.0.0.1:{}", gateway.port);
        let own = ["--target", &target, "--devices", &devices_word];
        Self::start_as(gateway, devices, &[&own, words].concat())
    }

    /// As [`Simulator::start`], with targets and all else from `words`; with `devices` logins.
    pub fn start_as(gateway: &Gateway, devices: usize, words: &[&str]) -> Self {
        Self::start_of(&programs::simulator(), gateway, devices, words)
    }

    /// As [`Simulator::start_as`], another build of it.
    pub fn start_of(program: &Path, gateway: &Gateway, devices: usize, words: &[&str]) -> Self {
        Self::spawn(program, gateway, devices, &format!("file:{}", gateway.out().display()), words)
    }

    /// As [`Simulator::start`], audited by what arrives at a consumer of the bus.
    pub fn start_on_bus(gateway: &Gateway, bus: &RocketMq, devices: usize, words: &[&str]) -> Self {
        let devices_word = devices.to_string();
        let target = format!("mqtt://127.0.0.1:{}", gateway.port);
        let own = ["--target", &target, "--devices", &devices_word];
        let audit = format!("rocketmq://{}", bus.name_server());
        Self::start_audited(gateway, devices, &audit, &[&own, words].concat())
    }

    /// As [`Simulator::start_as`], audited by what `audit` names.
    pub fn start_audited(gateway: &Gateway, devices: usize, audit: &str, words: &[&str]) -> Self {
        Self::spawn(&programs::simulator(), gateway, devices, audit, words)
    }

    fn spawn(program: &Path, gateway: &Gateway, devices: usize, audit: &str, words: &[&str]) -> Self {
        let credentials = gateway.add_devices(devices, "virtual_");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let report = folder.path().join("report.json");
        let child = Command::new(program)
            .arg("run")
            .arg("--credentials")
            .arg(credentials)
            .args(["--audit", audit])
            .arg("--report")
            .arg(&report)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the simulator starts");
        Self { child, report, _folder: folder }
    }

    /// The most memory that it has used so far, in KiB.
    pub fn most_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.split_whitespace().next()?.parse().ok());
        most.expect("a field of Linux")
    }

    /// Waits for its end.
    pub fn finish(mut self, time_max: Duration) -> Report {
        let status = within(time_max, || self.child.try_wait().expect("a child of this process"));
        let status = status.unwrap_or_else(|| panic!("the simulator did not end within {time_max:?}"));
        let text = std::fs::read_to_string(&self.report)
            .unwrap_or_else(|error| panic!("the simulator ({status}) left no report: {error}"));
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"));
        Report { status, json }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
