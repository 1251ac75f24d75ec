//! The simulator's sensors of both protocols against the gateway.

use std::{fs, path::Path, thread, time::Duration};

use tidegate_tests::{Gateway, Report, Simulator};

/// `--target` for both protocols of `gateway`.
fn targets(gateway: &Gateway) -> [String; 4] {
    let [mqtt, coap] = [("mqtt", gateway.port), ("coap", gateway.coap_port)]
        .map(|(scheme, port)| format!("{scheme}://127.0.0.1:{port}"));
    ["--target".to_owned(), mqtt, "--target".to_owned(), coap]
}

fn start(gateway: &Gateway, devices: usize, words: &[&str]) -> Simulator {
    let targets = targets(gateway);
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    Simulator::start_as(gateway, devices, &[&targets, words].concat())
}

/// `name` of each target, in the order of the plan.
fn by_target(report: &Report, name: &str) -> Vec<u64> {
    let targets = report.json["targets"].as_array().expect("a list of targets");
    targets.iter().map(|target| target[name].as_u64().expect("a count")).collect()
}

#[test]
fn both_protocols_are_acknowledged_and_nothing_is_lost() {
    let mut gateway = Gateway::start();
    let words = ["--interval", "100ms", "--duration", "10s"];
    let report = start(&gateway, 100, &words).finish(Duration::from_secs(90));
    report.assert_nothing_lost();
    assert_eq!(report.number("acknowledged"), report.number("planned"), "{}", report.json);
    assert_eq!((report.number("duplicated"), report.number("errors")), (0.0, 0.0), "{}", report.json);
    assert_eq!(by_target(&report, "devices"), [50, 50]);
    assert!(by_target(&report, "acknowledged").iter().all(|count| *count > 4500), "{}", report.json);
    assert!(gateway.stop().success());
}

#[test]
fn a_gateway_that_is_killed_loses_nothing_of_either_protocol() {
    let mut gateway = Gateway::start();
    let words = ["--interval", "50ms", "--duration", "12s", "--retransmit-wait", "500ms"];
    let simulator = start(&gateway, 60, &words);
    for _ in 0..2 {
        thread::sleep(Duration::from_secs(3));
        gateway.kill();
        thread::sleep(Duration::from_millis(700));
        gateway.run();
    }
    let report = simulator.finish(Duration::from_secs(120));
    report.assert_nothing_lost();
    assert_eq!(report.number("unacknowledged"), 0.0, "{}", report.json);
    assert!(by_target(&report, "reconnects").iter().all(|count| *count >= 30), "{}", report.json);
    assert!(by_target(&report, "resent").iter().sum::<u64>() > 0, "{}", report.json);
}

#[test]
fn best_effort_is_stored_and_not_acknowledged() {
    let gateway = Gateway::start();
    let words = ["--interval", "100ms", "--duration", "3s", "--qos", "0"];
    let report = start(&gateway, 10, &words).finish(Duration::from_secs(60));
    assert!(report.status.success(), "{}", report.json);
    assert_eq!(
        (report.number("acknowledged"), report.number("unacknowledged")),
        (0.0, 0.0),
        "{}",
        report.json
    );
    assert_eq!(report.number("audit.arrived"), report.number("sent"), "{}", report.json);
    assert!(by_target(&report, "sent").iter().all(|count| *count > 100), "{}", report.json);
}

#[test]
fn a_wrong_secret_is_told() {
    let gateway = Gateway::start();
    let target = format!("coap://127.0.0.1:{}", gateway.coap_port);
    let words = ["run", "--target", &target, "--user", "sensor_1", "--password", "wrong", "-c", "1"];
    let mut command = std::process::Command::new(tidegate_tests::simulator());
    let refused = tidegate_tests::run(command.args(words).args(["--duration", "3s"]));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(77), "{told}");
    assert!(told.contains("4.01 Unauthorized"), "{told}");
}

/// An example with its times cut to a tenth, and the number of its devices.
fn example(name: &str, devices: usize, folder: &Path, times: &[(&str, &str)]) -> (Simulator, Gateway) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../simulator/scenarios").join(name);
    let mut text = fs::read_to_string(path).expect("an example");
    for (from, to) in times {
        assert!(text.contains(from), "no {from} in {name}");
        text = text.replace(from, to);
    }
    let path = folder.join(name);
    fs::write(&path, text).expect("a copy");
    let gateway = Gateway::start();
    let simulator = start(&gateway, devices, &["--scenario", path.to_str().expect("a plain path")]);
    (simulator, gateway)
}

#[test]
fn the_greenhouse_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let times = [("\"2m\"", "\"12s\""), ("\"30s\"", "\"3s\""), ("\"90s\"", "\"9s\"")];
    let (simulator, gateway) = example("greenhouse.toml", 165, folder.path(), &times);
    let report = simulator.finish(Duration::from_secs(90));
    report.assert_nothing_lost();
    assert_eq!((report.number("devices"), report.number("seed")), (165.0, 7.0), "{}", report.json);
    assert_eq!(by_target(&report, "devices"), [109, 56]);
    assert_eq!(report.number("errors"), 0.0, "{}", report.json);
    // The weather station is best effort: it arrives and is not acknowledged.
    assert!(report.number("audit.arrived_unacknowledged") >= 2.0, "{}", report.json);
    let hot = gateway.command(&["tail", "--from", "oldest", "-n", "600", "--json"]);
    assert!(hot.lines().any(|line| line.contains("virtual_15")), "the heaters are there: {hot}");
}

#[test]
fn the_shifts_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let times = [("\"90s\"", "\"9s\""), ("\"30s\"", "\"3s\""), ("\"60s\"", "\"6s\"")];
    let (simulator, _gateway) = example("shift.toml", 750, folder.path(), &times);
    let report = simulator.finish(Duration::from_secs(90));
    report.assert_nothing_lost();
    assert_eq!(by_target(&report, "devices"), [525, 225]);
    assert_eq!(report.number("devices_accepted"), 750.0, "{}", report.json);
}

#[test]
fn ten_thousand_sensors_run_in_one_process() {
    let mut gateway = Gateway::start();
    let simulator = start(&gateway, 10_000, &["--interval", "10s", "--duration", "20s"]);
    thread::sleep(Duration::from_secs(25));
    let memory_kib = simulator.most_memory_kib();
    let report = simulator.finish(Duration::from_secs(240));
    report.assert_nothing_lost();
    println!("10,000 sensors: {memory_kib} KiB, p99 {:.1} ms", report.number("latency_ms.p99"));
    assert_eq!(report.number("devices_accepted"), 10_000.0, "{}", report.json);
    assert_eq!(report.number("acknowledged"), report.number("planned"), "{}", report.json);
    assert!(report.number("acknowledged") >= 19_900.0, "{}", report.json);
    assert!(memory_kib < 600 * 1024, "{memory_kib} KiB");
    assert!(gateway.stop().success());
}
