use super::*;

const RECORD_UID: &str = "sensor_1/g3/t17";

/// Output topic, tag, id and body of every part.
fn sent(routes: &Routes, topic: &str, payload: &str) -> Vec<[String; 4]> {
    let message = normalise(routes, topic, payload.as_bytes()).unwrap();
    let part = |part: Part<'_>| {
        let (mut uid, mut body) = (String::new(), Vec::new());
        message.write_uid(&part, RECORD_UID, &mut uid).unwrap();
        message.write_body(&part, RECORD_UID, payload.as_bytes(), &mut body);
        [part.output_topic.to_string(), part.tag.to_string(), uid, String::from_utf8(body).unwrap()]
    };
    message.parts().map(part).collect()
}

#[test]
fn by_default_a_single_number_is_a_line_and_several_are_json() {
    let none = Routes::default();
    for (topic, payload, expected) in [
        ("t", "{\"temperature\":36.12}", ["iot-topic", "temperature", RECORD_UID, "sensor_1,36.12"]),
        ("t", "sensor_1,36.120", ["iot-topic", "temperature", RECORD_UID, "sensor_1,36.12"]),
        ("e", "{\"temperature\":36}", ["iot-topic", "temperature", RECORD_UID, "sensor_1,36"]),
        (
            "t",
            "{\"boot\":7,\"seq\":42,\"temperature\":36.12}",
            ["iot-topic", "temperature", "sensor_1/7/42", "sensor_1,36.12"],
        ),
        (
            "t",
            "{\"boot\":7,\"seq\":42,\"ts\":5,\"values\":{\"a\":1,\"b\":true}}",
            [
                "iot-device-topic",
                "telemetry",
                "sensor_1/7/42",
                r#"{"uid":"sensor_1/7/42","device":"sensor_1","boot":7,"seq":42,"ts":5,"values":{"a":1,"b":true}}"#,
            ],
        ),
        (
            "e",
            "{\"door\":\"open\"}",
            [
                "iot-device-topic",
                "event",
                RECORD_UID,
                r#"{"uid":"sensor_1/g3/t17","device":"sensor_1","values":{"door":"open"}}"#,
            ],
        ),
        ("t", "hello", ["iot-device-topic", "raw", RECORD_UID, "hello"]),
        ("cmd/sensor_1/res/1/200", "done", ["iot-device-topic", "command", RECORD_UID, "done"]),
    ] {
        assert_eq!(sent(&none, topic, payload), [expected], "{payload}");
    }
}

#[test]
fn readings_of_an_array_have_an_id_each() {
    let none = Routes::default();
    let payload = r#"[{"boot":7,"seq":42,"a":1},{"ts":5,"a":2}]"#;
    let body = r#"{"uid":"sensor_1/g3/t17","device":"sensor_1","readings":[{"uid":"sensor_1/7/42","boot":7,"seq":42,"values":{"a":1}},{"uid":"sensor_1/g3/t17/1","ts":5,"values":{"a":2}}]}"#;
    assert_eq!(sent(&none, "t", payload), [["iot-device-topic", "telemetry", RECORD_UID, body]]);
    let message = normalise(&none, "t", payload.as_bytes()).unwrap();
    assert_eq!(message.reading_uids(RECORD_UID), ["sensor_1/7/42", "sensor_1/g3/t17/1"]);
    assert_eq!((message.numbers(), message.ts()), (None, None));
}

#[test]
fn numbers_and_time_of_a_single_reading_go_to_its_record() {
    let none = Routes::default();
    let message = normalise(&none, "t", br#"{"boot":7,"seq":42,"ts":5,"a":1}"#).unwrap();
    assert_eq!((message.numbers(), message.ts()), (Some((7, 42)), Some(5)));
    assert_eq!(normalise(&none, "t", br#"{"seq":42,"a":1}"#).unwrap().numbers(), None);
}

#[test]
fn split_makes_one_message_a_measurement() {
    let routes = routes("[[route]]\ntopic = 'x'\nsplit = true\ntag = 'm.{measurement}'").unwrap();
    let payload = r#"[{"boot":7,"seq":42,"a":1,"b":"on"},{"a":3}]"#;
    let json = r#"{"uid":"sensor_1/7/42/b","device":"sensor_1","boot":7,"seq":42,"values":{"b":"on"}}"#;
    assert_eq!(
        sent(&routes, "x", payload),
        [
            ["iot-topic", "m.a", "sensor_1/7/42/a", "sensor_1,1"],
            ["iot-device-topic", "m.b", "sensor_1/7/42/b", json],
            ["iot-topic", "m.a", "sensor_1/g3/t17/1/a", "sensor_1,3"],
        ]
    );
    assert_eq!(sent(&routes, "x", "hello"), [["iot-device-topic", "m.raw", RECORD_UID, "hello"]]);
}

#[test]
fn a_route_may_take_the_device_time_as_id() {
    let routes = routes("[[route]]\ntopic = 'x'\nid = 'device-ts'").unwrap();
    let uid = |payload| sent(&routes, "x", payload)[0][2].clone();
    assert_eq!(uid(r#"{"ts":1700000000000,"a":1}"#), "sensor_1/@1700000000000");
    assert_eq!(uid(r#"{"boot":7,"seq":42,"ts":1700000000000,"a":1}"#), "sensor_1/7/42");
    assert_eq!(uid(r#"{"a":1}"#), RECORD_UID);
}

#[test]
fn bodies_follow_the_route() {
    let body = |form: &str, payload: &str| {
        let routes = routes(&format!("[[route]]\ntopic = 'x'\nbody = '{form}'\nunit = 'V'")).unwrap();
        sent(&routes, "x", payload)[0][3].clone()
    };
    assert_eq!(body("text", r#"{"a":1,"b":"on"}"#), "sensor_1,a,1\nsensor_1,b,on");
    assert_eq!(body("raw", r#"{"a":1.50}"#), r#"{"a":1.50}"#);
    assert_eq!(
        body("json", r#"{"a":1.50}"#),
        r#"{"uid":"sensor_1/g3/t17","device":"sensor_1","values":{"a":1.5},"units":{"a":"V"}}"#
    );
    assert_eq!(body("text", "hello\n"), "hello\n");
    assert_eq!(
        body("json", "say \"hi\"\n"),
        r#"{"uid":"sensor_1/g3/t17","device":"sensor_1","text":"say \"hi\"\u000a"}"#
    );
}

#[test]
fn bytes_in_json_are_hexadecimal() {
    let none = Routes::default();
    let message = normalise(&none, "t", b"\xff\x00").unwrap();
    let mut part = message.parts().next().unwrap();
    part.body = BodyForm::Json;
    let mut body = Vec::new();
    message.write_body(&part, RECORD_UID, b"\xff\x00", &mut body);
    assert_eq!(body, br#"{"uid":"sensor_1/g3/t17","device":"sensor_1","hex":"ff00"}"#);
}
