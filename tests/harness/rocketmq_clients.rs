//! Clients of RocketMQ that others have written: the classic one in Java, the classic one in Python, and the one of
//! RocketMQ 5 in Python. The programs around them are `deploy/rocketmq/examples`; they print a line of JSON a message.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{RocketMq, rocketmq::deploy, within};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusClient {
    /// `DefaultMQPushConsumer` of `rocketmq-client` 5.
    Java,
    /// `PushConsumer` of PyPI's `rocketmq`; reads properties by name only.
    Python,
    /// `SimpleConsumer` of PyPI's `rocketmq-python-client`, through the proxy.
    Grpc,
}

/// How one talks to the bus.
#[derive(Clone, Copy, Debug, Default)]
pub struct BusLogin<'a> {
    /// Signs as this user, with the secret that `up` made.
    pub user: Option<&'a str>,
    /// Speaks TLS and trusts the bus's CA. Java only.
    pub tls: bool,
}

/// Where `tests/rocketmq/install` puts the clients.
fn clients() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let folder = cache.expect("HOME is set").join("tidegate/rocketmq/clients");
    assert!(
        folder.join("installed").is_file(),
        "no clients in {}; run tests/rocketmq/install",
        folder.display()
    );
    folder
}

/// `java … tidegate.PROGRAM`.
fn java(bus: &RocketMq, login: BusLogin<'_>, program: &str) -> Command {
    let folder = clients().join("java");
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg(format!("-Duser.home={}", bus.data.join("java-client").display()));
    if login.tls {
        command.args(["-Dtls.enable=true", "-Dtls.test.mode.enable=false", "-Dtls.client.authServer=true"]);
        command.arg(format!("-Dtls.client.trustCertPath={}", bus.ca().display()));
    }
    command
        .arg("-cp")
        .arg(format!("{0}/classes:{0}/jars/*", folder.display()))
        .arg(format!("tidegate.{program}"));
    command.args(["-nameServer", &bus.name_server()]);
    if let Some(user) = login.user {
        command.args(["-user", user]).arg("-secretFile").arg(bus.secret_file(user));
    }
    command
}

/// `python3 PROGRAM.py` of the examples, in the environment of one of the clients.
fn python(bus: &RocketMq, login: BusLogin<'_>, client: BusClient, program: &str) -> Command {
    let (environment, address) = match client {
        BusClient::Grpc => ("grpc", bus.grpc()),
        _ => ("classic", bus.name_server()),
    };
    let mut command = Command::new(clients().join(environment).join("bin/python3"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    // The C++ client writes its log below the home folder.
    command.env("HOME", &bus.data);
    command.arg(deploy().join("examples/python").join(program)).args(["--address", &address]);
    if let Some(user) = login.user {
        command.args(["--user", user]).arg("--secret-file").arg(bus.secret_file(user));
    }
    command
}

/// A program that prints lines until it is stopped.
pub struct BusConsumer {
    command: Mutex<Command>,
    child: Mutex<Child>,
    lines: Lines,
    complaints: Lines,
}

/// A client of others that has said nothing for so long hangs, as one now and then does where many start at once on two
/// cores, while the others of the same test get everything. It is started again, once.
const MUTE_MAX: Duration = Duration::from_secs(45);

type Lines = Arc<Mutex<Vec<String>>>;

/// Adds to `sink` what a program prints there, as it comes.
fn collect(printed: impl Read + Send + 'static, sink: &Lines) {
    let sink = Arc::clone(sink);
    thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            lock(&sink).push(line);
        }
    });
}

impl BusConsumer {
    /// Prints messages as JSON; `words` name group, topic and filter in the words of that program.
    pub fn start(bus: &RocketMq, client: BusClient, words: &[&str]) -> Self {
        Self::start_as(bus, BusLogin::default(), client, words)
    }

    /// As [`BusConsumer::start`], with a login.
    pub fn start_as(bus: &RocketMq, login: BusLogin<'_>, client: BusClient, words: &[&str]) -> Self {
        let mut command = match client {
            BusClient::Java => java(bus, login, "Readings"),
            BusClient::Python => python(bus, login, client, "readings_classic.py"),
            BusClient::Grpc => python(bus, login, client, "readings_grpc.py"),
        };
        command.args(words);
        Self::spawn(command)
    }

    /// The classic Python consumer that splits the body at the comma and prints `ALARM DEVICE VALUE` above 35.
    pub fn alarms(bus: &RocketMq, words: &[&str]) -> Self {
        let mut command = python(bus, BusLogin::default(), BusClient::Python, "alarm.py");
        command.args(words);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (lines, complaints) = (Lines::default(), Lines::default());
        let child = Self::run(&mut command, &lines, &complaints);
        Self { command: Mutex::new(command), child: Mutex::new(child), lines, complaints }
    }

