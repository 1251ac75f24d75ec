//! Whole runs over CoAP against a server that misbehaves.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it is surprised"
)]

#[path = "fake/coap.rs"]
mod fake;

use std::{future::pending, net::UdpSocket, sync::atomic::Ordering, time::Duration};

use fake::{CoapFaults, CoapServer};
use tidegate_simulator::{AuditPlan, Error, Login, Plan, Profile, Qos, Report, Target, run};

fn plan(server: &CoapServer, devices: u32) -> Plan {
    let login = |number| Login { device: format!("sensor_{number}"), secret: "s".to_owned() };
    let target = Target::coap("127.0.0.1", server.address.port());
    Plan {
        credentials: Some((1..=devices).map(login).collect()),
        interval: Duration::from_millis(20),
        duration: Some(Duration::from_millis(1500)),
        retransmit_wait: Duration::from_millis(50),
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
    assert_eq!((report.lost, report.out_of_order), (Some(0), Some(0)), "{report}");
    assert_eq!(report.planned, report.acknowledged + report.given_up, "{report}");
    assert_eq!((report.unacknowledged, report.skipped), (0, 0), "{report}");
    assert_eq!(report.ledger.acknowledged(), report.acknowledged);
}

#[test]
fn every_reading_is_posted_acknowledged_and_found() {
    for inflight in [1, 8] {
        let server = CoapServer::start(CoapFaults::default());
        let report = simulate(Plan { inflight, ..plan(&server, 10) }).unwrap();
        assert_complete(&report);
        assert_eq!((report.duplicated, report.resent, report.retransmitted), (Some(0), 0, 0), "{report}");
        assert_eq!((report.errors, report.devices_accepted), (0, 10), "{report}");
        assert!((600..=750).contains(&report.acknowledged), "{report}");
        assert!(report.latency_ms.p50 > 0.0 && report.round_trip_ms.p50 > 0.0, "{report}");
        assert_eq!(server.seen.peers.load(Ordering::Relaxed), 10, "each device is a peer of its own");
    }
}

#[test]
fn bursts_and_spikes_are_audited_as_they_were_sent() {
    let server = CoapServer::start(CoapFaults::default());
    let profile: Profile = "bursts:readings=5,gap=1ms+spikes:every=20,readings=4,peak=39".parse().unwrap();
    let plan = Plan { profile, duration: Some(Duration::from_secs(2)), ..plan(&server, 10) };
    let report = simulate(plan).unwrap();
    assert_complete(&report);
    assert!((850..=1050).contains(&report.acknowledged), "{report}");
    let output = std::fs::read_to_string(server.out().join("readings-00000001.jsonl")).unwrap();
    let celsius = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["values"]["temperature"].as_f64().unwrap()
    };
    let hot = output.lines().filter(|line| celsius(line) > 35.0).count();
    let all = output.lines().count();
    assert!((all / 7..all / 3).contains(&hot), "{hot} of {all}: about one of five");
    assert!(output.lines().all(|line| (20.0..=39.0).contains(&celsius(line))));
}

#[test]
fn what_the_network_drops_is_repeated_and_stored_once() {
    let server = CoapServer::start(CoapFaults {
        drop_request: 7,
        drop_answer: 11,
        double_answer: 5,
        ..CoapFaults::default()
    });
    let report = simulate(plan(&server, 10)).unwrap();
    assert_complete(&report);
    assert_eq!((report.duplicated, report.resent, report.errors), (Some(0), 0, 0), "{report}");
    let repeated = server.seen.repeated.load(Ordering::Relaxed);
    assert!(report.retransmitted > repeated && repeated > 20, "{report}");
    assert!(report.to_string().contains("CoAP datagrams repeated"), "{report}");
}

#[test]
fn a_server_without_a_memory_stores_twice_under_the_same_id() {
    let server = CoapServer::start(CoapFaults { drop_answer: 9, forget: 1, ..CoapFaults::default() });
    let report = simulate(plan(&server, 5)).unwrap();
    assert_complete(&report);
    assert!(report.duplicated > Some(10), "{report}");
}

