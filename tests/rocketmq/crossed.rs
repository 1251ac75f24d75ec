//! The gateway's messages, read by clients that others have written.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use tidegate_tests::{BusClient, BusConsumer, Client, Gateway, RocketMq, Simulator, Version, within};

use crate::audit::{assert_ids, audit, drained, gateway_to, output_status};

const CONSUMED_MAX: Duration = Duration::from_secs(120);

/// Queue of each device in a topic of eight queues: Java's `hashCode` of the device, the classic clients' choice.
fn queue_by_hash(device: &str) -> u64 {
    let hash =
        device.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    u64::from((hash % 8).unsigned_abs())
}

#[test]
fn two_hundred_devices_arrive_in_order_at_the_java_and_the_python_consumer() {
    let bus = RocketMq::lend();
    bus.create_groups_from_first(&["java-group", "python-group"]);
    bus.admin(&["group", "--ordered", "--from-first", "iot-topic", "grpc-group"]);
    let mut gateway = gateway_to(&bus, "labels = { site = \"north\" }");
    gateway.run();
    let consumers = [
        BusConsumer::start(&bus, BusClient::Java, &["-group", "java-group"]),
        BusConsumer::start(&bus, BusClient::Python, &["--group", "python-group"]),
        BusConsumer::start(&bus, BusClient::Grpc, &["--group", "grpc-group"]),
    ];
    let report = Simulator::start(&gateway, 200, &["--interval", "500ms", "--duration", "10s"])
        .finish(Duration::from_secs(120));
    report.assert_nothing_lost();
    drained(&gateway, CONSUMED_MAX);
    let count = usize::try_from(bus.count("iot-topic")).expect("it fits");
    assert!(count >= 3_000, "{count}");
    for consumer in &consumers {
        let messages = consumer.wait_for(count, CONSUMED_MAX);
        let found = audit(&gateway, &messages);
        assert_eq!((found.lost, found.out_of_order), (0, 0), "{found:?}");
        assert!(found.readings as f64 >= report.number("acknowledged"), "{found:?} {}", report.json);
        assert_no_needless_duplicates(&gateway, &messages, found.duplicates);
        assert_ids(&messages);
        messages.iter().for_each(assert_fields);
    }
    let [java, python, _] = consumers;
    let (java, python) = (java.messages(), python.messages());
    let mut queues: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for message in java.iter().chain(&python) {
        let device = message["keys"].as_str().expect("a key").to_owned();
        queues.entry(device).or_default().insert(message["queue"].as_u64().expect("a queue"));
    }
    for (device, queues) in queues {
        assert_eq!(queues, BTreeSet::from([queue_by_hash(&device)]), "queue of {device}");
    }
    for message in &java {
        let properties = &message["properties"];
        assert_eq!(properties["site"], "north", "{message}");
        assert_eq!(properties["__SHARDINGKEY"], message["keys"], "{message}");
        assert_eq!(properties["UNIQ_KEY"], message["id"], "{message}");
        let value = message["body"].as_str().and_then(|body| body.split_once(',')).expect("device,number").1;
        assert_eq!(properties["temperature"], value, "{message}");
    }
}

/// Where the broker answers too late, the gateway sends again, and says that it has failed; the recipe of the examples
/// then shows each message that came before.
fn assert_no_needless_duplicates(gateway: &Gateway, messages: &[Value], duplicates: usize) {
    let shown = messages.iter().filter(|message| message["duplicate"] == true).count();
    assert_eq!(duplicates, shown, "duplicates that the recipe shows");
    let failed = output_status(gateway, "failed");
    assert!(duplicates == 0 || failed.as_u64().expect("a count") > 0, "{duplicates} although nothing failed");
}

/// What every client shows of a single number.
fn assert_fields(message: &Value) {
    let device = message["keys"].as_str().unwrap_or_else(|| panic!("no key in {message}"));
    let properties = &message["properties"];
    assert_eq!(
        (&message["topic"], &message["tags"]),
        (&json!("iot-topic"), &json!("temperature")),
        "{message}"
    );
    assert_eq!(properties["tg_dev"], device, "{message}");
    let [boot, seq] =
        ["tg_boot", "tg_seq"].map(|name| properties[name].as_str().expect("a number of the device"));
    assert_eq!(properties["uid"], format!("{device}/{boot}/{seq}"), "{message}");
    let (named, number) =
        message["body"].as_str().and_then(|body| body.split_once(',')).expect("device,number");
    assert!(named == device && number.parse::<f64>().is_ok(), "{message}");
    // Device, gateway, bus: one reading's way, in milliseconds.
    let [device_ms, gateway_ms] =
        ["tg_ts", "tg_ts_gw"].map(|name| properties[name].as_str().and_then(|ms| ms.parse::<u64>().ok()));
    assert!(device_ms.expect("tg_ts") <= gateway_ms.expect("tg_ts_gw") + 1, "{message}");
}

