use proptest::prelude::*;
use tidegate_protocol::Value;

use super::{shapes::written, *};

const VECTORS: &str = include_str!("../../../../tests/vectors/payloads/senml.json");
const JSON: Option<&str> = Some("application/senml+json");
const CBOR: Option<&str> = Some("application/senml+cbor");

/// What sensor_1 gets for `payload`; the invariants hold for it too.
fn read<'a>(
    routes: &'a Routes,
    topic: &'a str,
    content_type: Option<&'a str>,
    payload: &'a [u8],
) -> Result<Message<'a>, Reject> {
    let input =
        Input { device: &SENSOR, topic, payload, content_type, ts_gw: NOW_MS, known: Known::default() };
    invariants::check(routes, &input).unwrap();
    routes.normalise(&input)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The examples of RFC 8428 section 5.1 and 6 come first.
#[test]
fn every_vector_reads_as_it_says() {
    let vectors: Vec<serde_json::Value> = serde_json::from_str(VECTORS).unwrap();
    let none = Routes::default();
    for vector in vectors {
        let text = |key: &str| vector.get(key).map(|text| text.as_str().unwrap());
        let payload = text("hex").map_or_else(|| text("payload").unwrap().as_bytes().to_vec(), bytes);
        let outcome = read(&none, text("topic").unwrap_or("telemetry"), text("type"), &payload);
        match (vector.get("reads"), text("reject"), text("code")) {
            (Some(expected), ..) => assert_eq!(written(&outcome.unwrap()), *expected, "{vector}"),
            (_, Some(fault), _) => {
                assert_eq!(outcome.unwrap_err().to_string(), format!("SenML: {fault}"), "{vector}");
            }
            (.., Some(code)) => assert_eq!(outcome.unwrap_err().code(), code, "{vector}"),
            _ => assert_eq!(outcome.unwrap().content, Content::Raw, "{vector}"),
        }
    }
}

#[test]
fn a_base_name_may_name_another_device_where_nothing_else_does() {
    let none = Routes::default();
    let pack = br#"[{"bn":"pump_3:","n":"pressure","v":1.5}]"#;
    let message = read(&none, "telemetry", JSON, pack).unwrap();
    assert_eq!((message.device.as_str(), &*message.topic), ("pump_3", "telemetry/pump_3"));
    assert_eq!(message.readings()[0].measurements[0].name.as_str(), "pressure");
    assert_eq!(read(&none, "telemetry//sensor_1", JSON, pack).unwrap_err(), Reject::Device);

    let named = routes("[[route]]\ntopic = 'a/{device}'").unwrap();
    assert_eq!(read(&named, "a/pump_4", JSON, pack).unwrap_err(), Reject::Device);
    let own = read(&named, "a/pump_3", JSON, pack).unwrap();
    assert_eq!(own.readings()[0].measurements[0].name.as_str(), "pressure");
    let fixed = routes("[[route]]\ntopic = 'a'\ndevice = 'machine'").unwrap();
    assert_eq!(read(&fixed, "a", JSON, pack).unwrap_err(), Reject::Device);
    let payload = routes("[[route]]\ntopic = 'a'\nformat = 'senml'\ndevice = '{payload}'").unwrap();
    assert_eq!(read(&payload, "a", None, pack).unwrap().device.as_str(), "pump_3");
}

