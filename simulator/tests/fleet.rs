//! Whole runs against a server that misbehaves.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where it is surprised")]

mod fake;

use std::{
    future::{pending, ready},
    time::Duration,
};

use fake::{Faults, Server};
use tidegate_simulator::{AuditPlan, Error, Group, Plan, Progress, Qos, Report, Target, Version, run};
use tokio::time::sleep;

fn plan(server: &Server, devices: u32) -> Plan {
    let target = Target::mqtt(&server.address.ip().to_string(), server.address.port());
    Plan {
        interval: Duration::from_millis(20),
        duration: Some(Duration::from_millis(1500)),
        settle_max: Duration::from_secs(20),
        audit: Some(AuditPlan { wait_max: Duration::from_secs(2), ..AuditPlan::new(server.out()) }),
        ..Plan::new(target, devices)
    }
}

fn simulate(plan: Plan) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(plan, |_| (), pending()))
}

/// All that was planned was acknowledged and arrived.
fn assert_complete(report: &Report) {
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(report.lost, Some(0), "{report}");
    assert_eq!(report.out_of_order, Some(0), "{report}");
    assert_eq!(report.planned, report.acknowledged + report.given_up + report.skipped, "{report}");
    assert_eq!((report.unacknowledged, report.skipped), (0, 0), "{report}");
    assert_eq!(report.ledger.acknowledged(), report.acknowledged);
}

#[test]
fn every_reading_is_sent_acknowledged_and_found() {
    for (version, inflight) in [(Version::V5, 1), (Version::V4, 1), (Version::V5, 8), (Version::V4, 8)] {
        let server = Server::start(Faults::default());
        let report = simulate(Plan { version, inflight, ..plan(&server, 10) }).unwrap();
        assert_complete(&report);
        assert_eq!((report.duplicated, report.resent, report.errors, report.reconnects), (Some(0), 0, 0, 0));
        // 1.5 s of a reading each 20 ms, less the time to connect and the phase.
        assert!((600..=750).contains(&report.acknowledged), "{report}");
        assert!(report.latency_ms.p50 > 0.0 && report.latency_ms.p50 <= report.latency_ms.p999);
    }
}

#[test]
fn unacknowledged_readings_go_again_in_order_under_the_same_number() {
    for (version, inflight) in [(Version::V5, 1), (Version::V4, 1), (Version::V5, 8), (Version::V4, 8)] {
        let server =
            Server::start(Faults { close_after_storing: 37, close_before_storing: 41, ..Faults::default() });
        let report = simulate(Plan { version, inflight, ..plan(&server, 10) }).unwrap();
        assert_complete(&report);
        assert!(report.reconnects >= 10, "{report}");
        assert!(report.duplicated > Some(0), "what was stored came again: {report}");
        assert!(report.resent >= report.duplicated.unwrap(), "{report}");
        assert_eq!(report.errors, report.causes.values().sum::<u64>());
    }
}

#[test]
fn an_acknowledgement_read_together_with_the_end_counts() {
    for version in [Version::V5, Version::V4] {
        let server = Server::start(Faults { close_after_acknowledging: 10, ..Faults::default() });
        // So slow that nothing is written to a connection that the server has closed.
        let slow = Plan { interval: Duration::from_millis(400), ..plan(&server, 50) };
        let report = simulate(Plan { version, ..slow }).unwrap();
        assert_complete(&report);
        assert!(report.reconnects > 5, "{report}");
        assert_eq!((report.resent, report.duplicated), (0, Some(0)), "{report}");
    }
}

#[test]
fn a_passing_refusal_keeps_the_order() {
    for inflight in [1, 8] {
        let server = Server::start(Faults { refuse: 50, ..Faults::default() });
        let report = simulate(Plan { inflight, ..plan(&server, 5) }).unwrap();
        assert_complete(&report);
        assert!(report.refused > 0, "{report}");
        assert_eq!(report.causes["PUBACK 0x97 quota exceeded"], report.refused);
        assert!(inflight > 1 || report.given_up == 0, "one at a time, none has to be given up: {report}");
    }
}

#[test]
fn a_server_that_acknowledges_and_loses_is_found_out() {
    let server = Server::start(Faults { lose: 100, ..Faults::default() });
    let mut plan = plan(&server, 5);
    plan.audit.as_mut().unwrap().wait_max = Duration::from_millis(300);
    let report = simulate(plan).unwrap();
    assert_eq!(report.exit_code(), 1);
    assert_eq!(report.lost, Some(report.acknowledged / 100), "{report}");
    assert!(
        report.to_string().contains("audit FAIL") && report.to_string().contains("lost: sensor_"),
        "{report}"
    );
}

#[test]
fn a_stall_shows_in_the_latency_of_all_readings_that_waited() {
    let server = Server::start(Faults { stall: (20, Duration::from_millis(400)), ..Faults::default() });
    let report = simulate(Plan { seed: 3, ..plan(&server, 1) }).unwrap();
    assert_complete(&report);
    assert!(report.latency_ms.max >= 400.0, "{report}");
    assert!(report.latency_ms.p50 >= 20.0, "readings behind the stalled ones waited too: {report}");
}

#[test]
fn silence_ends_a_connection() {
    let server = Server::start(Faults { stall: (15, Duration::from_secs(3)), ..Faults::default() });
    let plan = Plan { acknowledge_max: Duration::from_millis(200), ..plan(&server, 2) };
    let report = simulate(plan).unwrap();
    assert_complete(&report);
    assert!(report.causes["no answer in time"] > 0, "{report}");
}

