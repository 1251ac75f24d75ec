use proptest::prelude::*;
use tidegate_protocol::DeviceId;

use super::{
    super::super::Items,
    property::{LABELS_MAX, VALUE_LEN_MAX},
    *,
};
use crate::{
    normalise::{RouteConfig, Routes},
    spool::{ClockQuality, Envelope, Kind, Position, Record, Uid},
};

const ARRIVAL_MS: u64 = 1_700_000_000_000;

fn envelope<'a>(topic: &'a str, kind: Kind) -> Envelope<'a> {
    Envelope {
        kind,
        device: "sensor_1",
        uid: Uid::Gateway,
        topic,
        protocol: Protocol::Mqtt5,
        qos: 1,
        content_type: None,
        user_properties: vec![("KEYS".into(), "forged".into())],
        ts_dev: None,
        uptime_dev: None,
        ts_gw: ARRIVAL_MS,
        mono_gw: 5,
        boot_gw: 3,
        clock: ClockQuality::Synchronised,
    }
}

fn mapped(mapping: &Mapping, routes: &Routes, envelope: Envelope<'_>, payload: &[u8]) -> Vec<BusMessage> {
    let device = DeviceId::new(envelope.device).unwrap();
    let position = Position { lane: Lane::Telemetry, offset: 41 };
    let records = [(Record { position, envelope, format: 0, payload }, device)];
    let mut out = Vec::new();
    Items { lane: Lane::Telemetry, routes, records: &records }.each(|item| map(mapping, item, &mut out));
    out
}

fn map_text(topic: &str, payload: &str) -> Vec<BusMessage> {
    let none = Routes::default();
    mapped(&Mapping::default(), &none, envelope(topic, Kind::Message), payload.as_bytes())
}

fn only(messages: Vec<BusMessage>) -> BusMessage {
    let [message] = <[BusMessage; 1]>::try_from(messages).unwrap();
    message
}

fn routes(toml: &str) -> Routes {
    #[derive(serde::Deserialize)]
    struct File {
        route: Vec<RouteConfig>,
    }
    Routes::compile(&toml::from_str::<File>(toml).unwrap().route).unwrap()
}

/// Topic, tag, `uid` and body.
fn said(message: &BusMessage) -> (&str, &str, &str, &str) {
    let body = str::from_utf8(&message.body).unwrap();
    (&message.topic, &message.tag, message.property("uid").unwrap(), body)
}

