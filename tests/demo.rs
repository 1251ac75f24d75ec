//! The main command of the README, and many sensors.

use std::{process::Command, time::Duration};

use tidegate_tests::{Gateway, Simulator, count_from, print_sync_times, run, tidegate};

#[test]
fn the_demo_ends_with_its_verdict() {
    let shown = run(Command::new("timeout").arg("90").arg(tidegate()).args(["demo", "--duration", "10s"]));
    let printed = String::from_utf8_lossy(&shown.stdout);
    assert!(
        shown.status.success(),
        "{}: {printed}\n{}",
        shown.status,
        String::from_utf8_lossy(&shown.stderr)
    );
    assert_eq!(printed.lines().last(), Some("lost 0, duplicated 0, out of order 0"), "{printed}");
    for scheme in ["mqtt", "coap"] {
        let target = format!("{scheme}://127.0.0.1:");
        let told = printed.lines().find(|line| line.starts_with(&target));
        let told = told.unwrap_or_else(|| panic!("no {scheme} in: {printed}"));
        assert!(told.contains("50 devices") && !told.contains(", acknowledged 0 "), "{told}");
    }
}

#[test]
fn the_demo_ends_by_ctrl_c() {
    let mut words = Command::new("timeout");
    words.args(["--signal=INT", "--kill-after=60", "5"]).arg(tidegate()).args(["demo", "--devices", "10"]);
    let shown = run(words.args(["--interval", "500ms"]));
    let printed = String::from_utf8_lossy(&shown.stdout);
    // timeout says 124 when the time was up, whatever the program said.
    assert_eq!(shown.status.code(), Some(124), "{shown:?}");
    assert_eq!(printed.lines().last(), Some("lost 0, duplicated 0, out of order 0"), "{printed}");
}

#[test]
fn a_thousand_sensors_are_all_acknowledged() {
    let mut gateway = Gateway::start();
    print_sync_times("before");
    let words = ["--interval", "1s", "--duration", "20s", "--seed", "7"];
    let report = Simulator::start(&gateway, 1000, &words).finish(Duration::from_secs(150));
    print_sync_times("after");
    let [p50, p99, p999] = ["p50", "p99", "p999"].map(|name| report.number(&format!("latency_ms.{name}")));
    println!("1000 sensors, a reading a second each: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms");
    report.assert_nothing_lost();
    assert_eq!(report.number("acknowledged"), report.number("sent"));
    assert_eq!(report.number("errors"), 0.0);
    assert!(report.number("acknowledged") >= 19_000.0, "{}", report.json);
    assert!(gateway.stop().success());
}

#[test]
fn soak() {
    let seconds = count_from("TIDEGATE_SOAK_MINUTES", 0) * 60;
    let duration = format!("{}s", seconds.max(5));
    let mut gateway = Gateway::start();
    let words = ["--interval", "200ms", "--duration", &duration, "--seed", "8"];
    let simulator = Simulator::start(&gateway, 200, &words);
    let report = simulator.finish(Duration::from_secs(seconds + 120));
    report.assert_nothing_lost();
    let (_, most_kib) = gateway.memory_kib();
    assert!(most_kib < 256 * 1024, "{most_kib} KiB");
    assert!(gateway.stop().success());
}