#[test]
fn a_server_of_4_9_does_as_well() {
    let bus = RocketMq::lend_with(&["--server-version", "4.9.7"]);
    bus.admin(&["group", "java-group", "python-group"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let report = Simulator::start(&gateway, 20, &["--interval", "200ms", "--duration", "5s"])
        .finish(Duration::from_secs(120));
    report.assert_nothing_lost();
    drained(&gateway, CONSUMED_MAX);
    let count = usize::try_from(bus.count("iot-topic")).expect("it fits");
    let consumers = [
        BusConsumer::start(&bus, BusClient::Java, &["-group", "java-group"]),
        BusConsumer::start(&bus, BusClient::Python, &["--group", "python-group"]),
    ];
    for consumer in &consumers {
        let messages = consumer.wait_for(count, CONSUMED_MAX);
        let found = audit(&gateway, &messages);
        assert_eq!((found.lost, found.out_of_order), (0, 0), "{found:?}");
        assert_no_needless_duplicates(&gateway, &messages, found.duplicates);
        assert!(found.readings > 400, "{found:?}");
        assert_ids(&messages);
        messages.iter().for_each(assert_fields);
    }
}

#[test]
fn a_filter_of_the_broker_finds_exactly_the_readings_above_35() {
    let bus = RocketMq::lend();
    bus.admin(&["group", "hot"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let values = ["36.5", "36", "35.01", "35.0", "35", "34.99", "-40"];
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    for (number, value) in values.iter().enumerate() {
        let id = u16::try_from(number).expect("few") + 1;
        let payload = format!("{{\"boot\":1,\"seq\":{id},\"values\":{{\"temperature\":{value}}}}}");
        client.publish_and_wait("telemetry", payload.as_bytes(), id);
    }
    drained(&gateway, CONSUMED_MAX);
    let hot = BusConsumer::start(
        &bus,
        BusClient::Java,
        &["-group", "hot", "-sql", "temperature > 35.0 AND tg_dev = 'sensor_1'"],
    );
    let alarms = BusConsumer::alarms(&bus, &[]);
    let messages = hot.wait_for(3, CONSUMED_MAX);
    let bodies: BTreeSet<&str> = messages.iter().filter_map(|message| message["body"].as_str()).collect();
    assert_eq!(bodies, BTreeSet::from(["sensor_1,36.5", "sensor_1,36", "sensor_1,35.01"]));
    let both = within(CONSUMED_MAX, || (alarms.count() >= 3).then_some(()));
    assert!(both.is_some(), "{:?}", alarms.lines());
    for group in ["hot", "alert-consumer-group"] {
        let seen = within(CONSUMED_MAX, || (bus.lag(group) == 0).then_some(()));
        assert!(seen.is_some(), "{group} is behind {}", bus.lag(group));
    }
    let lines: BTreeSet<String> = alarms.stop().into_iter().collect();
    let expected = ["ALARM sensor_1 36.5", "ALARM sensor_1 36", "ALARM sensor_1 35.01"].map(str::to_owned);
    assert_eq!(lines, BTreeSet::from(expected));
    assert_eq!(hot.count(), 3);
}

#[test]
fn several_values_raw_bytes_and_what_a_device_must_not_say() {
    let bus = RocketMq::lend();
    bus.admin(&["group", "device-group"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    client.publish_and_wait(
        "telemetry",
        br#"{"boot":1,"seq":1,"values":{"temperature":21.5,"door":true}}"#,
        1,
    );
    client.publish_and_wait("plant/blob", b"\x01\x02\xff", 2);
    // Names that the bus keeps for itself: the message goes through, and does what any other does.
    client.publish_and_wait(
        "telemetry",
        br#"{"boot":1,"seq":2,"values":{"DELAY":3,"KEYS":1,"UNIQ_KEY":7}}"#,
        3,
    );
    client.publish_and_wait(
        "telemetry",
        br#"{"boot":1,"seq":3,"values":{"temperature":22.5,"door":false}}"#,
        4,
    );
    drained(&gateway, CONSUMED_MAX);
    let listen = ["-group", "device-group", "-topic", "iot-device-topic"];
    let consumer = BusConsumer::start(&bus, BusClient::Java, &listen);
    let messages = consumer.wait_for(3, CONSUMED_MAX);
    assert_ids(&messages);
    for message in &messages {
        assert_eq!(
            (&message["keys"], &message["properties"]["tg_dev"]),
            (&json!("sensor_1"), &json!("sensor_1"))
        );
        assert!(message["properties"]["DELAY"].is_null(), "{message}");
    }
    let first = &messages[0];
    let body: Value = serde_json::from_str(first["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&first["tags"], &body["uid"]), (&json!("telemetry"), &json!("sensor_1/1/1")), "{first}");
    assert_eq!(body["values"], json!({"temperature": 21.5, "door": true}), "{first}");
    let raw = messages.iter().find(|message| message["tags"] == "raw").expect("the raw bytes");
    assert_eq!(
        (&raw["body_base64"], &raw["properties"]["tg_topic"]),
        (&json!("AQL/"), &json!("plant/blob")),
        "{raw}"
    );
    let last = messages.last().expect("one at least");
    assert_eq!(last["properties"]["tg_seq"], "3", "what followed arrives, and last: {last}");
}
