//! Runs against mosquitto, a server of others.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it is surprised"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const INSTALL: &str = "install it: apt-get install -y mosquitto mosquitto-clients";

struct Mosquitto {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Mosquitto {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
             max_queued_messages 0\nmax_inflight_messages 0\n"
        );
        fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
        let child = spawn(dir.path(), port);
        Self { dir, port, child }
    }

    /// As kill -9 and a start after a while.
    fn restart(&mut self, after: Duration) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        thread::sleep(after);
        self.child = spawn(self.dir.path(), self.port);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err() || self.child.wait().is_err();
    }
}

fn spawn(dir: &Path, port: u16) -> Child {
    let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("mosquitto.conf")).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("mosquitto: {error}; {INSTALL}"));
    let deadline = Instant::now() + Duration::from_secs(10);
    // A bare TCP connection to a free port of the system's own choice may meet itself: MQTT has to be spoken.
    while !publish_probe(port) {
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        assert!(child.try_wait().unwrap().is_none(), "mosquitto has ended");
        thread::sleep(Duration::from_millis(20));
    }
    child
}

fn publish_probe(port: u16) -> bool {
    let mut publish = Command::new("mosquitto_pub");
    publish.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "x/probe", "-m", "{}"]);
    let published = publish.stderr(Stdio::null()).status();
    published.unwrap_or_else(|error| panic!("mosquitto_pub: {error}; {INSTALL}")).success()
}

/// Writes what is published as the gateway's output would, until it is dropped.
struct Subscriber {
    child: Child,
    writer: Option<thread::JoinHandle<()>>,
}

impl Subscriber {
    fn start(port: u16, out: &Path) -> Self {
        let mut child = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "x/+", "-F", "%t %p"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("mosquitto_sub: {error}; {INSTALL}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let path = out.join("readings-00000001.jsonl");
        let subscribed = Arc::new(AtomicBool::new(false));
        let first = Arc::clone(&subscribed);
        let writer = thread::spawn(move || {
            let mut file = fs::File::create(path).unwrap();
            for line in lines {
                let line = line.unwrap();
                let (topic, payload) = line.split_once(' ').unwrap();
                if topic == "x/probe" {
                    first.store(true, Ordering::Relaxed);
                    continue;
                }
                let device = topic.replace("x/", "sensor_");
                let rest = payload.strip_prefix('{').expect("a reading is a JSON object");
                let reading: BTreeMap<String, serde_json::Value> = serde_json::from_str(payload).unwrap();
                let uid = format!("{device}/{}/{}", reading["boot"], reading["seq"]);
                let line = format!("{{\"device\":\"{device}\",\"uid\":\"{uid}\",{rest}\n");
                file.write_all(line.as_bytes()).unwrap();
            }
        });
        let mut subscriber = Self { child, writer: Some(writer) };
        subscriber.wait_until_subscribed(port, &subscribed);
        subscriber
    }
}

impl Subscriber {
    /// mosquitto_sub says nothing when it has subscribed: a message that comes through does.
    fn wait_until_subscribed(&mut self, port: u16, subscribed: &AtomicBool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !subscribed.load(Ordering::Relaxed) {
            assert!(Instant::now() < deadline, "mosquitto_sub does not get what is published");
            assert!(self.child.try_wait().unwrap().is_none(), "mosquitto_sub has ended");
            assert!(publish_probe(port), "mosquitto takes no probe");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err() || self.child.wait().is_err();
        drop(self.writer.take().map(thread::JoinHandle::join));
    }
}

fn simulator(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    command.args(["run", "--port", &port.to_string(), "-t", "x/%i"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn report(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_hundred_devices_are_acknowledged_all() {
    let mosquitto = Mosquitto::start();
    let out = tempfile::tempdir().unwrap();
    let subscriber = Subscriber::start(mosquitto.port, out.path());
    let json = out.path().join("report.json");
    let audit = format!("file:{}", out.path().display());
    let arguments =
        ["-c", "100", "-I", "100ms", "--duration", "3s", "-s", "128", "--audit", &audit, "--report"];
    for version in ["4", "5"] {
        let mut command = simulator(mosquitto.port, &arguments);
        let output = command.arg(&json).args(["-V", version]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(text.lines().last(), Some("lost 0, duplicated 0, out of order 0"));
        let report = report(&json);
        let count = |name: &str| report[name].as_u64().unwrap();
        assert_eq!(count("acknowledged"), count("planned"), "{text}");
        assert!(count("acknowledged") > 2500, "{text}");
        for name in ["lost", "duplicated", "out_of_order", "errors", "unacknowledged", "reconnects", "resent"]
        {
            assert_eq!(count(name), 0, "{name}: {text}");
        }
        assert!(
            report["latency_ms"]["p999"].as_f64().unwrap() >= report["latency_ms"]["p50"].as_f64().unwrap()
        );
        // The next run has a boot of its own.
        thread::sleep(Duration::from_secs(1));
    }
    drop(subscriber);
}

#[test]
fn a_killed_server_leaves_no_reading_unaccounted() {
    let mut mosquitto = Mosquitto::start();
    let dir = tempfile::tempdir().unwrap();
    let (json, state) = (dir.path().join("report.json"), dir.path().join("state.json"));
    let mut command = simulator(mosquitto.port, &["-c", "100", "-I", "50ms", "--duration", "6s", "-F", "4"]);
    let running = command.arg("--report").arg(&json).arg("--state").arg(&state).spawn().unwrap();
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1500));
        mosquitto.restart(Duration::from_millis(300));
    }
    let output = running.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let report = report(&json);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("planned"), count("acknowledged"), "every reading was acknowledged in the end: {text}");
    assert_eq!((count("unacknowledged"), count("skipped"), count("given_up")), (0, 0, 0), "{text}");
    assert!(count("reconnects") >= 200 && count("errors") >= 200, "{text}");
    let ledger = tidegate_simulator::audit::Ledger::load(&state).unwrap();
    assert_eq!(ledger.acknowledged(), count("acknowledged"));
    for (device, numbers) in &ledger.devices {
        let all = (1..=numbers.len()).collect();
        assert!(numbers.minus(&all).is_empty(), "{device} has every number from 1 on: {numbers:?}");
    }
}

#[test]
fn an_interrupt_ends_with_the_report() {
    let mosquitto = Mosquitto::start();
    let running = simulator(mosquitto.port, &["-c", "20", "-I", "20ms"]).spawn().unwrap();
    thread::sleep(Duration::from_millis(1500));
    let killed = Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = running.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("unacknowledged 0, skipped 0"), "{text}");
}

#[test]
fn nobody_there_says_what_to_do() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = simulator(port, &["-c", "2", "--duration", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("connection refused") && text.contains("Is the gateway running"), "{text}");
}
