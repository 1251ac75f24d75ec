extern crate std;

use std::{format, prelude::v1::*};

use proptest::prelude::*;

use crate::{
    topic::{CommandTopic, LaneTopic, hono_command_path},
    *,
};

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

fn json<const N: usize>(reading: &Reading<N>) -> String {
    let mut text = String::new();
    reading.write_json(&mut text).unwrap();
    text
}

/// Reads a reading back, as anybody would with an ordinary JSON library.
fn read(text: &str) -> Reading {
    let tree: serde_json::Value = serde_json::from_str(text).unwrap();
    let values = tree.get("values").unwrap_or(&tree);
    let mut reading = Reading::new();
    reading.boot =
        tree.get("boot").filter(|_| values != &tree).map(|n| n.as_u64().unwrap().try_into().unwrap());
    reading.sequence = tree.get("seq").filter(|_| values != &tree).map(|n| n.as_u64().unwrap());
    reading.ts = tree.get("ts").filter(|_| values != &tree).map(|n| n.as_u64().unwrap());
    for (name, value) in values.as_object().unwrap() {
        let value = match value {
            serde_json::Value::Bool(value) => Value::Boolean(*value),
            serde_json::Value::String(text) => Value::text(text).unwrap(),
            number => Value::Number(number.as_f64().unwrap()),
        };
        reading.push(Name::new(name).unwrap(), value).unwrap();
        let unit = tree.get("units").and_then(|units| units.get(name)).and_then(|unit| unit.as_str());
        reading.measurements.last_mut().unwrap().unit = unit.map(|unit| Unit::try_from(unit).unwrap());
    }
    reading
}

fn temperature(value: f64) -> Reading<2> {
    let mut reading = Reading::new();
    reading.push(Name::new("temperature").unwrap(), Value::Number(value)).unwrap();
    reading
}

