//! What an MQTT client is promised, seen through the clients of mosquitto and through bytes.

use std::time::Duration;

use tidegate_tests::{
    Client, Connect, Gateway, Login, Publish, Subscriber, Version, eventually, publish, publish_as,
};

const READING: &str = r#"{"temperature":23.4}"#;

#[test]
fn mosquitto_publishes_with_both_versions_and_both_qualities() {
    let gateway = Gateway::start();
    let subscriber = Subscriber::start(&gateway, &["-V", "mqttv5", "-q", "1", "-t", "#", "-i", "app_1"]);
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1"] {
            let payload = format!(r#"{{"temperature":2{qos}.5,"version":"{version}"}}"#);
            let sent = publish(&gateway, &["-V", version, "-q", qos, "-t", "telemetry", "-m", &payload]);
            assert!(sent.status.success(), "{version} QoS {qos}: {sent:?}");
            assert_eq!(subscriber.next(), format!("telemetry/sensor_1 {payload}"));
        }
    }
}

#[test]
fn tail_shows_what_was_published() {
    let gateway = Gateway::start();
    assert!(publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", READING]).status.success());
    assert!(publish(&gateway, &["-q", "1", "-t", "event", "-m", r#"{"door":true}"#]).status.success());
    let shown = gateway.command(&["tail", "--from", "oldest", "-n", "2", "--json"]);
    for part in ["sensor_1", "temperature", "23.4", "door"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let shown = gateway.command(&["tail", "--from", "oldest", "-n", "1", "--lane", "event"]);
    assert!(shown.contains("door") && !shown.contains("temperature"), "{shown}");
}

/// The device is the login whatever the pack calls it; the media type says what the payload is where there is one.
#[test]
fn senml_becomes_readings_over_both_versions() {
    let gateway = Gateway::start();
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]"#;
    let declared = ["-V", "mqttv5", "-D", "publish", "content-type", "application/senml+json"];
    let sent = ["-q", "1", "-t", "telemetry", "-m", pack];
    assert!(publish(&gateway, &[&declared[..], &sent].concat()).status.success());
    assert!(publish(&gateway, &[&["-V", "mqttv311"][..], &sent].concat()).status.success());
    let shown = gateway.command(&["tail", "--from", "oldest", "-n", "2"]);
    for line in shown.lines() {
        assert!(line.contains("sensor_1") && line.contains("voltage 120.1 V, current 1.2 A"), "{shown}");
    }
    let broken = ["-q", "1", "-t", "telemetry", "-m", r#"[{"n":"a","v":1,"must_":2}]"#];
    publish(&gateway, &[&declared[..], &broken].concat());
    let last = gateway.command(&["device", "show", "sensor_1"]);
    assert!(last.contains("a field whose label ends with _ is not understood"), "{last}");
}

/// A base name that names another device is for a login that may speak for others.
#[test]
fn senml_of_another_device_is_a_clients() {
    let gateway = Gateway::start();
    let pack = r#"[{"bn":"pump_3:","n":"pressure","v":1.5}]"#;
    let sent = ["-q", "1", "-t", "telemetry", "-m", pack];
    publish(&gateway, &sent);
    let said = gateway.command(&["device", "add", "field", "--role", "client", "--publish", "telemetry"]);
    let secret = said.lines().find_map(|line| line.trim().strip_prefix("secret  ")).expect("a secret");
    let field = Login { user: "field".to_owned(), password: secret.to_owned() };
    assert!(publish_as(&gateway, &field, &sent).status.success());
    let shown = gateway.command(&["tail", "--from", "oldest", "-n", "1"]);
    assert!(shown.contains("pump_3") && shown.contains("pressure 1.5"), "{shown}");
    let last = gateway.command(&["device", "show", "sensor_1"]);
    assert!(last.contains("the topic belongs to another device"), "{last}");
}

#[test]
fn both_versions_subscribe_with_wildcards() {
    let gateway = Gateway::start();
    let old = Subscriber::start(
        &gateway,
        &["-V", "mqttv311", "-q", "1", "-t", "plant/+/temperature", "-i", "app_1"],
    );
    let new = Subscriber::start(&gateway, &["-V", "mqttv5", "-q", "0", "-t", "plant/#", "-i", "app_2"]);
    assert!(publish(&gateway, &["-q", "1", "-t", "plant/7/temperature", "-m", "21.5"]).status.success());
    assert_eq!(old.next(), "plant/7/temperature 21.5");
    assert_eq!(new.next(), "plant/7/temperature 21.5");
    assert!(publish(&gateway, &["-q", "1", "-t", "plant/7/humidity", "-m", "40"]).status.success());
    assert_eq!(new.next(), "plant/7/humidity 40");
    assert!(old.is_silent(Duration::from_millis(500)));
}

#[test]
fn wrong_passwords_and_unknown_users_get_the_same_answer() {
    let gateway = Gateway::start();
    let known = Login { user: gateway.device.user.clone(), password: "wrong".to_owned() };
    let unknown = Login { user: "nobody".to_owned(), password: "wrong".to_owned() };
    for login in [&known, &unknown] {
        // MQTT 5 3.2.2.2: 0x86 bad user name or password; MQTT 3.1.1 table 3.1: 4 or 5.
        for (version, codes) in [(Version::V5, &[0x86, 0x87][..]), (Version::V311, &[4, 5][..])] {
            let connect = Connect { version, client_id: "probe", login: Some(login), keep_alive_s: 60 };
            let (_, code) = Client::connect(gateway.port, &connect);
            assert!(codes.contains(&code), "{version:?} {}: {code:#x}", login.user);
        }
        assert!(
            !publish_as(&gateway, login, &["-q", "1", "-t", "telemetry", "-m", READING]).status.success()
        );
    }
    let connect = Connect { version: Version::V5, client_id: "probe", login: None, keep_alive_s: 60 };
    assert!(Client::connect(gateway.port, &connect).1 >= 0x80, "nobody comes in without a name");
}

#[test]
fn a_device_does_not_speak_for_another() {
    let gateway = Gateway::start();
    gateway.add_device("sensor_2");
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    for (id, topic) in (1..).zip(["telemetry/sensor_2", "telemetry//sensor_2", "$SYS/broker", "$share/g/t"]) {
        client.publish(&Publish { topic, payload: READING.as_bytes(), qos: 1, id });
        match client.answer_within(Duration::from_secs(5)) {
            Ok(Some(answer)) if answer.kind() == 4 => {
                let reason = answer.puback_reason();
                assert!([0x87, 0x90].contains(&reason), "{topic}: {reason:#x}");
            }
            Ok(Some(answer)) => {
                assert_eq!(answer.kind(), 14, "{topic}: {answer:?}");
                client = Client::login(gateway.port, Version::V5, &gateway.device);
            }
            Ok(None) => panic!("{topic}: no answer"),
            Err(_) => client = Client::login(gateway.port, Version::V5, &gateway.device),
        }
    }
    // MQTT 3.1.1 has no way to say no: the connection ends, and nothing is acknowledged.
    let mut old = Client::login(gateway.port, Version::V311, &gateway.device);
    old.publish(&Publish { topic: "telemetry//sensor_2", payload: READING.as_bytes(), qos: 1, id: 1 });
    let words = old.last_words(Duration::from_secs(10)).expect("the connection ends");
    assert!(words.is_empty(), "{words:?}");
    let denied = gateway.status()["connections"]["denied"].as_u64();
    assert!(denied.is_some_and(|count| count >= 2), "{denied:?}");
}

#[test]
fn a_device_does_not_read_others() {
    let gateway = Gateway::start();
    gateway.add_device("sensor_2");
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    for filter in ["#", "telemetry/sensor_2", "$SYS/#", "cmd/sensor_2/#"] {
        let code = client.subscribe(filter, 1);
        assert!(code >= 0x80, "{filter}: {code:#x}");
    }
}

#[test]
fn acknowledgements_come_in_order() {
    let gateway = Gateway::start();
    for version in [Version::V311, Version::V5] {
        let mut client = Client::login(gateway.port, version, &gateway.device);
        let mut burst = Vec::new();
        for id in 1..=200 {
            let payload = if id % 7 == 0 { &b"not json"[..] } else { READING.as_bytes() };
            burst.extend(Publish { topic: "telemetry", payload, qos: 1, id }.bytes(version));
        }
        client.send(&burst);
        for id in 1..=200 {
            let answer = client.answer();
            assert_eq!((answer.kind(), answer.id()), (4, id), "{version:?} [MQTT-4.6.0-2]");
        }
    }
}

#[test]
fn a_second_connection_takes_over() {
    let gateway = Gateway::start();
    let mut first = Client::login(gateway.port, Version::V5, &gateway.device);
    let mut second = Client::login(gateway.port, Version::V5, &gateway.device);
    let words = first.last_words(Duration::from_secs(10)).expect("the first connection ends");
    let last = words.last().expect("it is told why");
    assert_eq!((last.kind(), last.body.first()), (14, Some(&0x8e)), "session taken over (MQTT 5 3.14.2.1)");
    assert_eq!(second.publish_and_wait("telemetry", READING.as_bytes(), 1), 0x00);
}

#[test]
fn whoever_is_disabled_is_out_at_once() {
    let gateway = Gateway::start();
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    gateway.command(&["device", "disable", "sensor_1"]);
    assert!(client.last_words(Duration::from_secs(5)).is_some(), "the live session ends");
    let connect = Connect {
        version: Version::V5,
        client_id: "sensor_1",
        login: Some(&gateway.device),
        keep_alive_s: 60,
    };
    assert!(Client::connect(gateway.port, &connect).1 >= 0x80);
    gateway.command(&["device", "enable", "sensor_1"]);
    Client::login(gateway.port, Version::V5, &gateway.device);
}

#[test]
fn a_keep_alive_that_runs_out_ends_the_connection() {
    let gateway = Gateway::start();
    let connect = Connect {
        version: Version::V311,
        client_id: "sensor_1",
        login: Some(&gateway.device),
        keep_alive_s: 1,
    };
    let (mut silent, code) = Client::connect(gateway.port, &connect);
    assert_eq!(code, 0);
    assert!(silent.last_words(Duration::from_secs(5)).is_some(), "1.5 times the keep-alive [MQTT-3.1.2-24]");
}

#[test]
fn status_names_devices_without_a_promise() {
    let gateway = Gateway::start();
    assert!(publish(&gateway, &["-q", "0", "-t", "telemetry", "-m", READING]).status.success());
    eventually("status names sensor_1", || {
        gateway.status()["connections"]["qos0_only"].to_string().contains("sensor_1").then_some(())
    });
    let first = gateway.command(&["status"]);
    assert!(first.lines().next().is_some_and(|line| line.starts_with("lost 0, ")), "{first}");
}