    fn run(command: &mut Command, lines: &Lines, complaints: &Lines) -> Child {
        let spawned = command.spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        collect(child.stdout.take().expect("a pipe"), lines);
        collect(child.stderr.take().expect("a pipe"), complaints);
        child
    }

    /// Kills it and starts it again.
    fn start_again(&self) {
        let mut child = lock(&self.child);
        let _ended = child.kill();
        let _status = child.wait();
        let mut command = lock(&self.command);
        lock(&self.complaints).push(format!("nothing in {MUTE_MAX:?}: started again"));
        println!("nothing from {command:?} in {MUTE_MAX:?}: started again");
        *child = Self::run(&mut command, &self.lines, &self.complaints);
    }

    /// Lines so far.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Messages so far.
    pub fn messages(&self) -> Vec<Value> {
        let parse =
            |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.lines().iter().map(parse).collect()
    }

    /// Messages once there are `count`, that is at least as many, within `time_max`.
    pub fn wait_for(&self, count: usize, time_max: Duration) -> Vec<Value> {
        let enough_within = |time| within(time, || (self.count() >= count).then_some(()));
        let is_mute = enough_within(MUTE_MAX.min(time_max)).is_none() && self.count() == 0;
        if is_mute && time_max > MUTE_MAX {
            self.start_again();
        }
        let enough = enough_within(time_max.saturating_sub(MUTE_MAX));
        assert!(
            enough.is_some(),
            "{} messages instead of {count} within {time_max:?} (queue, first offset, messages: {:?}); what {:?} said:\n{}",
            self.count(),
            self.queues(),
            lock(&self.command),
            lock(&self.complaints).join("\n")
        );
        self.messages()
    }

    /// Of each queue: its number, the first offset that came, and how many messages.
    fn queues(&self) -> Vec<(u64, u64, usize)> {
        let mut queues = BTreeMap::new();
        for message in self.lines().iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if let (Some(queue), Some(offset)) = (message["queue"].as_u64(), message["offset"].as_u64()) {
                let (first, count) = queues.entry(queue).or_insert((offset, 0));
                *first = offset.min(*first);
                *count += 1;
            }
        }
        queues.into_iter().map(|(queue, (first, count))| (queue, first, count)).collect()
    }

    /// How many lines came so far.
    pub fn count(&self) -> usize {
        lock(&self.lines).len()
    }

    /// SIGTERM, on which it confirms what it has and leaves its group.
    pub fn stop(self) -> Vec<String> {
        let mut child = lock(&self.child);
        kill_process(Pid::from_child(&child), Signal::TERM).expect("the consumer takes signals");
        let _ended = within(Duration::from_secs(15), || child.try_wait().ok().flatten());
        self.lines()
    }

    /// SIGKILL.
    pub fn kill(self) -> Vec<String> {
        let mut child = lock(&self.child);
        let _ended = child.kill();
        let _status = child.wait();
        self.lines()
    }
}

impl Drop for BusConsumer {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        // A member that leaves gives its queues back; the broker keeps those of a killed one for a minute.
        if matches!(child.try_wait(), Ok(None)) {
            let _told = kill_process(Pid::from_child(&child), Signal::TERM);
            let _ended = within(Duration::from_secs(5), || child.try_wait().ok().flatten());
        }
        let _ended = child.kill();
        let _status = child.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `DEVICE MEASUREMENT VALUE [NAME=VALUE …]` a line with the Java client; a line of its answer each.
pub fn send_by_java(bus: &RocketMq, login: BusLogin<'_>, words: &[&str], readings: &[String]) -> Vec<String> {
    send(java(bus, login, "Send").args(words), readings)
}

/// As [`send_by_java`], with the classic Python client.
pub fn send_by_python(
    bus: &RocketMq,
    login: BusLogin<'_>,
    words: &[&str],
    readings: &[String],
) -> Vec<String> {
    send(python(bus, login, BusClient::Python, "send.py").args(words), readings)
}

fn send(command: &mut Command, readings: &[String]) -> Vec<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut input = child.stdin.take().expect("a pipe");
    let text: String = readings.iter().map(|reading| format!("{reading}\n")).collect();
    // Beside the reading of its answers, which would fill the pipe otherwise.
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the sender ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{complaint}", output.status);
    writer.join().expect("the writer ends").expect("the sender reads all");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Runs the recipe against duplicates through `duplicates.csv`, in Java and in Python; what each printed.
pub fn check_recipes() -> [String; 2] {
    let examples = deploy().join("examples");
    let cases = examples.join("duplicates.csv");
    let java = crate::ran(
        Command::new("java")
            .args(["-Xmx64m", "-cp"])
            .arg(clients().join("java/classes"))
            .arg("tidegate.DuplicatesCheck")
            .arg(&cases),
    );
    let python = crate::ran(
        Command::new("python3")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(examples.join("python/duplicates_check.py"))
            .arg(&cases),
    );
    [java, python]
}