#[test]
fn a_route_demands_a_pack_whatever_the_content_type() {
    let routes =
        routes("[[route]]\ntopic = 'a'\nformat = 'senml'\nmeasurement = 'level'\nscale = 10").unwrap();
    let level = |content_type, payload: &[u8]| {
        let message = read(&routes, "a", content_type, payload)?;
        Ok::<_, Reject>(message.readings()[0].get("level").unwrap().value.as_number().unwrap())
    };
    for content_type in [None, Some("text/plain"), JSON] {
        assert_eq!(level(content_type, br#" [{"v":1.5}]"#), Ok(15.0));
    }
    for content_type in [None, Some("application/octet-stream"), CBOR] {
        assert_eq!(level(content_type, b"\x81\xa1\x02\x02"), Ok(20.0));
    }
    assert_eq!(level(None, b"23.4"), Err(Reject::Senml(senml::Fault::Pack)));
    assert_eq!(level(CBOR, br#"[{"v":1.5}]"#), Err(Reject::Senml(senml::Fault::Pack)));
}

fn pack_of(records: usize, record: impl Fn(usize) -> String) -> Vec<u8> {
    format!("[{}]", (0..records).map(record).collect::<Vec<_>>().join(",")).into_bytes()
}

#[test]
fn records_max_is_reached() {
    let none = Routes::default();
    let pack = |records| pack_of(records, |n| format!(r#"{{"n":"m{}","t":{},"v":1}}"#, n % 32, n / 32));
    let message = read(&none, "telemetry", JSON, &pack(senml::RECORDS_MAX)).unwrap().readings().len();
    assert_eq!(message, senml::RECORDS_MAX / 32);
    let more = read(&none, "telemetry", JSON, &pack(senml::RECORDS_MAX + 1)).unwrap_err();
    assert_eq!(more, Reject::Senml(senml::Fault::TooMany));
}

#[test]
fn readings_max_is_reached() {
    let none = Routes::default();
    let pack = |records| pack_of(records, |_| r#"{"n":"same","v":1}"#.to_owned());
    assert_eq!(read(&none, "telemetry", JSON, &pack(READINGS_MAX)).unwrap().readings().len(), READINGS_MAX);
    let more = read(&none, "telemetry", JSON, &pack(READINGS_MAX + 1)).unwrap_err();
    assert_eq!(more, Reject::Senml(senml::Fault::TooMany));
}

#[test]
fn a_full_reading_is_followed_by_another_of_its_time() {
    let none = Routes::default();
    let pack = pack_of(33, |n| format!(r#"{{"n":"m{n}","t":1e9,"v":1}}"#));
    let message = read(&none, "telemetry", JSON, &pack).unwrap();
    let lens: Vec<_> = message.readings().iter().map(|reading| reading.measurements.len()).collect();
    assert_eq!(lens, [32, 1]);
}

#[test]
fn depth_max_of_cbor_is_reached() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0x01]].concat();
    assert!(cbor::to_json(&nested(cbor::DEPTH_MAX), |_| None).is_some());
    assert!(cbor::to_json(&nested(cbor::DEPTH_MAX + 1), |_| None).is_none());
    assert!(cbor::to_json(&nested(100_000), |_| None).is_none());
}

#[test]
fn deep_json_in_a_field_that_nobody_knows_is_passed_over() {
    let none = Routes::default();
    let deep = format!(r#"[{{"n":"a","v":1,"x":{}{}}}]"#, "[".repeat(100), "]".repeat(100));
    assert_eq!(read(&none, "telemetry", JSON, deep.as_bytes()).unwrap().readings().len(), 1);
    let endless = format!(r#"[{{"n":"a","v":1,"x":{}"#, "[".repeat(100_000));
    let unfit = read(&none, "telemetry", JSON, endless.as_bytes()).unwrap_err();
    assert_eq!(unfit, Reject::Senml(senml::Fault::Pack));
}

#[test]
fn any_cut_of_a_pack_is_refused() {
    let none = Routes::default();
    let pack = bytes("9fbf00616102182affff");
    assert!(read(&none, "telemetry", CBOR, &pack).is_ok());
    for len in 0..pack.len() {
        assert!(read(&none, "telemetry", CBOR, &pack[..len]).is_err(), "{len}");
    }
}

/// A record as a device would write it, without base fields.
#[derive(Clone, Debug)]
struct Sent {
    name: String,
    value: Value,
    unit: Option<String>,
    second: u32,
}

fn sent() -> impl Strategy<Value = Sent> {
    let value = prop_oneof![
        prop::num::f64::ANY.prop_filter("finite", |n| n.is_finite()).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        "[ -~]{0,20}".prop_map(|text| Value::text(&text).unwrap()),
    ];
    let unit = prop::option::of("[A-Za-z%/]{1,8}");
    ("m[a-z0-9]{0,7}_x", value, unit, 1_000_000_000..1_000_000_004_u32)
        .prop_map(|(name, value, unit, second)| Sent { name, value, unit, second })
}

fn as_json(records: &[Sent]) -> Vec<u8> {
    let record = |sent: &Sent| {
        let mut record = serde_json::json!({"n": sent.name, "t": sent.second});
        let (label, value) = match &sent.value {
            Value::Number(number) => ("v", (*number).into()),
            Value::Boolean(value) => ("vb", (*value).into()),
            Value::Text(text) => ("vs", text.as_str().into()),
        };
        record[label] = value;
        if let Some(unit) = &sent.unit {
            record["u"] = unit.as_str().into();
        }
        record
    };
    serde_json::to_vec(&records.iter().map(record).collect::<Vec<_>>()).unwrap()
}

fn as_cbor(records: &[Sent]) -> Vec<u8> {
    let mut writer = minicbor::Encoder::new(Vec::new());
    writer.array(records.len() as u64).unwrap();
    for sent in records {
        writer.map(3 + u64::from(sent.unit.is_some())).unwrap();
        writer.u8(0).unwrap().str(&sent.name).unwrap().u8(6).unwrap().u32(sent.second).unwrap();
        match &sent.value {
            Value::Number(number) => writer.u8(2).unwrap().f64(*number).unwrap(),
            Value::Boolean(value) => writer.u8(4).unwrap().bool(*value).unwrap(),
            Value::Text(text) => writer.u8(3).unwrap().str(text).unwrap(),
        };
        if let Some(unit) = &sent.unit {
            writer.u8(1).unwrap().str(unit).unwrap();
        }
    }
    writer.into_writer()
}

proptest! {
    #[test]
    fn every_value_sent_is_read_at_its_time(records in prop::collection::vec(sent(), 1..40)) {
        let none = Routes::default();
        let (json, cbor) = (as_json(&records), as_cbor(&records));
        let message = read(&none, "telemetry", JSON, &json).unwrap();
        prop_assert_eq!(&message.content, &read(&none, "telemetry", CBOR, &cbor).unwrap().content);
        prop_assert_eq!(&message.content, &read(&none, "telemetry", None, &json).unwrap().content);
        let mut left: Vec<_> = message
            .readings()
            .iter()
            .flat_map(|reading| reading.measurements.iter().map(|m| (reading.ts, m.clone())))
            .collect();
        for sent in &records {
            let same = |(ts, m): &(Option<u64>, tidegate_protocol::Measurement)| {
                *ts == Some(u64::from(sent.second) * 1000)
                    && (m.name.as_str(), &m.value) == (&*sent.name, &sent.value)
                    && m.unit.as_deref() == sent.unit.as_deref()
            };
            let at = left.iter().position(same);
            prop_assert!(at.is_some(), "{:?} is not in {:?}", sent, left);
            left.swap_remove(at.unwrap());
        }
        prop_assert!(left.is_empty());
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        prop_assert_eq!(invariants::check_senml(&bytes), Ok(()));
    }

    #[test]
    fn cut_and_changed_packs_are_taken_or_refused(
        records in prop::collection::vec(sent(), 1..4), choice in 0..8_u8,
        cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        for payload in [as_json(&records), as_cbor(&records)] {
            let mut bytes = [vec![choice], payload].concat();
            let at = cut.index(bytes.len());
            prop_assert_eq!(invariants::check_senml(&bytes[..at]), Ok(()));
            bytes[at] = byte;
            prop_assert_eq!(invariants::check_senml(&bytes), Ok(()));
        }
    }
}
