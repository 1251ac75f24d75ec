//! A RocketMQ of its own, started by `deploy/rocketmq/up`: real name server, broker and proxy.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bus_pool::{Lent, Place},
    programs, within,
};

/// Ports that `up --port-base` uses, from its base.
const PORTS: [u16; 6] = [0, 1, 3, 4, 5, 6];

/// A process of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    NameServer,
    /// Holds the proxy as well where there is one.
    Broker,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::NameServer => "name-server",
            Self::Broker => "broker",
        }
    }
}

/// A bus with ports and data of its own, gone when this is dropped.
pub struct RocketMq {
    /// Where it keeps data, logs, certificates and secrets.
    pub data: PathBuf,
    port_base: u16,
    java_options: Option<&'static str>,
    /// Stops what runs when this process is gone, however that ends.
    warden: Option<Child>,
    folder: TempDir,
    _place: Option<Place>,
}

impl RocketMq {
    /// One that other tests have had or will have, with topics and groups, and a proxy.
    pub fn lend() -> Lent {
        Lent::take(&["--proxy"])
    }

    /// As [`RocketMq::lend`], with these words for `up`, such as `--tls`, `--acl`, `--sync-flush`.
    pub fn lend_with(words: &[&str]) -> Lent {
        Lent::take(words)
    }

    /// For a test that hurts it, with topics and groups, without a proxy.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`RocketMq::start`], as fast as it gets: for benchmarks.
    pub fn start_at_full_speed() -> Self {
        let (place, folder) = (Place::own(), Self::folder());
        let data = folder.path().join("bus");
        let mut bus = Self::make(folder, data, Some(place));
        bus.java_options = None;
        bus.first_up(&[]);
        bus
    }

    /// As [`RocketMq::start`], with further words for `up`.
    pub fn start_with(words: &[&str]) -> Self {
        let (place, folder) = (Place::own(), Self::folder());
        let data = folder.path().join("bus");
        Self::start_in(folder, data, words, Some(place))
    }

