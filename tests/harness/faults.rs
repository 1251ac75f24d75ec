//! Has faults befall the calls of a gateway to the disk, by strace.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Gateway, eventually, programs};

/// Starts `gateway` under strace from here on, which has `fault` befall the calls that it begins with. strace counts by
/// thread and call.
pub fn inject(gateway: &mut Gateway, fault: &str) {
    let calls = fault.split(':').next().unwrap_or("");
    let (tracing, inject) = (format!("trace={calls}"), format!("inject={fault}"));
    let before = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-o", "/dev/null"];
    let words: Vec<&OsStr> =
        before.into_iter().chain(["-e", &tracing, "-e", &inject]).map(OsStr::new).collect();
    gateway.through(&words);
}

/// A fault that befalls a running gateway until this is dropped.
pub struct Fault {
    strace: Child,
}

impl Fault {
    /// Has `fault` befall the calls of the running gateway on `file` from here on.
    pub fn attach(gateway: &Gateway, fault: &str, file: &Path) -> Self {
        let calls = fault.split(':').next().unwrap_or("");
        let pid = gateway.pid().to_string();
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-o", "/dev/null", "-p", &pid, "-P"])
            .arg(file)
            .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={fault}")])
            .stdin(Stdio::null())
            .spawn()
            .expect("strace is installed");
        eventually("strace has every thread", || {
            let mut tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
            tasks.all(|task| is_traced(&task.expect("a thread").path())).then_some(())
        });
        Self { strace }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // By SIGTERM it lets go of what it watches; when that has ended, so has strace.
        let _gone = kill_process(Pid::from_child(&self.strace), Signal::TERM);
        let _status = self.strace.wait();
    }
}

fn is_traced(task: &Path) -> bool {
    let status = fs::read_to_string(task.join("status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
}

/// The segment that telemetry is written to.
pub fn open_segment(gateway: &Gateway) -> PathBuf {
    let spool = gateway.dir.join("spool");
    let mut inspect = Command::new(programs::tidegate());
    let printed = programs::ran(inspect.args(["spool", "inspect", "--json"]).arg(&spool));
    let found: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let mut segments = found["segments"].as_array().expect("a list").iter();
    let open = segments.find(|segment| segment["lane"] == "telemetry" && segment["sealed"] == false);
    let name = open.and_then(|segment| segment["name"].as_str());
    spool.join(name.unwrap_or_else(|| panic!("no open segment: {printed}")))
}
