//! A bad network: 30 % lost, some twice, some late.

use std::{sync::atomic::Ordering, thread, time::Duration};

use tidegate_tests::{
    Acknowledged, CoapClient, CoapLoad, Load, Proxy, Simulator, Weather, count_from, delivered,
    missing_at_last, out_of_order,
};

use crate::{
    READING, Rig,
    faults::{assert_uids, logins},
    stored,
};

/// Devices over the bad network, and devices beside them.
const COAP_DEVICES: usize = 60;
const MQTT_DEVICES: usize = 4;

#[test]
fn each_acknowledged_reading_arrives_once() {
    let seconds = count_from("TIDEGATE_NETWORK_SECONDS", 25);
    let mut rig = Rig::start();
    let logins = logins(&rig.gateway, COAP_DEVICES + MQTT_DEVICES);
    let (coap_logins, mqtt_logins) = logins.split_at(COAP_DEVICES);
    let proxy = Proxy::start(rig.gateway.coap_address(), Weather::bad(4));
    let coap = CoapLoad::start(proxy.address(), coap_logins, &Acknowledged::new());
    let mut mqtt_acknowledged = Acknowledged::new();
    for _ in 0..seconds {
        // As fast as it goes, for a moment: more would only make the audit longer.
        let mqtt = Load::start(rig.gateway.port, mqtt_logins, &mqtt_acknowledged);
        thread::sleep(Duration::from_millis(50));
        mqtt_acknowledged = mqtt.stop();
        thread::sleep(Duration::from_millis(950));
    }
    let (seen, traffic) = (coap.seen(), proxy.traffic());
    let acknowledged = coap.stop();

    let count = acknowledged.values().sum::<u64>();
    println!("CoAP: {count} acknowledged, {seen:?}\n{traffic:?}");
    println!("MQTT: {} acknowledged", mqtt_acknowledged.values().sum::<u64>());
    assert_eq!(acknowledged.len(), COAP_DEVICES, "every device got through");
    for counts in [traffic.up, traffic.down] {
        let bad = [counts.lost, counts.duplicated, counts.overtaken];
        assert!(bad.iter().all(|count| *count > 0) && counts.turned_away == 0, "{counts:?}");
    }
    assert!(count > seconds * 10, "{count} is not enough to prove anything");

    assert_eq!(missing_at_last(&acknowledged, &rig.gateway.out()), 0, "lost over CoAP");
    assert_eq!(missing_at_last(&mqtt_acknowledged, &rig.gateway.out()), 0, "lost over MQTT");
    assert_eq!(out_of_order(&delivered(&rig.gateway.out())), 0);
    let again = assert_uids(&rig.gateway, &acknowledged);
    // A reading that a device gave up and posted anew is a request of its own; its uid is the same.
    assert!(again.stored <= seen.anew.load(Ordering::Relaxed), "{again:?}, {seen:?}");
    assert_eq!(again.delivered, 0);
    assert!(mqtt_acknowledged.values().sum::<u64>() > seconds, "MQTT beside it went on");
    let status = rig.gateway.status();
    assert!(status["coap"]["duplicates"].as_u64().is_some_and(|seen| seen > 0), "{status}");
    rig.assert_well();
}

/// One reading that is repeated for minutes by the network is one record.
#[test]
fn a_network_that_repeats_everything_stores_it_once() {
    let mut rig = Rig::start();
    let weather =
        Weather { lost_percent: 0, duplicated_percent: 100, held_back_percent: 100, ..Weather::bad(5) };
    let proxy = Proxy::start(rig.gateway.coap_address(), weather);
    let login = rig.gateway.device.clone();
    let mut client = CoapClient::open(proxy.address());
    for _ in 0..20 {
        assert_eq!(client.post_and_wait("telemetry", &login, READING).to_string(), "2.04");
    }
    thread::sleep(Duration::from_millis(weather.held_back_ms_max + 200));
    assert!(proxy.traffic().up.duplicated >= 20);
    assert_eq!(stored(&rig.gateway), 20);
    rig.assert_well_and_counted();
}

/// The simulator's own audit: sensors of both protocols, those of CoAP over the bad network.
#[test]
fn the_simulator_finds_nothing_lost() {
    let mut rig = Rig::start();
    let proxy = Proxy::start(rig.gateway.coap_address(), Weather::bad(6));
    let mqtt = format!("mqtt://127.0.0.1:{}", rig.gateway.port);
    let coap = format!("coap://{}", proxy.address());
    let words = ["--target", &mqtt, "--target", &coap, "--retransmit-wait", "250ms"];
    let load = ["--interval", "1s", "--duration", "20s", "--seed", "9"];
    let simulator = Simulator::start_as(&rig.gateway, 200, &[&words[..], &load].concat());
    let report = simulator.finish(Duration::from_secs(180));
    let traffic = proxy.traffic();
    println!("{}\n{traffic:?}", report.json);
    report.assert_nothing_lost();
    let targets = report.json["targets"].as_array().expect("a list of targets");
    assert_eq!(targets.len(), 2, "{}", report.json);
    for target in targets {
        assert!(target["acknowledged"].as_u64().is_some_and(|count| count > 500), "{}", report.json);
    }
    assert!(traffic.up.lost > 100 && traffic.down.lost > 100, "{traffic:?}");
    // A datagram that the network repeats is no reading of its own; one that a sensor gave up and posted anew is.
    let resent: u64 = targets.iter().filter_map(|target| target["resent"].as_u64()).sum();
    assert!(report.number("duplicated") <= resent as f64, "{}", report.json);
    rig.assert_well();
}