    /// As [`RocketMq::start_with`], with its data in a folder below `disk`, which may be a disk of its own.
    pub fn start_on(disk: &Path, words: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, disk.join("bus"), words, Some(Place::own()))
    }

    pub(crate) fn start_lent(words: &[String]) -> Self {
        let folder = Self::folder();
        let data = folder.path().join("bus");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Self::start_in(folder, data, &words, None)
    }

    fn folder() -> TempDir {
        // `tests/run` names a place in memory: a broker deletes from 85 % on, and takes nothing on a disk that is 90 %
        // full, which the disk of a machine that builds and tests may be.
        let place = std::env::var_os("TIDEGATE_BUS_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        tempfile::tempdir_in(place).expect("a temporary folder")
    }

    fn start_in(folder: TempDir, data: PathBuf, words: &[&str], place: Option<Place>) -> Self {
        let mut bus = Self::make(folder, data, place);
        bus.first_up(words);
        bus
    }

    fn make(folder: TempDir, data: PathBuf, place: Option<Place>) -> Self {
        // Two cores are better spent on the tests than on compiling a server that lives for minutes.
        let java_options = Some("-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");
        Self { data, port_base: free_port_base(), java_options, warden: None, folder, _place: place }
    }

    fn first_up(&mut self, words: &[&str]) {
        self.warden = Some(self.warden());
        let base = self.port_base.to_string();
        self.up(&[&["--port-base", &base, "--heap", "512m"], words].concat());
    }

    /// Its input ends with this process, however that ends.
    fn warden(&self) -> Child {
        Command::new("bash")
            .args(["-c", r#"trap '' INT TERM HUP; read -r _; "$1" --data "$2"; rm -rf "$3""#, "warden"])
            .arg(deploy().join("down"))
            .args([&self.data, &self.folder.path().to_path_buf()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash starts")
    }

    /// Without the messages, names and settings of those who had it before.
    pub(crate) fn make_new(&self) {
        self.up(&[]);
        let shown = self.admin(&["show"]);
        let names = |kind: &str| -> Vec<&str> {
            let lines = shown.lines().filter_map(|line| line.trim().strip_prefix(kind));
            lines.flat_map(str::split_whitespace).filter(|name| *name != "none").collect()
        };
        for (kind, command) in [("topics:", "delete-topic"), ("groups:", "delete-group")] {
            let names = names(kind);
            if !names.is_empty() {
                self.admin(&[&[command], &names[..]].concat());
            }
        }
        self.admin(&["topic", "--type", "FIFO", "iot-topic", "iot-device-topic", "iot-alarm"]);
        self.admin(&["group", "monitor-consumer-group", "alert-consumer-group"]);
        self.admin(&["config", "enablePropertyFilter=true", "maxMessageSize=4194304"]);
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(deploy().join(name));
        command.arg("--data").arg(&self.data);
        command.envs(self.java_options.map(|options| ("JDK_JAVA_OPTIONS", options)));
        command
    }

    /// `up WORDS…`: starts what does not run; returns what it printed.
    pub fn up(&self, words: &[&str]) -> String {
        programs::ran(self.script("up").args(words))
    }

    /// `up WORDS…`, which may fail.
    pub fn try_up(&self, words: &[&str]) -> Output {
        programs::run(self.script("up").args(words))
    }

    /// Stops one part, or both.
    pub fn down(&self, part: Option<Part>) -> String {
        programs::ran(self.script("down").args(part.map(Part::name)))
    }

    /// `status`, which may fail.
    pub fn status(&self) -> Output {
        programs::run(&mut self.script("status"))
    }

    /// `admin WORDS…` as administrator; what it printed.
    pub fn admin(&self, words: &[&str]) -> String {
        programs::ran(self.script("admin").args(words))
    }

    /// `admin WORDS…`, which may fail.
    pub fn try_admin(&self, words: &[&str]) -> Output {
        programs::run(self.script("admin").args(words))
    }

    /// `HOST:PORT` of the name server.
    pub fn name_server(&self) -> String {
        format!("127.0.0.1:{}", self.port_base)
    }

    /// `HOST:PORT` of the broker.
    pub fn broker(&self) -> String {
        format!("127.0.0.1:{}", self.port_base + 3)
    }

    /// `HOST:PORT` of the gRPC proxy.
    pub fn grpc(&self) -> String {
        format!("127.0.0.1:{}", self.port_base + 5)
    }

    /// The certificate of the private CA, after `--tls`.
    pub fn ca(&self) -> PathBuf {
        self.data.join("tls/ca.crt")
    }

    /// Where the secret of a user lies, after `--acl`.
    pub fn secret_file(&self, user: &str) -> PathBuf {
        self.data.join("secrets").join(user)
    }

    /// Process id of a part, if it runs.
    pub fn pid(&self, part: Part) -> Option<u32> {
        let text = fs::read_to_string(self.data.join("run").join(format!("{}.pid", part.name()))).ok()?;
        let pid: u32 = text.trim().parse().ok()?;
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // The id may belong to another process by now; one that has ended and was not waited for is a zombie.
        let is_ours =
            words.windows(self.mark().len()).any(|window| window == self.mark()) && !state.contains(") Z ");
        is_ours.then_some(pid)
    }

    fn mark(&self) -> &[u8] {
        self.data.as_os_str().as_encoded_bytes()
    }

    /// Sends a signal to a part: [`Signal::STOP`] makes it hang, [`Signal::CONT`] go on.
    pub fn signal(&self, part: Part, signal: Signal) {
        let pid = self.pid(part).unwrap_or_else(|| panic!("{part:?} does not run"));
        let pid = Pid::from_raw(pid.try_into().expect("a process id")).expect("a process id is not zero");
        kill_process(pid, signal).expect("the process takes signals");
    }

    /// SIGKILL; the part is gone when this returns.
    pub fn kill(&self, part: Part) {
        self.signal(part, Signal::KILL);
        let gone = within(Duration::from_secs(30), || self.pid(part).is_none().then_some(()));
        assert!(gone.is_some(), "{part:?} does not end");
    }

    /// Creates a topic, or changes its number of queues; it has a route when this returns.
    pub fn create_topic(&self, topic: &str, queues: u32) {
        self.admin(&["topic", "--type", "FIFO", "--queues", &queues.to_string(), topic]);
    }

    /// Creates a consumer group.
    pub fn create_group(&self, group: &str) {
        self.admin(&["group", group]);
    }

    /// Creates consumer groups that begin at the first message of `iot-topic`, whatever their client does in a queue that
    /// it finds empty.
    pub fn create_groups_from_first(&self, groups: &[&str]) {
        self.admin(&[&["group", "--from-first", "iot-topic"], groups].concat());
    }

    /// How many messages lie in a topic.
    pub fn count(&self, topic: &str) -> u64 {
        let printed = self.admin(&["count", topic]);
        printed.trim().parse().unwrap_or_else(|_| panic!("no number: {printed}"))
    }

    /// Messages of a topic with a key (at most 64).
    pub fn find(&self, topic: &str, key: &str) -> Vec<Value> {
        json_lines(&self.admin(&["find", topic, key]))
    }

    /// Messages of a topic with the id that their sender gave them.
    pub fn find_id(&self, topic: &str, id: &str) -> Vec<Value> {
        json_lines(&self.admin(&["find", "--id", topic, id]))
    }

    /// Messages that a group has not confirmed.
    pub fn lag(&self, group: &str) -> i64 {
        let printed = self.admin(&["lag", group]);
        let number = printed.split_whitespace().last().and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("no number: {printed}"))
    }

    /// What a part wrote to its logs, for a test that failed.
    pub fn log(&self, part: Part) -> String {
        let read = |end: &str| {
            let path = self.data.join("logs").join(format!("{}.{end}", part.name()));
            fs::read_to_string(path).unwrap_or_default()
        };
        format!("{}{}", read("out"), read("log"))
    }
}

impl Drop for RocketMq {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for part in [Part::NameServer, Part::Broker] {
                let log = self.log(part);
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("the log of {part:?} ends with:");
                tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            }
        }
        for part in [Part::Broker, Part::NameServer] {
            if self.pid(part).is_some() {
                self.kill(part);
            }
        }
        if let Some(mut warden) = self.warden.take() {
            drop(warden.stdin.take());
            let _status = warden.wait();
        }
    }
}

/// `admin WORDS…` of a bus that the words name: `--name-server HOST:PORT`, `--ca FILE`, `--user NAME`.
pub fn bus_admin_elsewhere(words: &[&str]) -> Output {
    programs::run(Command::new(deploy().join("admin")).args(words))
}

/// The folder of the scripts.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rocketmq")
}

pub(crate) fn json_lines(printed: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    printed.lines().map(parse).collect()
}

/// A base whose ports were all free a moment ago, below those that the system gives out by itself, and another one at
/// each call.
fn free_port_base() -> u16 {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let place = std::process::id() + u32::from(CALLS.fetch_add(1, Ordering::Relaxed));
    let first = 20_000 + u16::try_from(place % 1_000).expect("below 1000") * 8;
    let bases = (first..30_000).chain(20_000..first).step_by(8);
    let is_free = |base: &u16| PORTS.iter().all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok());
    bases.into_iter().find(is_free).expect("six free ports")
}
