//! Runs against libcoap's example server, a server of others.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it is surprised"
)]

use std::{
    fs,
    net::UdpSocket,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const INSTALL: &str = "install it: apt-get install -y libcoap3-bin";

struct Libcoap {
    port: u16,
    child: Child,
}

impl Libcoap {
    /// Makes a resource of each path that is posted to.
    fn start(words: &[&str]) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("coap-server-notls");
        server.args(["-A", "127.0.0.1", "-p", &port.to_string(), "-d", "1000"]).args(words);
        let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("coap-server-notls: {error}; {INSTALL}"));
        let server = Self { port, child };
        let deadline = Instant::now() + Duration::from_secs(10);
        while server.get(".well-known/core").is_empty() {
            assert!(Instant::now() < deadline, "libcoap does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// What the resource holds.
    fn get(&self, path: &str) -> String {
        let uri = format!("coap://127.0.0.1:{}/{path}", self.port);
        let got = Command::new("coap-client-notls").args(["-B", "20", "-m", "get", &uri]).output();
        let got = got.unwrap_or_else(|error| panic!("coap-client-notls: {error}; {INSTALL}"));
        String::from_utf8(got.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Libcoap {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err() || self.child.wait().is_err();
    }
}

/// Runs the simulator; its report.
fn simulate(server: &Libcoap, words: &[&str]) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    command.args(["run", "--target", &format!("coap://127.0.0.1:{}", server.port), "-t", "x/%i"]);
    let output = command.args(words).arg("--report").arg(&json).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap()
}

/// Each device's last reading is what libcoap holds.
fn assert_last_readings(server: &Libcoap, report: &serde_json::Value, devices: u64) {
    let mut sequences = 0;
    for device in 1..=devices {
        let held: serde_json::Value = serde_json::from_str(&server.get(&format!("x/{device}"))).unwrap();
        assert_eq!(held["boot"], report["boot"], "{held}");
        sequences += held["seq"].as_u64().unwrap();
    }
    assert_eq!(sequences, report["planned"].as_u64().unwrap(), "{report}");
}

#[test]
fn fifty_devices_are_acknowledged_all() {
    let server = Libcoap::start(&[]);
    let report = simulate(&server, &["-c", "50", "-I", "100ms", "--duration", "3s", "-s", "128"]);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("acknowledged"), count("planned"), "{report}");
    assert!(count("acknowledged") > 1250, "{report}");
    for name in ["errors", "unacknowledged", "reconnects", "resent", "retransmitted", "skipped"] {
        assert_eq!(count(name), 0, "{name}: {report}");
    }
    assert_last_readings(&server, &report, 50);
}

#[test]
fn what_libcoap_fails_to_send_is_repeated() {
    // One datagram of four of the server's is lost.
    let server = Libcoap::start(&["-l", "25%"]);
    let words = ["-c", "20", "-I", "100ms", "--duration", "3s", "--retransmit-wait", "100ms"];
    let report = simulate(&server, &words);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("acknowledged"), count("planned"), "{report}");
    assert!(count("retransmitted") > 50, "{report}");
    assert_eq!((count("unacknowledged"), count("skipped")), (0, 0), "{report}");
}

#[test]
fn of_non_the_last_reading_is_there() {
    let server = Libcoap::start(&[]);
    let report = simulate(&server, &["-c", "5", "-I", "100ms", "--duration", "2s", "-q", "0"]);
    assert_eq!(report["acknowledged"], 0, "{report}");
    assert_last_readings(&server, &report, 5);
}

#[test]
fn a_path_that_cannot_be_posted_to_is_counted_by_its_code() {
    let server = Libcoap::start(&[]);
    let json = tempfile::tempdir().unwrap();
    let json = json.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    command.args(["run", "--target", &format!("coap://127.0.0.1:{}", server.port), "-t", "async"]);
    let words = ["-c", "3", "-I", "100ms", "--duration", "1s", "--report"];
    let output = command.args(words).arg(&json).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "nothing was acknowledged");
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(report["causes"]["4.05 Method Not Allowed"], report["planned"], "{report}");
    assert_eq!(report["given_up"], report["planned"], "{report}");
}
