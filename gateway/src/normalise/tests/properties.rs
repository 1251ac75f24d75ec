use proptest::prelude::*;
use tidegate_protocol::{MEASUREMENTS_MAX, Measurement, Reading, Unit, Value};

use super::*;

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z_][A-Za-z0-9_]{0,31}".prop_filter_map("reserved", |text| Name::new(&text).ok())
}

fn number_or_boolean() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::num::f64::ANY.prop_filter("finite", |n| n.is_finite()).prop_map(Value::Number),
        (-10_000i32..10_000).prop_map(|n| Value::Number(f64::from(n) / 100.0)),
        any::<bool>().prop_map(Value::Boolean),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![3 => number_or_boolean(), 1 => "\\PC{0,16}".prop_map(|text| Value::text(&text).unwrap())]
}

fn unit() -> impl Strategy<Value = Option<Unit>> {
    prop::option::of("\\PC{1,4}".prop_map(|text| Unit::try_from(text.as_str()).unwrap()))
}

fn reading() -> impl Strategy<Value = Reading> {
    let measurements = prop::collection::btree_map(name(), (value(), unit()), 1..=MEASUREMENTS_MAX);
    let numbers = (any::<Option<u32>>(), any::<Option<u64>>(), any::<Option<u64>>());
    (measurements, numbers).prop_map(|(measurements, (boot, sequence, ts))| {
        let measurements =
            measurements.into_iter().map(|(name, (value, unit))| Measurement { name, value, unit }).collect();
        Reading { boot, sequence, ts, measurements }
    })
}

/// Text that is nearly JSON, nearly a line, or nearly a topic.
fn near_miss() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\"",
        "\"ts\"",
        "\"boot\"",
        "\"seq\"",
        "\"values\"",
        "\"units\"",
        "\"KEYS\"",
        "\"in\"",
        "\"\\u0001\"",
        "\u{1}",
        "1",
        "-0",
        "1e999",
        "23.4",
        "true",
        "null",
        "\"",
        "\\",
        " ",
        "sensor_1",
        "telemetry",
        "event",
        "t",
        "e",
        "/",
        "//",
        "cmd",
        "command///req/",
        "plant/1/",
        "text/",
        "json",
        "split/",
        "raw",
        "+",
        "#",
        "$",
        "温度",
        "\u{85}",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

fn as_bytes(topic: &str, payload: &[u8]) -> Vec<u8> {
    [b"sensor_1\0", topic.as_bytes(), b"\0", payload].concat()
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same(readings in prop::collection::vec(reading(), 1..5)) {
        let mut text = String::from("[");
        for (index, reading) in readings.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "," });
            reading.write_json(&mut text).unwrap();
        }
        text.push(']');
        prop_assert_eq!(json::parse(text.as_bytes()).unwrap().to_vec(), readings.clone());
        let mut one = String::new();
        readings[0].write_json(&mut one).unwrap();
        prop_assert_eq!(json::parse(one.as_bytes()).unwrap().to_vec(), &readings[..1]);
    }

    #[test]
    fn a_text_body_reads_back_as_the_same(value in number_or_boolean()) {
        let payload = format!("sensor_1,{value}");
        let none = Routes::default();
        let message = normalise(&none, "telemetry", payload.as_bytes()).unwrap();
        prop_assert_eq!(&message.readings()[0].measurements[0].value, &value);
        let mut body = String::new();
        message.body_text(&message.parts().next().unwrap(), &mut body).unwrap();
        prop_assert_eq!(&body, &payload);
    }

    #[test]
    fn readings_survive_every_topic(reading in reading(), topic in near_miss()) {
        let mut payload = String::new();
        reading.write_json(&mut payload).unwrap();
        prop_assert_eq!(invariants::check_bytes(&as_bytes(&topic, payload.as_bytes())), Ok(()));
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert_eq!(invariants::check_bytes(&bytes), Ok(()));
    }

    #[test]
    fn near_misses_are_taken_or_refused(topic in near_miss(), payload in near_miss()) {
        prop_assert_eq!(invariants::check_bytes(&as_bytes(&topic, payload.as_bytes())), Ok(()));
    }

    #[test]
    fn cut_and_changed_payloads_are_taken_or_refused(
        reading in reading(), cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut payload = String::new();
        reading.write_json(&mut payload).unwrap();
        let mut bytes = payload.into_bytes();
        let at = cut.index(bytes.len());
        prop_assert_eq!(invariants::check_bytes(&as_bytes("telemetry", &bytes[..at])), Ok(()));
        bytes[at] = byte;
        prop_assert_eq!(invariants::check_bytes(&as_bytes("telemetry", &bytes)), Ok(()));
    }

    /// Only what would forge a name, speak for another device or use a topic that is not free is ever refused.
    #[test]
    fn without_routes_few_things_are_refused(payload in near_miss()) {
        let none = Routes::default();
        if let Err(reject) = normalise(&none, "telemetry", payload.as_bytes()) {
            prop_assert!(matches!(reject, Reject::Name | Reject::Device));
        }
    }

    #[test]
    fn a_topic_as_subscribers_see_it_means_the_same(topic in near_miss(), payload in near_miss()) {
        let none = Routes::default();
        if let Ok(message) = normalise(&none, &topic, payload.as_bytes()) {
            let again = normalise(&none, &message.topic, payload.as_bytes());
            prop_assert_eq!(again.as_ref(), Ok(&message));
        }
    }
}
