use std::fmt::Write;

use tidegate_protocol::Lane;

use super::*;

const VECTORS: &str = include_str!("../../../../tests/vectors/payloads/shapes.json");

#[test]
fn every_vector_reads_as_it_says() {
    let vectors: Vec<serde_json::Value> = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors {
        let topic = vector.get("topic").map_or("telemetry", |topic| topic.as_str().unwrap());
        let payload = vector["payload"].as_str().unwrap();
        let routes = Routes::default();
        let outcome = normalise(&routes, topic, payload.as_bytes());
        match (vector.get("reads"), vector.get("reject")) {
            (Some(expected), _) => assert_eq!(written(&outcome.unwrap()), *expected, "{payload:?}"),
            (_, Some(code)) => assert_eq!(outcome.unwrap_err().code(), code.as_str().unwrap(), "{payload:?}"),
            _ => assert_eq!(outcome.unwrap().content, Content::Raw, "{payload:?}"),
        }
    }
}

pub(super) fn written(message: &Message<'_>) -> serde_json::Value {
    let mut text = String::from("[");
    for (index, reading) in message.readings().iter().enumerate() {
        text.push_str(if index == 0 { "{" } else { ",{" });
        reading.write_members(&mut text).unwrap();
        text.write_char('}').unwrap();
    }
    serde_json::from_str(&(text + "]")).unwrap()
}

#[test]
fn subscribers_see_the_device_in_native_topics() {
    let none = Routes::default();
    for (sent, seen, lane) in [
        ("telemetry", "telemetry/sensor_1", Lane::Telemetry),
        ("t", "telemetry/sensor_1", Lane::Telemetry),
        ("event", "event/sensor_1", Lane::Event),
        ("e", "event/sensor_1", Lane::Event),
        ("telemetry//sensor_1", "telemetry/sensor_1", Lane::Telemetry),
        ("e//sensor_1", "event/sensor_1", Lane::Event),
        ("telemetry/sensor_1", "telemetry/sensor_1", Lane::Telemetry),
        ("event/sensor_1/door", "event/sensor_1/door", Lane::Event),
        ("t/1", "t/1", Lane::Telemetry),
        ("plant/温度", "plant/温度", Lane::Telemetry),
        ("telemetry/not.a.device", "telemetry/not.a.device", Lane::Telemetry),
        ("cmd/sensor_2/req/1/open", "cmd/sensor_2/req/1/open", Lane::Event),
        ("command///res/17/200", "cmd/sensor_1/res/17/200", Lane::Event),
    ] {
        let message = normalise(&none, sent, b"23.4").unwrap();
        assert_eq!((&*message.topic, message.lane), (seen, lane), "{sent}");
        assert_eq!(message.device, *SENSOR);
    }
}

#[test]
fn commands_are_handed_on_unread() {
    let routes = routes("[[route]]\ntopic = '#'\nformat = 'json'").unwrap();
    let message = normalise(&routes, "command///res/17/200", b"23.4").unwrap();
    assert_eq!((message.content, message.route), (Content::Raw, None));
    assert_eq!(message.tag, COMMAND_TAG);
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let none = Routes::default();
    for payload in [&b"\xff\xfe"[..], b"{\"a\":\"\xff\"}", b"\x01{\"a\":1}", b"{\xff\x01}", b"\xa1\x61a\x01"]
    {
        assert_eq!(normalise(&none, "telemetry", payload).unwrap().content, Content::Raw);
    }
}

#[test]
fn codes_and_sentences_of_rejects() {
    let rejects =
        [Reject::Topic(InvalidTopic::Empty), Reject::Device, Reject::Name, Reject::Format, Reject::Range];
    assert_eq!(rejects.map(Reject::code), ["topic", "device", "name", "format", "range"]);
    assert_eq!(rejects[0].to_string(), "the topic is empty");
}
