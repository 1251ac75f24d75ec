//! `tidegate service …` as a consumer of the bus.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{RocketMq, programs, within};

/// A running service and what it has said so far.
pub struct BusService {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl BusService {
    /// `tidegate service NAME --bus …`; returns when it has its queues.
    pub fn start(bus: &RocketMq, name: &str, words: &[&str]) -> Self {
        let service = Self::spawn(bus, name, words);
        service.wait_for_note("queues are this member's");
        service
    }

    /// As [`BusService::start`], without waiting.
    pub fn spawn(bus: &RocketMq, name: &str, words: &[&str]) -> Self {
        let mut child = Command::new(programs::tidegate())
            .args(["service", name, "--bus", &format!("rocketmq://{}", bus.name_server())])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tidegate starts");
        let lines = read(child.stdout.take().expect("a pipe"));
        let notes = read(child.stderr.take().expect("a pipe"));
        Self { child, lines, notes }
    }

    /// What it printed, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The messages of `--json`, without the lines about the lag.
    pub fn messages(&self) -> Vec<Value> {
        let parse =
            |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.lines().iter().map(parse).filter(|value: &Value| value.get("lag").is_none()).collect()
    }

    /// What it said to who runs it.
    pub fn notes(&self) -> String {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits until it has said so.
    pub fn wait_for_note(&self, part: &str) {
        let said = within(Duration::from_secs(30), || self.notes().contains(part).then_some(()));
        assert!(said.is_some(), "it does not say {part:?}:\n{}", self.notes());
    }

    /// Waits until it has printed that many messages.
    pub fn wait_for(&self, count: usize, time_max: Duration) -> Vec<Value> {
        let found = within(time_max, || Some(self.messages()).filter(|messages| messages.len() >= count));
        found.unwrap_or_else(|| panic!("{} of {count} messages:\n{}", self.messages().len(), self.notes()))
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        let _status = self.child.wait();
    }

    /// Ctrl-C; how it ended.
    pub fn interrupt(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it takes signals");
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = within(Duration::from_secs(30), || self.child.try_wait().expect("a child"));
        ended.unwrap_or_else(|| panic!("it does not end:\n{}", self.notes()))
    }
}

impl Drop for BusService {
    fn drop(&mut self) {
        // A member that leaves gives its queues back; the broker keeps those of a killed one for a minute.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _told = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ended = within(Duration::from_secs(3), || self.child.try_wait().ok().flatten());
        }
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn read(pipe: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let keep = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            keep.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    lines
}
