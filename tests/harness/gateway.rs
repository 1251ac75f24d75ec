//! A gateway of `tidegate quickstart` in a folder of its own.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{eventually, free_ports, programs, within};

/// The device that quickstart makes.
pub const DEVICE: &str = "sensor_1";
/// The application that quickstart makes; it may subscribe to everything.
pub const APPLICATION: &str = "app";

/// User name and password.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// A gateway that ended instead of starting.
#[derive(Debug)]
pub struct StartFailure {
    pub status: ExitStatus,
    pub log: String,
}

/// A gateway: made at first, then started, stopped, killed and started again as often as a test likes.
pub struct Gateway {
    /// Where its configuration and data are.
    pub dir: PathBuf,
    /// Of MQTT, on loopback.
    pub port: u16,
    /// Of CoAP, on loopback.
    pub coap_port: u16,
    /// Of the pages, on loopback.
    pub http_port: u16,
    /// What quickstart made.
    pub device: Login,
    /// What quickstart made.
    pub application: Login,
    program: PathBuf,
    before: Vec<OsString>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    log: PathBuf,
    _folder: TempDir,
}

impl Gateway {
    /// Made and running.
    pub fn start() -> Self {
        let mut gateway = Self::make();
        gateway.run();
        gateway
    }

    /// Made in a temporary folder, not running.
    pub fn make() -> Self {
        Self::make_of(programs::tidegate())
    }

    /// As [`Gateway::make`], by another build, which is asked in [`Gateway::command`] too.
    pub fn make_of(program: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("try");
        Self::make_in(program, folder, dir)
    }

    /// Made in the folder `dir`, which may be on another file system; logs go to a temporary folder.
    pub fn make_at(dir: &Path) -> Self {
        Self::make_in(programs::tidegate(), tempfile::tempdir().expect("a temporary folder"), dir.to_owned())
    }

    fn make_in(program: PathBuf, folder: TempDir, dir: PathBuf) -> Self {
        let [mqtt, coap, http] = free_ports();
        let printed = programs::ran(
            Command::new(&program)
                .arg("quickstart")
                .arg(&dir)
                .args(["--mqtt-port", &mqtt.to_string()])
                .args(["--coap-port", &coap.to_string()])
                .args(["--http-port", &http.to_string()]),
        );
        let log = folder.path().join("gateway.log");
        Self {
            dir,
            port: mqtt,
            coap_port: coap,
            http_port: http,
            device: login(&printed, DEVICE),
            application: login(&printed, APPLICATION),
            program,
            before: Vec::new(),
            environment: Vec::new(),
            child: None,
            log,
            _folder: folder,
        }
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir.join("tidegate.toml")
    }

