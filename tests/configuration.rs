//! A wrong configuration is refused before anything starts, by line and column; a wrong reload changes nothing.

use std::{fs, process::Command, time::Duration};

use rustix::process::Signal;
use tidegate_tests::{Gateway, eventually, publish, run, tidegate};

const EXIT_CONFIG: i32 = 78;

/// `check` and `run` both end with 78 and say `place`.
fn assert_refused(gateway: &mut Gateway, place: &str) {
    let checked = run(Command::new(tidegate()).arg("check").arg("-c").arg(gateway.config_path()));
    let complaint = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(EXIT_CONFIG), "check: {complaint}");
    assert!(complaint.contains(place), "no `{place}` in: {complaint}");
    let failure = gateway.try_run().expect_err("it does not start");
    assert_eq!(failure.status.code(), Some(EXIT_CONFIG), "run: {}", failure.log);
    assert!(failure.log.contains(place), "no `{place}` in: {}", failure.log);
}

/// `LINE:COLUMN` of the first occurrence of `word` in the configuration.
fn place_of(gateway: &Gateway, word: &str) -> String {
    let text = fs::read_to_string(gateway.config_path()).expect("the configuration");
    let line = text.lines().position(|line| line.contains(word)).expect("the word is there");
    let column = text.lines().nth(line).and_then(|line| line.find(word)).expect("the word is there");
    format!("tidegate.toml:{}:{}", line + 1, column + 1)
}

#[test]
fn a_missing_file() {
    let mut gateway = Gateway::make();
    fs::remove_file(gateway.config_path()).expect("quickstart wrote it");
    assert_refused(&mut gateway, "tidegate.toml");
}

#[test]
fn an_unknown_key() {
    let mut gateway = Gateway::make();
    gateway.configure("max_disk", "max_disc");
    let place = place_of(&gateway, "max_disc");
    assert_refused(&mut gateway, &place);
}

#[test]
fn a_wrong_type() {
    let mut gateway = Gateway::make();
    gateway.configure("lan = false", "lan = \"no\"");
    let place = place_of(&gateway, "\"no\"");
    assert_refused(&mut gateway, &place);
}

#[test]
fn a_name_twice() {
    let mut gateway = Gateway::make();
    let text = fs::read_to_string(gateway.config_path()).expect("the configuration");
    let lines = text.lines().count();
    fs::write(
        gateway.config_path(),
        format!("{text}\n[[output]]\ntype = \"file\"\nname = \"file\"\ndir = \"b\"\n"),
    )
    .expect("the configuration can be written");
    assert_refused(&mut gateway, &format!("tidegate.toml:{}:", lines + 4));
}

#[test]
fn no_toml_at_all() {
    let mut gateway = Gateway::make();
    fs::write(gateway.config_path(), "lan = false\n[spool\n").expect("the configuration can be written");
    assert_refused(&mut gateway, "tidegate.toml:2:");
}

#[test]
fn secrets_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let mut gateway = Gateway::make();
    let state = gateway.dir.join("state.db");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o644)).expect("our own file");
    assert_refused(&mut gateway, "state.db");
}

#[test]
fn a_duplicate_device_is_refused() {
    let gateway = Gateway::make();
    let again =
        run(Command::new(tidegate()).args(["device", "add", "sensor_1", "-c"]).arg(gateway.config_path()));
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("sensor_1"), "{again:?}");
}

#[test]
fn a_bad_reload_keeps_the_old_configuration() {
    let mut gateway = Gateway::start();
    let good = fs::read_to_string(gateway.config_path()).expect("the configuration");
    fs::write(gateway.config_path(), "anonymous = true\nlan = tru\n")
        .expect("the configuration can be written");
    gateway.signal(Signal::HUP);
    eventually("the fault is in the log", || gateway.log().contains("tidegate.toml:2:").then_some(()));
    assert!(gateway.is_running());
    assert!(publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", "1"]).status.success());
    let mut stranger = Command::new("timeout");
    stranger.args(["10", "mosquitto_pub", "-h", "127.0.0.1", "-p", &gateway.port.to_string()]);
    assert!(
        !run(stranger.args(["-q", "1", "-t", "telemetry", "-m", "1"])).status.success(),
        "never `allow all`"
    );
    fs::write(gateway.config_path(), good).expect("the configuration can be written");
    gateway.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(300));
    assert!(publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", "2"]).status.success());
}

#[test]
fn nothing_listens_beyond_loopback_until_told() {
    let gateway = Gateway::start();
    let sockets = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port = format!(":{:04X} ", gateway.port);
    let listening: Vec<&str> =
        sockets.lines().filter(|line| line.contains(&port) && line.contains(" 0A ")).collect();
    assert!(!listening.is_empty(), "it listens");
    assert!(listening.iter().all(|line| line.contains(" 0100007F:")), "{listening:?}");
    let checked = run(Command::new(tidegate()).args(["check", "--lan", "-c"]).arg(gateway.config_path()));
    assert!(checked.status.success(), "{checked:?}");
}
