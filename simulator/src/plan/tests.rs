use super::*;

fn plan(devices: u32) -> Plan {
    Plan::new("mqtt://127.0.0.1".parse().unwrap(), devices)
}

fn login(device: &str) -> Login {
    Login { device: device.into(), secret: "s".into() }
}

#[test]
fn without_credentials_the_client_id_names_the_device() {
    let identities = Plan { topic: "x/%i/%c".into(), ..plan(2) }.identities().unwrap();
    let names: Vec<_> = identities.iter().map(|i| (&*i.device, &*i.client_id, &*i.topic)).collect();
    assert_eq!(names, [("sensor_1", "sensor_1", "x/1/sensor_1"), ("sensor_2", "sensor_2", "x/2/sensor_2")]);
    assert_eq!(identities[0].login, None);
}

#[test]
fn with_credentials_the_user_names_device_and_client() {
    let plan = Plan { credentials: Some(vec![login("pump"), login("fan")]), topic: "t/%u".into(), ..plan(2) };
    let identities = plan.identities().unwrap();
    assert_eq!((&*identities[1].device, &*identities[1].client_id), ("fan", "fan"));
    assert_eq!(&*identities[1].topic, "t/fan");
    assert_eq!(identities[1].login, Some(("fan".into(), "s".into())));
}

#[test]
fn a_user_of_its_own_names_the_device_and_a_shared_one_does_not() {
    let own = Plan { user: Some("u%i".into()), first: 5, ..plan(1) };
    assert_eq!(&*own.identities().unwrap()[0].device, "u5");
    let shared = Plan { user: Some("all".into()), password: Some("p".into()), ..plan(1) };
    let identity = shared.identities().unwrap().remove(0);
    assert_eq!(&*identity.device, "sensor_1");
    assert_eq!(identity.login, Some(("all".into(), "p".into())));
}

#[test]
fn every_limit_is_told_with_what_to_do() {
    let refused = |plan: Plan| plan.identities().unwrap_err().to_string();
    assert!(refused(plan(0)).contains("--devices 0"));
    assert!(refused(plan(DEVICES_MAX + 1)).contains("100000"));
    assert!(refused(Plan { inflight: INFLIGHT_MAX + 1, ..plan(1) }).contains("--inflight"));
    assert!(refused(Plan { payload_bytes: PAYLOAD_BYTES_MAX + 1, ..plan(1) }).contains("-s"));
    assert!(refused(Plan { backlog: BACKLOG_MAX + 1, ..plan(1) }).contains("--backlog"));
    assert!(refused(Plan { connect_rate: 0, ..plan(1) }).contains("--connect-rate"));
    assert!(refused(Plan { topic: "a/#".into(), ..plan(1) }).contains("-t"));
    let many = vec!["h".parse().unwrap(); TARGETS_MAX + 1];
    assert!(refused(Plan { targets: many, ..plan(1) }).contains("--target: 1 to 16"));
    assert!(refused(Plan { targets: Vec::new(), ..plan(1) }).contains("--target: 1 to 16"));
    let burst = Plan { profile: "bursts:gap=3s".parse().unwrap(), ..plan(1) };
    assert!(refused(burst).contains("--profile bursts:readings=10,gap=3s: the gap"));
    let coap = |plan: Plan| refused(Plan { targets: vec!["coap://h".parse().unwrap()], ..plan });
    assert!(coap(Plan { payload_bytes: coap::PAYLOAD_BYTES_MAX + 1, ..plan(1) }).contains("-s 1025: CoAP"));
    assert!(coap(Plan { topic: "x".repeat(256), ..plan(1) }).contains("CoAP takes at most 248 bytes"));
    let few = Plan { credentials: Some(vec![login("a")]), ..plan(2) };
    assert!(refused(few).contains("tidegate device add --count 2"));
}