#[test]
fn a_full_backlog_skips_and_says_so() {
    let server = Server::start(Faults { stall: (10, Duration::from_millis(700)), ..Faults::default() });
    let report = simulate(Plan { backlog: 5, ..plan(&server, 1) }).unwrap();
    assert!(report.skipped > 10, "{report}");
    assert_eq!(report.lost, Some(0));
    assert_eq!(report.planned, report.acknowledged + report.skipped, "{report}");
}

#[test]
fn at_qos_0_nothing_is_acknowledged() {
    let server = Server::start(Faults::default());
    let report = simulate(Plan { qos: Qos::AtMostOnce, ..plan(&server, 3) }).unwrap();
    assert_eq!((report.acknowledged, report.exit_code()), (0, 0), "{report}");
    assert!(report.sent > 100 && report.unacknowledged == 0, "{report}");
}

#[test]
fn stopping_settles_what_is_on_its_way() {
    let server = Server::start(Faults::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let plan = Plan { duration: None, ..plan(&server, 10) };
    let mut looks = 0;
    let report = runtime
        .block_on(async {
            let stop = async { sleep(Duration::from_millis(700)).await };
            run(plan, |_| looks += 1, stop).await
        })
        .unwrap();
    assert_complete(&report);
    assert!(report.duration_s < 5.0 && looks >= 2, "{report}");
}

#[test]
fn stopping_before_anybody_is_let_in_is_no_error() {
    let target = Target::mqtt("127.0.0.1", free_port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(run(Plan::new(target, 3), |_| (), ready(()))).unwrap();
    assert_eq!((report.acknowledged, report.exit_code()), (0, 3));
}

#[test]
fn devices_are_dealt_out_among_targets_and_counted_apart() {
    let (one, other) = (Server::start(Faults::default()), Server::start(Faults::default()));
    let mut plan = Plan { audit: None, ..plan(&one, 8) };
    plan.targets.extend(self::plan(&other, 0).targets);
    plan.targets[0].weight = 3;
    let mut shown = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let look = |progress: &Progress| {
        assert_eq!(progress.targets.len(), 2);
        let apart: u64 = progress.targets.iter().map(|target| target.counts.acknowledged).sum();
        assert_eq!(apart, progress.acknowledged);
        shown += progress.targets[1].counts.connected;
    };
    let report = runtime.block_on(run(plan, look, pending())).unwrap();
    assert!(shown > 0);
    let [first, second] = &report.targets[..] else { panic!("{report}") };
    assert_eq!((first.devices, second.devices, report.devices_accepted), (6, 2, 8), "{report}");
    assert_eq!(first.counts.acknowledged + second.counts.acknowledged, report.acknowledged, "{report}");
    assert!(first.counts.acknowledged > second.counts.acknowledged * 2, "{report}");
    assert!(second.latency_ms.p50 > 0.0 && report.unacknowledged == 0, "{report}");
    assert!(report.to_string().contains(&format!("{}: 2 devices", second.target)), "{report}");
}

#[test]
fn groups_begin_and_end_in_their_time() {
    let server = Server::start(Faults::default());
    let whole = Plan { duration: Some(Duration::from_millis(2000)), ..plan(&server, 0) };
    let group = |first, start_ms, duration_ms, devices| Group {
        name: format!("from {first}"),
        start: Duration::from_millis(start_ms),
        sensors: Plan {
            first,
            devices,
            duration: Some(Duration::from_millis(duration_ms)),
            ..plan(&server, devices)
        },
    };
    let plan = Plan { groups: vec![group(1, 1000, 1000, 5), group(6, 0, 2000, 2)], ..whole };
    let mut early = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let look = |progress: &Progress| {
        if progress.elapsed < Duration::from_millis(900) {
            early = early.max(progress.connected);
        }
    };
    let report = runtime.block_on(run(plan, look, pending())).unwrap();
    assert_complete(&report);
    assert_eq!((report.devices, report.devices_accepted, early), (7, 7, 2), "{report}");
    let sent = |number: u32| report.ledger.devices[&format!("sensor_{number}")].len();
    for (numbers, expected) in [(1..=5, 40..=51), (6..=7, 90..=101)] {
        assert!(numbers.into_iter().all(|number| expected.contains(&sent(number))), "{:?}", report.ledger);
    }
}

#[test]
fn one_dead_target_of_two_is_told() {
    let server = Server::start(Faults::default());
    let dead = Target::mqtt("127.0.0.1", free_port());
    let mut plan = Plan { first_connect_max: Duration::from_millis(600), ..plan(&server, 4) };
    plan.targets.push(dead.clone());
    let error = simulate(plan).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains(&dead.to_string()), "{error}");
}

#[test]
fn a_refused_login_is_told_at_once() {
    for version in [Version::V4, Version::V5] {
        let server = Server::start(Faults { refuse_login: true, ..Faults::default() });
        let error = simulate(Plan { version, ..plan(&server, 10) }).unwrap_err();
        assert_eq!(error.exit_code(), 77);
        assert!(error.to_string().contains("tidegate device list"), "{error}");
    }
}

#[test]
fn first_connect_max_is_reached_where_nothing_listens() {
    let target = Target::mqtt("127.0.0.1", free_port());
    let plan = Plan { first_connect_max: Duration::from_millis(600), ..Plan::new(target, 3) };
    let error = simulate(plan).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("Is the gateway running"), "{error}");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