#[test]
fn separate_responses_are_acknowledged() {
    let separate = (4, Duration::from_millis(120));
    let server = CoapServer::start(CoapFaults { separate, drop_answer: 13, ..CoapFaults::default() });
    let report = simulate(plan(&server, 10)).unwrap();
    assert_complete(&report);
    assert_eq!((report.duplicated, report.errors), (Some(0), 0), "{report}");
    assert!(server.seen.confirmed.load(Ordering::Relaxed) > 50, "{report} {:?}", server.seen);
    assert_eq!(server.seen.reset.load(Ordering::Relaxed), 0);
    assert!(report.latency_ms.max >= 120.0, "{report}");
}

#[test]
fn a_full_server_is_asked_again_after_its_max_age() {
    let server = CoapServer::start(CoapFaults { full: (40, 1), ..CoapFaults::default() });
    let plan = Plan { interval: Duration::from_millis(100), ..plan(&server, 5) };
    let report = simulate(plan).unwrap();
    assert_complete(&report);
    assert!(report.refused > 0 && report.resent >= report.refused, "{report}");
    assert_eq!(report.causes["5.03 Service Unavailable"], report.refused, "{report}");
    assert!(report.latency_ms.max >= 1000.0 && report.given_up == 0, "{report}");
}

#[test]
fn a_reject_is_counted_by_its_code_and_not_sent_again() {
    for qos in [Qos::AtLeastOnce, Qos::AtMostOnce] {
        let server = CoapServer::start(CoapFaults { reject: 50, ..CoapFaults::default() });
        let report = simulate(Plan { qos, ..plan(&server, 5) }).unwrap();
        assert!(report.refused > 0 && report.resent == 0, "{report}");
        assert_eq!(report.causes["4.00 Bad Request"], report.refused, "{report}");
        let given_up = if qos == Qos::AtLeastOnce { report.refused } else { 0 };
        assert_eq!(report.given_up, given_up, "{report}");
        assert_eq!(report.planned, report.sent, "{report}");
    }
}

#[test]
fn a_server_that_acknowledges_and_loses_is_found_out() {
    let server = CoapServer::start(CoapFaults { lose: 100, ..CoapFaults::default() });
    let mut plan = plan(&server, 5);
    plan.audit.as_mut().unwrap().wait_max = Duration::from_millis(300);
    let report = simulate(plan).unwrap();
    assert_eq!(report.exit_code(), 1);
    assert_eq!(report.lost, Some(report.acknowledged / 100), "{report}");
}

#[test]
fn of_non_nothing_is_acknowledged() {
    let server = CoapServer::start(CoapFaults::default());
    let report = simulate(Plan { qos: Qos::AtMostOnce, ..plan(&server, 3) }).unwrap();
    assert_eq!((report.acknowledged, report.exit_code(), report.retransmitted), (0, 0, 0), "{report}");
    assert!(report.sent > 100 && report.unacknowledged == 0, "{report}");
    assert_eq!(server.seen.requests.load(Ordering::Relaxed), report.sent);
}

#[test]
fn a_refused_login_is_told() {
    let server = CoapServer::start(CoapFaults { refuse_login: true, ..CoapFaults::default() });
    let error = simulate(plan(&server, 10)).unwrap_err();
    assert_eq!(error.exit_code(), 77);
    assert!(error.to_string().contains("4.01 Unauthorized"), "{error}");
}

#[test]
fn a_silent_server_is_told() {
    let server = CoapServer::start(CoapFaults { mute: true, ..CoapFaults::default() });
    let plan = Plan { first_connect_max: Duration::from_millis(700), ..plan(&server, 2) };
    let error = simulate(plan).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("Is it a CoAP server"), "{error}");
    assert!(server.seen.requests.load(Ordering::Relaxed) > 2, "it was tried again");
}

#[test]
fn nothing_that_listens_is_told() {
    let server = CoapServer::start(CoapFaults::default());
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut plan = Plan { first_connect_max: Duration::from_millis(700), ..plan(&server, 2) };
    plan.targets = vec![Target::coap("127.0.0.1", free)];
    let error = simulate(plan).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("connection refused"), "{error}");
}
