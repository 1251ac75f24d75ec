//! One thread of the gateway in trouble.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{Gateway, eventually};

/// Has `fault` befall the calls of one thread of the gateway. The thread goes on when this is dropped.
pub struct Hurt(Child);

impl Hurt {
    /// Of the thread `name`, as strace says it.
    pub fn thread(gateway: &Gateway, name: &str, fault: &str) -> Self {
        let tasks = PathBuf::from(format!("/proc/{}/task", gateway.pid()));
        let is_named =
            |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let mut threads =
            fs::read_dir(&tasks).expect("the gateway runs").map(|task| task.expect("a thread").path());
        let thread = threads.find(|task| is_named(task)).unwrap_or_else(|| panic!("no thread {name}"));
        let id = thread.file_name().and_then(|id| id.to_str()).expect("a number");
        let calls = fault.split(':').next().unwrap_or("");
        let strace = Command::new("strace")
            .args(["-qq", "-e", "signal=none", "-o", "/dev/null", "-p", id])
            .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={fault}")])
            .stdin(Stdio::null())
            .spawn()
            .expect("strace is installed");
        let status = thread.join("status");
        eventually("strace has the thread", || {
            // The fault may have killed it already.
            let Ok(status) = fs::read_to_string(&status) else { return Some(()) };
            let word =
                |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
            (word("TracerPid:") != "0" || word("State:").starts_with(['Z', 'X'])).then_some(())
        });
        Self(strace)
    }
}

impl Drop for Hurt {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}
