use std::fmt::Write;

use tidegate_protocol::{
    DEVICE_ID_LEN_MAX, MEASUREMENTS_MAX, NAME_LEN_MAX, TEXT_LEN_MAX, TOPIC_LEN_MAX, UNIT_LEN_MAX,
};

use super::*;

fn is_read(payload: &str) -> bool {
    normalise(&Routes::default(), "telemetry", payload.as_bytes()).unwrap().content != Content::Raw
}

fn object(measurements: usize) -> String {
    let members: Vec<_> = (0..measurements).map(|n| format!("\"m{n}\":{n}")).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn measurements_max_is_reached() {
    assert!(is_read(&object(MEASUREMENTS_MAX)));
    assert!(!is_read(&object(MEASUREMENTS_MAX + 1)));
}

#[test]
fn readings_max_is_reached() {
    let array = |n| format!("[{}]", vec!["{\"a\":1}"; n].join(","));
    assert!(is_read(&array(READINGS_MAX)));
    assert!(!is_read(&array(READINGS_MAX + 1)));
}

#[test]
fn texts_units_and_names_reach_their_limits() {
    for (form, max) in [("{{\"a\":\"{}\"}}", TEXT_LEN_MAX), ("{{\"{}\":1}}", NAME_LEN_MAX)] {
        let filled = |n: usize| form.replace("{{", "{").replace("}}", "}").replace("{}", &"x".repeat(n));
        assert!(is_read(&filled(max)));
        assert!(!is_read(&filled(max + 1)));
    }
    let unit = |n: usize| format!("{{\"values\":{{\"a\":1}},\"units\":{{\"a\":\"{}\"}}}}", "x".repeat(n));
    assert!(is_read(&unit(UNIT_LEN_MAX)));
    assert!(!is_read(&unit(UNIT_LEN_MAX + 1)));
    assert!(!is_read(&unit(0)));
}

#[test]
fn a_line_of_text_is_bounded() {
    let device = "d".repeat(DEVICE_ID_LEN_MAX);
    let id = DeviceId::new(&device).unwrap();
    let none = Routes::default();
    let content = |line: &str| {
        let input = Input {
            device: &id,
            topic: "telemetry",
            payload: line.as_bytes(),
            content_type: None,
            ts_gw: NOW_MS,
            known: Known::default(),
        };
        none.normalise(&input).map(|message| message.content != Content::Raw)
    };
    assert_eq!(content(&format!("{device},1.{}", "0".repeat(TEXT_LEN_MAX - 2))), Ok(true));
    assert_eq!(content(&format!("{device},1.{}", "0".repeat(TEXT_LEN_MAX - 1))), Ok(false));
    assert_eq!(content(&format!("1{}", " ".repeat(text::LINE_LEN_MAX - 1))), Ok(true));
    assert_eq!(content(&format!("1{}", " ".repeat(text::LINE_LEN_MAX))), Ok(false));
}

#[test]
fn topic_len_max_is_reached() {
    let none = Routes::default();
    assert!(normalise(&none, &"x".repeat(TOPIC_LEN_MAX), b"1").is_ok());
    let long = normalise(&none, &"x".repeat(TOPIC_LEN_MAX + 1), b"1").map(|_| ());
    assert_eq!(long, Err(Reject::Topic(InvalidTopic::TooLong)));
}

#[test]
fn routes_max_is_reached() {
    let configs = |n: usize| -> Vec<_> {
        (0..n).map(|n| RouteConfig { topic: format!("a/{n}/+"), ..RouteConfig::default() }).collect()
    };
    let routes = Routes::compile(&configs(ROUTES_MAX)).unwrap();
    let topic = format!("a/{}/x", ROUTES_MAX - 1);
    assert_eq!(normalise(&routes, &topic, b"1").unwrap().route, Some(ROUTES_MAX - 1));
    assert_eq!(Routes::compile(&configs(ROUTES_MAX + 1)).unwrap_err().route, ROUTES_MAX);
}

#[test]
fn deep_nesting_is_left_unread() {
    for bracket in ["[", "{\"a\":"] {
        assert!(!is_read(&bracket.repeat(100_000)));
    }
}

#[test]
fn a_payload_of_a_megabyte_is_left_unread() {
    let mut digits = String::from("1");
    write!(digits, "{}", "0".repeat(1 << 20)).unwrap();
    assert!(!is_read(&digits));
    assert!(!is_read(&format!("{{\"a\":\"{digits}\"}}")));
}