#[test]
fn json_is_as_short_as_it_can_be() {
    let mut reading = temperature(23.4);
    assert_eq!(json(&reading), r#"{"temperature":23.4}"#);
    reading.push(Name::new("state").unwrap(), Value::text("a\"b\\c").unwrap()).unwrap();
    assert_eq!(json(&reading), r#"{"temperature":23.4,"state":"a\"b\\c"}"#);
    reading.measurements.pop();
    (reading.boot, reading.sequence) = (Some(7), Some(42));
    assert_eq!(json(&reading), r#"{"boot":7,"seq":42,"values":{"temperature":23.4}}"#);
    reading.ts = Some(1_700_000_000_000);
    reading.measurements[0].unit = Some(Unit::try_from("°C").unwrap());
    let long = r#"{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.4},"units":{"temperature":"°C"}}"#;
    assert_eq!(json(&reading), long);
    assert_eq!(json(&Reading::<1>::new()), "{}");
}

#[test]
fn a_measurement_with_a_name_of_the_envelope_is_written_under_values() {
    let mut reading = Reading::<1>::new();
    reading.push(Name::new("ts").unwrap(), Value::Number(5.0)).unwrap();
    assert_eq!(json(&reading), r#"{"values":{"ts":5}}"#);
}

#[test]
fn numbers_take_few_digits() {
    for (number, text) in [
        (36.12, "36.12"),
        (35.0, "35"),
        (-0.0, "-0"),
        (1e-7, "0.0000001"),
        (1e-8, "1e-8"),
        (1e16, "10000000000000000"),
        (1e17, "1e17"),
        (f64::MAX, "1.7976931348623157e308"),
        (f64::NAN, "null"),
    ] {
        let mut written = String::new();
        Value::Number(number).write_json(&mut written).unwrap();
        assert_eq!(written, text);
    }
}

#[test]
fn a_full_buffer_is_an_error() {
    let reading = temperature(23.4);
    let whole = json(&reading).len();
    let mut small = heapless::String::<19>::new();
    assert!(whole > small.capacity() && reading.write_json(&mut small).is_err());
    let mut fits = heapless::String::<20>::new();
    assert!(whole == fits.capacity() && reading.write_json(&mut fits).is_ok());
}

#[test]
fn measurements_max_is_reached() {
    let mut reading = Reading::<MEASUREMENTS_MAX>::new();
    for n in 0..MEASUREMENTS_MAX {
        reading.push(Name::new(&format!("m{n}")).unwrap(), Value::Boolean(true)).unwrap();
    }
    let one_more = reading.push(Name::new("more").unwrap(), Value::Boolean(true));
    assert_eq!(one_more, Err(DoesNotFit::Full));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut reading = temperature(1.0);
    let again = reading.push(Name::new("temperature").unwrap(), Value::Number(2.0));
    assert_eq!(again, Err(DoesNotFit::Duplicate));
    let infinite = reading.push(Name::new("a").unwrap(), Value::Number(f64::INFINITY));
    assert_eq!(infinite, Err(DoesNotFit::NotFinite));
    assert!(Value::text(&"x".repeat(TEXT_LEN_MAX)).is_ok());
    assert_eq!(Value::text(&"x".repeat(TEXT_LEN_MAX + 1)), Err(DoesNotFit::Text));
    assert_eq!(Value::text("a\0"), Err(DoesNotFit::Text));
    assert_eq!(reading.measurements.len(), 1);
}

#[test]
fn device_id_len_max_is_reached() {
    assert!(DeviceId::new(&"x".repeat(DEVICE_ID_LEN_MAX)).is_ok());
    assert!(DeviceId::new(&"x".repeat(DEVICE_ID_LEN_MAX + 1)).is_err());
    assert!(["", "a b", "a/b", "a.b", "é"].into_iter().all(|text| DeviceId::new(text).is_err()));
}

#[test]
fn topics_mean_what_the_table_says() {
    let named = |lane, id, path| Topic::Named { lane, device: device(id), path };
    for (topic, meaning) in [
        ("telemetry", Topic::Own(Lane::Telemetry)),
        ("t", Topic::Own(Lane::Telemetry)),
        ("event", Topic::Own(Lane::Event)),
        ("e", Topic::Own(Lane::Event)),
        ("telemetry//d-1", named(Lane::Telemetry, "d-1", "")),
        ("t//d", named(Lane::Telemetry, "d", "")),
        ("event//d", named(Lane::Event, "d", "")),
        ("e//d", named(Lane::Event, "d", "")),
        ("telemetry/d", named(Lane::Telemetry, "d", "")),
        ("event/d/door/1", named(Lane::Event, "d", "door/1")),
        ("telemetry/d/", named(Lane::Telemetry, "d", "")),
        ("cmd/d", Topic::Command { device: Some(device("d")), path: "" }),
        ("cmd/d/req/1/open", Topic::Command { device: Some(device("d")), path: "req/1/open" }),
        ("command///res/17/200", Topic::Command { device: None, path: "res/17/200" }),
        ("command///other", Topic::Other),
        ("command/x", Topic::Other),
        ("telemetry/", Topic::Other),
        ("telemetry/not.a.device", Topic::Other),
        ("t/1", Topic::Other),
        ("e/", Topic::Other),
        ("telemetryx", Topic::Other),
        ("/telemetry", Topic::Other),
        ("plant/温度", Topic::Other),
    ] {
        assert_eq!(Topic::parse(topic), Ok(meaning), "{topic}");
    }
}

#[test]
fn topics_that_nobody_may_publish_to() {
    for (topic, problem) in [
        ("", InvalidTopic::Empty),
        ("a/+", InvalidTopic::Wildcard),
        ("#", InvalidTopic::Wildcard),
        ("a\0", InvalidTopic::Control),
        ("a\u{7f}", InvalidTopic::Control),
        ("a\u{85}", InvalidTopic::Control),
        ("$SYS/x", InvalidTopic::Dollar),
        ("$share/g/x", InvalidTopic::Dollar),
        ("telemetry//", InvalidTopic::Device),
        ("t//a.b", InvalidTopic::Device),
        ("telemetry//d/x", InvalidTopic::Device),
        ("cmd/", InvalidTopic::Device),
        ("cmd//req", InvalidTopic::Device),
    ] {
        assert_eq!(Topic::parse(topic), Err(problem), "{topic:?}");
    }
    assert!(Topic::parse("a\u{a0}").is_ok(), "no control character, though it has the same first byte");
    assert!(Topic::parse(&"x".repeat(TOPIC_LEN_MAX)).is_ok());
    assert_eq!(Topic::parse(&"x".repeat(TOPIC_LEN_MAX + 1)), Err(InvalidTopic::TooLong));
}

#[test]
fn lane_topic_len_max_is_reached() {
    let longest = device(&"x".repeat(DEVICE_ID_LEN_MAX));
    assert_eq!(LaneTopic::new(Lane::Telemetry, &longest).as_str().len(), topic::LANE_TOPIC_LEN_MAX);
    assert_eq!(LaneTopic::new(Lane::Event, &device("d")).as_str(), "event/d");
}

#[test]
fn commands_have_one_topic_for_everybody_else() {
    let command = CommandTopic { device: &device("d"), path: "req/1/open" };
    assert_eq!(command.to_string(), "cmd/d/req/1/open");
    assert_eq!(hono_command_path("command///req/#"), Some("req/#"));
    assert_eq!(hono_command_path("command///res/1/200"), Some("res/1/200"));
    assert_eq!(hono_command_path("command//d/req/#"), None);
}

fn reading() -> impl Strategy<Value = Reading> {
    let name = "[A-Za-z_][A-Za-z0-9_]{0,31}".prop_filter_map("reserved", |text| Name::new(&text).ok());
    let value = prop_oneof![
        prop::num::f64::ANY.prop_filter("finite", |n| n.is_finite()).prop_map(Value::Number),
        (-10_000i32..10_000).prop_map(|n| Value::Number(f64::from(n) / 100.0)),
        any::<bool>().prop_map(Value::Boolean),
        "\\PC{0,16}".prop_map(|text| Value::text(&text).unwrap()),
    ];
    let unit = prop::option::of("\\PC{1,4}".prop_map(|text| Unit::try_from(text.as_str()).unwrap()));
    let measurements = prop::collection::btree_map(name, (value, unit), 1..=MEASUREMENTS_MAX);
    let numbers = (any::<Option<u32>>(), any::<Option<u64>>(), any::<Option<u64>>());
    (measurements, numbers).prop_map(|(measurements, (boot, sequence, ts))| {
        let measurements =
            measurements.into_iter().map(|(name, (value, unit))| Measurement { name, value, unit });
        Reading { boot, sequence, ts, measurements: measurements.collect() }
    })
}

proptest! {
    #[test]
    fn numbers_are_written_in_the_fewest_digits(whole in any::<i32>(), decimals in 0..6) {
        let number = f64::from(whole) / 10_f64.powi(decimals);
        let mut written = String::new();
        Value::Number(number).write_json(&mut written).unwrap();
        prop_assert_eq!(written, number.to_string());
    }

    #[test]
    fn written_json_reads_back_as_the_same(reading in reading()) {
        prop_assert_eq!(read(&json(&reading)), reading);
    }

    #[test]
    fn any_text_is_a_name_a_value_a_device_and_a_topic_or_none(text in any::<String>()) {
        let topic = Topic::parse(&text);
        prop_assert_eq!(DeviceId::new(&text).map(|id| id.as_str() == text).unwrap_or(true), true);
        prop_assert_eq!(Value::text(&text).map(|value| value.to_string() == text).unwrap_or(true), true);
        if let Ok(name) = Name::new(&text) {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert!(topic.is_ok(), "a name is a topic of one level");
        }
    }

    #[test]
    fn any_json_string_reads_back(text in any::<String>()) {
        let mut written = String::new();
        write_json_string(&text, &mut written).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    #[test]
    fn topics_with_slashes_never_panic(text in "(telemetry|event|t|e|cmd|command|[a-z.$+\\PC]{0,3})(/{1,3}(req|res|[a-z.]{0,3})){0,4}") {
        if let Ok(topic) = Topic::parse(&text) {
            prop_assert_eq!(Topic::parse(&text), Ok(topic));
        }
    }
}