    /// Where CoAP listens.
    pub fn coap_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.coap_port))
    }

    /// Where the `file` output writes.
    pub fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// Changes the configuration; `from` must be in it.
    pub fn configure(&mut self, from: &str, to: &str) -> &mut Self {
        let path = self.config_path();
        let text = fs::read_to_string(&path).expect("quickstart wrote it");
        assert!(text.contains(from), "`{from}` is not in the configuration of quickstart:\n{text}");
        fs::write(&path, text.replacen(from, to, 1)).expect("the configuration can be written");
        self
    }

    /// Starts it through another program from here on, such as strace.
    pub fn through(&mut self, before: &[&OsStr]) -> &mut Self {
        self.before = before.iter().map(OsString::from).collect();
        self
    }

    /// Starts another build of it from here on.
    pub fn with_program(&mut self, program: PathBuf) -> &mut Self {
        self.program = program;
        self
    }

    /// Stands for the folder `dir` of another gateway, whose port it takes.
    pub fn take_over(&mut self, dir: &Path, port: u16) {
        dir.clone_into(&mut self.dir);
        self.port = port;
    }

    pub fn with_environment(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    pub fn run(&mut self) {
        if let Err(failure) = self.try_run() {
            panic!("the gateway ended with {} instead of listening:\n{}", failure.status, failure.log);
        }
    }

    /// Starts it and waits until it listens or ends.
    ///
    /// # Errors
    /// It ended.
    pub fn try_run(&mut self) -> Result<(), StartFailure> {
        assert!(self.child.is_none(), "the gateway runs already");
        let log = File::options().create(true).append(true).open(&self.log).expect("the log can be written");
        let mut words = self.before.clone();
        words.extend([self.program.clone().into(), "run".into(), "-c".into(), self.config_path().into()]);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {words:?}: {error}"));
        let child = self.child.insert(child);
        let ended = eventually("the gateway listens", || match child.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            _ => TcpStream::connect(("127.0.0.1", self.port)).ok().map(|_| None),
        });
        let Some(status) = ended else { return Ok(()) };
        self.child = None;
        Err(StartFailure { status, log: self.log() })
    }

    /// Process id of the running gateway.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the gateway runs").id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("the gateway runs"));
        kill_process(pid, signal).expect("the gateway takes signals");
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(30));
    }

    /// SIGTERM, which drains.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(30))
    }

    /// Waits for its end.
    pub fn wait(&mut self, time_max: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("the gateway runs");
        let status = within(time_max, || child.try_wait().expect("a child of this process"));
        let status =
            status.unwrap_or_else(|| panic!("the gateway did not end within {time_max:?}:\n{}", self.log()));
        self.child = None;
        status
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What it wrote to its log since it was made.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs `tidegate WORDS… -c CONFIGURATION`, which must succeed; what it printed.
    pub fn command(&self, words: &[&str]) -> String {
        programs::ran(Command::new(&self.program).args(words).arg("-c").arg(self.config_path()))
    }

    /// As [`Gateway::command`], for one that may fail.
    pub fn try_command(&self, words: &[&str]) -> Output {
        programs::run(Command::new(&self.program).args(words).arg("-c").arg(self.config_path()))
    }

    /// Adds a device.
    pub fn add_device(&self, id: &str) -> Login {
        let printed = self.command(&["device", "add", id]);
        let secret = printed.lines().find_map(|line| line.trim().strip_prefix("secret"));
        let password = secret.unwrap_or_else(|| panic!("no secret in:\n{printed}")).trim().to_owned();
        Login { user: id.to_owned(), password }
    }

    /// Adds `count` devices `PREFIX1` and on; the file with their credentials.
    pub fn add_devices(&self, count: usize, prefix: &str) -> PathBuf {
        let file = self.dir.join(format!("{prefix}.csv"));
        let count = count.to_string();
        let path = file.to_str().expect("a plain path");
        self.command(&["device", "add", "--count", &count, "--prefix", prefix, "--out", path]);
        file
    }

    /// `tidegate status --json`.
    pub fn status(&self) -> serde_json::Value {
        let printed = self.command(&["status", "--json"]);
        serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("status printed no JSON ({error}): {printed}"))
    }

    /// Processor time that it has used.
    pub fn processor_time(&self) -> Duration {
        programs::processor_time(self.pid())
    }

    /// Memory that it uses, and the most that it has used, in KiB.
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the gateway runs");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a field of Linux");
            line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended = child.kill();
            let _status = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the gateway's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The password of `user` in what quickstart printed: `device  user NAME  password SECRET`.
fn login(printed: &str, user: &str) -> Login {
    let line = printed.lines().find(|line| line.split_whitespace().any(|word| word == user));
    let line = line.unwrap_or_else(|| panic!("no line about {user} in:\n{printed}"));
    let password = line.split_whitespace().skip_while(|word| *word != "password").nth(1);
    Login { user: user.to_owned(), password: password.expect("a password behind the word").to_owned() }
}

/// Reads a file of `device add --out`: lines `device,secret`.
pub fn read_credentials(file: &Path) -> Vec<Login> {
    let text = fs::read_to_string(file).expect("the credentials were written");
    let login = |line: &str| {
        let (user, password) = line.split_once(',')?;
        Some(Login { user: user.to_owned(), password: password.to_owned() })
    };
    text.lines().filter_map(login).collect()
}
