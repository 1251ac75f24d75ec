//! Names by which a device could steer the bus: none of them gets there.

use std::{fs, time::Duration};

use serde_json::Value;
use tidegate_tests::{BusService, Gateway, RocketMq, publish};

/// Payloads that would be readings but for a name that belongs to the bus or to the gateway, or with the bytes with
/// which the bus separates properties.
const FORGED: [&str; 6] = [
    r#"{"DELAY":18,"temperature":20}"#,
    r#"{"KEYS":"sensor_2","temperature":20}"#,
    r#"{"a\u0001b":1,"temperature":20}"#,
    r#"{"temperature\u0001KEYS\u0002":20}"#,
    r#"{"uid":"sensor_2/1/1","temperature":20}"#,
    r#"{"values":{"tg_seq":7,"temperature":20}}"#,
];

#[test]
fn a_device_that_names_what_is_the_buss_own_changes_its_reject_counter_and_nothing_else() {
    let bus = RocketMq::lend();
    let mut gateway = Gateway::make();
    let path = gateway.config_path();
    let text = fs::read_to_string(&path).expect("quickstart wrote it");
    let output = format!("\n[[output]]\ntype = \"rocketmq\"\nname_servers = [\"{}\"]\n", bus.name_server());
    fs::write(&path, text + &output).expect("a file");
    gateway.run();
    let monitor = BusService::start(&bus, "monitor", &["--json", "--from-first"]);
    for payload in FORGED {
        let sent = publish(&gateway, &["-V", "mqttv5", "-q", "1", "-d", "-t", "telemetry", "-m", payload]);
        let said = format!("{sent:?}");
        // MQTT 5, section 3.4.2.1: 0x99 payload format invalid.
        assert!(said.contains("RC:153"), "{payload}: {said}");
    }
    let sent = publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", r#"{"temperature":20}"#]);
    assert!(sent.status.success(), "{sent:?}");
    let messages = monitor.wait_for(1, Duration::from_secs(30));
    let forged = u64::try_from(FORGED.len()).expect("a few");
    assert_eq!(gateway.status()["connections"]["rejected"].as_u64(), Some(forged), "{}", gateway.status());
    assert_eq!((bus.count("iot-topic"), bus.count("iot-device-topic")), (1, 0));
    assert_eq!(messages.len(), 1);
    let properties = &messages[0]["properties"];
    assert_eq!(
        (&properties["KEYS"], &properties["temperature"]),
        (&Value::from("sensor_1"), &Value::from("20"))
    );
    assert_eq!(properties["DELAY"], Value::Null);
    assert_eq!(messages[0]["body"], "sensor_1,20");
}