#[test]
fn a_single_number_is_a_line_that_is_split_at_the_comma() {
    let message = only(map_text("telemetry", "36.12"));
    assert_eq!(said(&message), ("iot-topic", "value", "sensor_1/g3/t41", "sensor_1,36.12"));
    let message =
        only(map_text("telemetry", r#"{"boot":7,"seq":42,"ts":1699999999000,"values":{"temperature":36}}"#));
    assert_eq!(said(&message), ("iot-topic", "temperature", "sensor_1/7/42", "sensor_1,36"));
    assert_eq!((message.key.as_str(), message.sharding_key.as_str()), ("sensor_1", "sensor_1"));
    assert_eq!(message.id, unique_key("sensor_1/7/42"));
    let properties: Vec<_> = message.properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        properties,
        [
            ("uid", "sensor_1/7/42"),
            ("tg_dev", "sensor_1"),
            ("tg_lane", "telemetry"),
            ("tg_ts_gw", "1700000000000"),
            ("tg_proto", "mqtt5"),
            ("tg_boot", "7"),
            ("tg_seq", "42"),
            ("tg_ts", "1699999999000"),
            ("temperature", "36"),
        ]
    );
}

#[test]
fn several_values_a_boolean_and_a_text_are_json_with_the_uid() {
    let message = only(map_text("telemetry", r#"{"temperature":36.5,"open":true,"state":"on"}"#));
    let body = r#"{"uid":"sensor_1/g3/t41","device":"sensor_1","values":{"temperature":36.5,"open":true,"state":"on"}}"#;
    assert_eq!(said(&message), ("iot-device-topic", "telemetry", "sensor_1/g3/t41", body));
    for (name, value) in [("temperature", "36.5"), ("open", "true"), ("state", "on")] {
        assert_eq!(message.property(name), Some(value));
    }
    let message = only(map_text("event", "true"));
    let body = r#"{"uid":"sensor_1/g3/t41","device":"sensor_1","values":{"value":true}}"#;
    assert_eq!(said(&message), ("iot-device-topic", "event", "sensor_1/g3/t41", body));
}

#[test]
fn an_array_has_the_properties_that_have_one_value_in_it() {
    let message = only(map_text("telemetry", r#"[{"t1":1,"site":"a"},{"t1":2,"site":"a"},{"h":3}]"#));
    assert_eq!((message.topic.as_str(), message.tag.as_str()), ("iot-device-topic", "telemetry"));
    assert_eq!(message.property("t1"), None);
    assert_eq!((message.property("site"), message.property("h")), (Some("a"), Some("3")));
    assert_eq!((message.property("tg_seq"), message.property("tg_boot")), (None, None));
}

#[test]
fn split_is_one_message_a_measurement_by_the_output_or_by_a_route() {
    let mapping = Mapping { split: true, ..Mapping::default() };
    let payload = r#"{"boot":7,"seq":1,"values":{"temperature":36.5,"open":true}}"#;
    let by_output =
        mapped(&mapping, &Routes::default(), envelope("telemetry", Kind::Message), payload.as_bytes());
    let by_route = mapped(
        &Mapping::default(),
        &routes("[[route]]\ntopic = 'telemetry'\nsplit = true"),
        envelope("telemetry", Kind::Message),
        payload.as_bytes(),
    );
    assert_eq!(by_output, by_route);
    let [number, boolean] = <[BusMessage; 2]>::try_from(by_output).unwrap();
    assert_eq!(said(&number), ("iot-topic", "temperature", "sensor_1/7/1/temperature", "sensor_1,36.5"));
    assert_eq!(number.property("open"), None);
    let body = r#"{"uid":"sensor_1/7/1/open","device":"sensor_1","boot":7,"seq":1,"values":{"open":true}}"#;
    assert_eq!(said(&boolean), ("iot-device-topic", "telemetry", "sensor_1/7/1/open", body));
    assert_ne!(number.id, boolean.id);
}

#[test]
fn what_the_gateway_says_is_never_split() {
    let mapping = Mapping { split: true, ..Mapping::default() };
    let mut envelope = envelope("event", Kind::Message);
    envelope.protocol = Protocol::Gateway;
    let payload = br#"{"alarm":"temperature_high","state":"raised","value":36.12}"#;
    let message = only(mapped(&mapping, &Routes::default(), envelope, payload));
    assert_eq!((message.topic.as_str(), message.tag.as_str()), ("iot-device-topic", "event"));
    assert_eq!((message.property("state"), message.property("tg_proto")), (Some("raised"), Some("gateway")));
}

#[test]
fn what_nobody_can_read_goes_out_as_sent_with_its_topic_and_type() {
    let mut sent = envelope("plant/7/camera", Kind::Message);
    sent.content_type = Some("image/png");
    let message = only(mapped(&Mapping::default(), &Routes::default(), sent, b"\x89PNG\x01\x02"));
    assert_eq!((message.topic.as_str(), message.tag.as_str()), ("iot-device-topic", "raw"));
    assert_eq!(message.body, b"\x89PNG\x01\x02");
    assert_eq!(message.property("tg_topic"), Some("plant/7/camera"));
    assert_eq!(message.property("tg_type"), Some("image/png"));
}

#[test]
fn a_media_type_that_could_pass_for_properties_stays_behind() {
    for media in ["a\u{1}KEYS\u{2}forged", &"x".repeat(VALUE_LEN_MAX + 1)] {
        let mut sent = envelope("plant", Kind::Message);
        sent.content_type = Some(media);
        let message = only(mapped(&Mapping::default(), &Routes::default(), sent, b"\xff"));
        assert_eq!(message.property("tg_type"), None);
    }
}

#[test]
fn what_todays_routes_refuse_goes_out_as_sent() {
    let strict = routes("[[route]]\ntopic = 'plant/#'\nformat = 'json'");
    let message = only(mapped(&Mapping::default(), &strict, envelope("plant/1", Kind::Message), b"no json"));
    assert_eq!(said(&message), ("iot-device-topic", "raw", "sensor_1/g3/t41", "no json"));
    // Stored by a gateway that knew fewer reserved names: nothing of it becomes a property.
    for payload in [r#"{"KEYS":1}"#, r#"{"DELAY":"3"}"#, r#"{"a\u0001b":1}"#, r#"{"uid":1}"#] {
        let message = only(map_text("telemetry", payload));
        assert_eq!((message.tag.as_str(), message.body.as_slice()), ("raw", payload.as_bytes()));
        assert_eq!(message.property("KEYS").or(message.property("DELAY")), None);
        assert_eq!(message.property("uid"), Some("sensor_1/g3/t41"));
    }
}

#[test]
fn a_command_keeps_its_topic() {
    let message = only(map_text("cmd/sensor_1/res/7/200", "done"));
    assert_eq!(said(&message), ("iot-device-topic", "command", "sensor_1/g3/t41", "done"));
    assert_eq!(message.property("tg_topic"), Some("cmd/sensor_1/res/7/200"));
}

#[test]
fn a_gap_and_damage_say_what_is_missing() {
    let none = Routes::default();
    let message = only(mapped(&Mapping::default(), &none, envelope("", Kind::Gap), br#"{"count":5}"#));
    let body = r#"{"uid":"sensor_1/g3/t41/gap","device":"sensor_1","gap":{"count":5}}"#;
    assert_eq!(said(&message), ("iot-device-topic", "gap", "sensor_1/g3/t41/gap", body));
    assert_eq!(message.sharding_key, "sensor_1");
    let mut out = Vec::new();
    let lost = Lost { from: 5, to: 9, cause: LostCause::Damaged };
    map_lost(&Mapping::default(), Lane::Event, lost, &mut out);
    let body =
        r#"{"uid":"_gateway/lost/event/5-9","lost":{"lane":"event","from":5,"to":9,"reason":"damaged"}}"#;
    assert_eq!(said(&only(out)), ("iot-device-topic", "lost", "_gateway/lost/event/5-9", body));
}

#[test]
fn a_route_says_topic_tag_and_body() {
    let routes = routes(
        "[[route]]\ntopic = 'plant/{device}/{measurement}'\noutput_topic = 'plant/{device}.raw'\ntag = 'x.{measurement}'\nbody = 'json'",
    );
    let message =
        only(mapped(&Mapping::default(), &routes, envelope("plant/pump_3/pressure", Kind::Message), b"1.5"));
    let body = r#"{"uid":"sensor_1/g3/t41","device":"pump_3","values":{"pressure":1.5}}"#;
    assert_eq!(said(&message), ("plant-pump_3-raw", "x.pressure", "sensor_1/g3/t41", body));
    assert_eq!(message.key, "pump_3");
    assert_eq!(message.property("tg_topic"), Some("plant/pump_3/pressure"));
}

#[test]
fn the_owner_names_topics_and_labels_and_no_device_overrules_a_label() {
    let labels = [("lane".to_owned(), "grey".to_owned()), ("temperature".to_owned(), "mine".to_owned())];
    let config = MappingConfig {
        topic: "a".to_owned(),
        device_topic: "b".to_owned(),
        labels: labels.into_iter().collect(),
        ..MappingConfig::default()
    };
    let mapping = Mapping::new(&config).unwrap();
    let map = |payload: &[u8]| {
        only(mapped(&mapping, &Routes::default(), envelope("telemetry", Kind::Message), payload))
    };
    let message = map(br#"{"temperature":36}"#);
    assert_eq!((message.topic.as_str(), message.body.as_slice()), ("a", &b"sensor_1,36"[..]));
    let temperatures = message.properties.iter().filter(|(name, _)| name == "temperature");
    assert_eq!(temperatures.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"]);
    assert_eq!(message.property("lane"), Some("grey"));
    assert_eq!(map(br#"{"a":1,"b":2}"#).topic, "b");
    assert_eq!(map(b"\xff").property("lane"), Some("grey"));
}

#[test]
fn an_owner_is_told_what_cannot_be() {
    let wrong = |change: &dyn Fn(&mut MappingConfig)| {
        let mut config = MappingConfig::default();
        change(&mut config);
        Mapping::new(&config).map_err(|error| error.key)
    };
    let label = |name: &str, value: &str| {
        let (name, value) = (name.to_owned(), value.to_owned());
        wrong(&|config: &mut MappingConfig| {
            config.labels.insert(name.clone(), value.clone());
        })
    };
    assert_eq!(wrong(&|config| config.topic = "a/b".to_owned()), Err("topic"));
    assert_eq!(wrong(&|config| config.topic = "x".repeat(TOPIC_LEN_MAX + 1)), Err("topic"));
    assert!(wrong(&|config| config.topic = "x".repeat(TOPIC_LEN_MAX)).is_ok());
    assert_eq!(wrong(&|config| config.device_topic = String::new()), Err("device_topic"));
    assert_eq!(label("KEYS", "a"), Err("labels"));
    assert_eq!(label("tg_seq", "a"), Err("labels"));
    assert_eq!(label("site", "a\u{1}b"), Err("labels"));
    assert_eq!(label("site", &"x".repeat(VALUE_LEN_MAX + 1)), Err("labels"));
    assert!(label("site", &"x".repeat(VALUE_LEN_MAX)).is_ok());
    let many = |n: usize| {
        wrong(&|config| config.labels = (0..n).map(|n| (format!("l{n}"), String::new())).collect())
    };
    assert!(many(LABELS_MAX).is_ok());
    assert_eq!(many(LABELS_MAX + 1), Err("labels"));
}

/// Names as devices may try them: good ones, the bus's, and bytes of all sorts.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z_][A-Za-z0-9_]{0,31}",
        1 => prop::sample::select(vec!["KEYS", "TAGS", "DELAY", "UNIQ_KEY", "uid", "tg_seq", "in", "__SHARDINGKEY"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z]{0,3}[\u{1}\u{2}][a-z]{0,3}",
    ]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(serde_json::Value::from),
        (-1000_i64..1000).prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        "[a-z]{0,3}[\u{1}\u{2}][a-z]{0,3}".prop_map(serde_json::Value::from),
    ]
}

fn reading() -> impl Strategy<Value = serde_json::Value> {
    let values = prop::collection::btree_map(name(), value(), 1..6);
    (values, any::<Option<u32>>(), any::<Option<u64>>()).prop_map(|(values, boot, seq)| {
        let mut reading =
            serde_json::json!({"values": values.into_iter().collect::<serde_json::Map<_, _>>()});
        for (name, number) in [("boot", boot.map(u64::from)), ("seq", seq)] {
            if let Some(number) = number {
                reading[name] = number.into();
            }
        }
        reading
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => reading().prop_map(|reading| reading.to_string().into_bytes()),
        1 => prop::collection::vec(reading(), 1..4)
            .prop_map(|all| serde_json::Value::from(all).to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #[test]
    fn nothing_of_a_device_passes_for_something_of_the_bus(
        payload in payload(), topic in "(telemetry|event|plant/[a-z/\u{1}]{0,8})", split in any::<bool>(),
    ) {
        let mapping = Mapping { split, ..Mapping::default() };
        let routes = Routes::default();
        let map = || mapped(&mapping, &routes, envelope(&topic, Kind::Message), &payload);
        let messages = map();
        prop_assert_eq!(&messages, &map());
        prop_assert!(!messages.is_empty());
        let mut ids = std::collections::HashSet::new();
        for message in &messages {
            prop_assert!(is_topic(&message.topic));
            prop_assert_eq!(message.id.len(), UNIQUE_KEY_LEN);
            prop_assert!(message.id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
            prop_assert!(ids.insert(message.id.clone()), "two of one id");
            prop_assert_eq!(&message.key, "sensor_1");
            let mut names = std::collections::HashSet::new();
            for (name, value) in &message.properties {
                let ours = name == "uid" || name.starts_with("tg_");
                prop_assert!(ours || tidegate_protocol::Name::new(name).is_ok(), "{}", name);
                prop_assert!(!value.chars().any(char::is_control), "{:?}", value);
                prop_assert!(names.insert(name.clone()), "{} twice", name);
            }
        }
    }

    #[test]
    fn a_number_is_written_so_that_a_filter_reads_it(number in any::<f64>()) {
        prop_assume!(number.is_finite());
        let payload = serde_json::json!({"temperature": number}).to_string();
        let message = only(map_text("telemetry", &payload));
        let text = message.property("temperature").unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap(), number);
        // What Java's Double.valueOf takes: digits, a point, an exponent, and no words.
        prop_assert!(text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)), "{}", text);
    }
}

/// The client refuses a message with one of these, so that none of them may be what a device measures: its reading would
/// end among the dead letters.
#[test]
fn no_measurement_has_a_name_that_the_client_refuses() {
    for name in tidegate_rocketmq::wire::property::RESERVED {
        assert!(tidegate_protocol::Name::new(name).is_err(), "{name}");
    }
}
