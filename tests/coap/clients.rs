//! The clients of libcoap and aiocoap.

use std::time::Duration;

use tidegate_tests::{
    Gateway, Login, Outcome, aiocoap_client,
    coap::{CONTENT_FORMAT, Code, Datagram, Kind, URI_PATH},
    coap_client, eventually,
};

use crate::{READING, Rig, delivered_lines, stored};

#[test]
fn coap_client_posts_confirmable_and_not() {
    let rig = Rig::start();
    for (number, path) in (20..).zip(["telemetry", "t", "event", "e"]) {
        let payload = format!(r#"{{"temperature":{number}.5,"at":"{path}"}}"#);
        let con =
            coap_client(&rig.gateway, &rig.gateway.device, "post", path, &["-t", "json", "-e", &payload]);
        assert_answered(&con, "t:ACK c:2.04");
        let payload = format!(r#"{{"temperature":{number}.25,"at":"{path}"}}"#);
        let words = ["-N", "-t", "json", "-e", &payload];
        let non = coap_client(&rig.gateway, &rig.gateway.device, "post", path, &words);
        assert_answered(&non, "t:NON c:2.04");
    }
    let shown = tail(&rig.gateway, 8);
    for number in 20..24 {
        for part in [format!("{number}.5"), format!("{number}.25")] {
            assert!(shown.contains(&part), "no {part} in:\n{shown}");
        }
    }
    let events = rig.gateway.command(&["tail", "--from", "oldest", "-n", "4", "--lane", "event"]);
    assert!(events.contains("22.5") && events.contains("23.25") && !events.contains("20.5"), "{events}");
    assert_eq!(stored(&rig.gateway), 8);
}

#[test]
fn aiocoap_client_posts_confirmable_and_not() {
    let rig = Rig::start();
    let json = ["--content-format", "application/json", "--payload"];
    let words = [&json[..], &[r#"{"temperature":24.5}"#]].concat();
    let con = aiocoap_client(&rig.gateway, &rig.gateway.device, "POST", "telemetry", &words);
    assert_answered(&con, "2.04 Changed");
    let words = [&["--non"], &json[..], &[r#"{"temperature":24.25}"#]].concat();
    let non = aiocoap_client(&rig.gateway, &rig.gateway.device, "POST", "telemetry", &words);
    assert_answered(&non, "2.04 Changed");
    let shown = tail(&rig.gateway, 2);
    assert!(shown.contains("24.5") && shown.contains("24.25"), "{shown}");
}

#[test]
fn records_and_status_say_which_quality() {
    let rig = Rig::start();
    let send = |words: &[&str]| {
        let words = [&["-t", "json", "-e", r#"{"temperature":21}"#], words].concat();
        assert_answered(
            &coap_client(&rig.gateway, &rig.gateway.device, "post", "telemetry", &words),
            "c:2.04",
        );
    };
    send(&["-N"]);
    eventually("status names who sends NON only, and so has no promise", || {
        rig.gateway.status()["connections"]["qos0_only"].to_string().contains("sensor_1").then_some(())
    });
    send(&[]);
    let lines = eventually("both are delivered", || {
        Some(delivered_lines(&rig.gateway.out())).filter(|lines| lines.len() == 2)
    });
    for (line, qos) in lines.iter().zip([0, 1]) {
        assert_eq!((&line["protocol"], &line["qos"]), (&"coap".into(), &qos.into()), "{line}");
    }
}

#[test]
fn clients_are_told_what_is_wrong() {
    let rig = Rig::start();
    let right = &rig.gateway.device;
    let guess = |user: &str| Login { user: user.to_owned(), password: "wrong".to_owned() };
    let json = ["-t", "json", "-e", r#"{"temperature":21}"#];
    let asked = [
        (&guess("sensor_1"), "post", "telemetry", "4.01"),
        (&guess("nobody"), "post", "telemetry", "4.01"),
        (right, "post", "telemetry//sensor_2", "4.03"),
        (right, "post", "no/such/path", "4.04"),
        (right, "put", "telemetry", "4.05"),
        (right, "delete", "telemetry", "4.05"),
    ];
    for (login, method, path, code) in asked {
        let outcome = coap_client(&rig.gateway, login, method, path, &json);
        assert_answered(&outcome, &format!("t:ACK c:{code}"));
        let payload = ["--payload", "x"];
        let outcome = aiocoap_client(&rig.gateway, login, &method.to_uppercase(), path, &payload);
        assert!(outcome.printed.contains(code), "{method} {path}: {outcome:?}");
    }
    // An option of 65001 is critical and unknown (RFC 7252, section 5.4.1).
    let outcome =
        coap_client(&rig.gateway, right, "post", "telemetry", &[&["-O", "65001,x"], &json[..]].concat());
    assert_answered(&outcome, "t:ACK c:4.02");
    assert_eq!(stored(&rig.gateway), 0);
}

#[test]
fn what_there_is_can_be_discovered() {
    let rig = Rig::start();
    let listed = coap_client(&rig.gateway, &rig.gateway.device, "get", ".well-known/core", &[]);
    assert_answered(&listed, "c:2.05");
    for path in ["</telemetry>", "</event>", "</t>", "</e>"] {
        assert!(listed.printed.contains(path), "{listed:?}");
    }
    let listed = aiocoap_client(&rig.gateway, &rig.gateway.device, "GET", ".well-known/core", &[]);
    assert!(listed.printed.contains("</telemetry>"), "{listed:?}");
    // Whoever asks need not say who it is.
    let mut client = rig.client();
    let request = client.request(Kind::Con, Code::GET).to(".well-known/core", None);
    let answer = client.exchange(&request).response;
    assert_eq!((answer.code, answer.kind), (Code(0x45), Kind::Ack), "{answer:?}");
    assert_eq!(answer.uint(CONTENT_FORMAT), Some(40), "application/link-format");
}

#[test]
fn a_ping_is_answered_with_a_reset() {
    let rig = Rig::start();
    let mut client = rig.client();
    for _ in 0..100 {
        assert!(client.ping());
    }
    // A non-confirmable empty message asks for nothing.
    client.send(&Datagram::bare(Kind::Non, Code::EMPTY, 7).bytes());
    if let Some(answer) = client.receive(Duration::from_millis(300)) {
        assert_eq!(answer, Datagram::bare(Kind::Rst, Code::EMPTY, 7));
    }
}

#[test]
fn a_path_with_a_route_is_a_topic() {
    let mut gateway = Gateway::make();
    gateway.configure(
        "# [[route]]",
        "[[route]]\ntopic = \"plant/+/{device}\"\nmeasurement = \"level\"\nformat = \"text\"\nrange = [0.0, 9.0]\n\n# [[route]]",
    );
    let rig = Rig::with(gateway);
    let post = |payload: &[u8]| {
        let mut client = rig.client();
        let mut request =
            client.request(Kind::Con, Code::POST).to("plant/7/sensor_1", Some(&rig.gateway.device));
        request.payload = payload.to_vec();
        client.exchange(&request).response
    };
    assert_eq!(post(b"5.5").code.to_string(), "2.04");
    assert_eq!(post(b"50").code.to_string(), "4.00", "what a route can never take");
    let shown = rig.gateway.command(&["tail", "--from", "oldest", "-n", "1"]);
    assert!(shown.contains("level") && shown.contains("5.5"), "{shown}");
    let shown = rig.gateway.command(&["device", "show", "sensor_1"]);
    assert!(shown.contains("range"), "device show names the last reject: {shown}");
    assert_eq!(stored(&rig.gateway), 1, "who was told 4.00 leaves no reject behind");
}

#[test]
fn secrets_in_a_query_are_not_logged() {
    let mut gateway = Gateway::make();
    gateway.configure(r#"level = "info""#, r#"level = "trace""#);
    let mut rig = Rig::with(gateway);
    let guess = Login { user: "sensor_1".to_owned(), password: "a-secret-that-is-wrong".to_owned() };
    for login in [&rig.gateway.device, &guess] {
        for path in ["telemetry", "no/such/path"] {
            coap_client(&rig.gateway, login, "post", path, &["-e", "x"]);
        }
    }
    let bad = rig.post("telemetry").with(URI_PATH, b"\xff").with(9, b"x");
    rig.ask(&bad);
    rig.assert_well();
    let log = rig.gateway.log();
    assert!(log.contains("sensor_1"), "the log is not as chatty as it was asked to be:\n{log}");
    for secret in [&rig.gateway.device.password, &guess.password, &rig.other.password] {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
    assert!(!log.contains(std::str::from_utf8(READING).expect("text")), "a payload is in the log");
}

fn assert_answered(outcome: &Outcome, wanted: &str) {
    assert!(
        outcome.printed.contains(wanted),
        "no `{wanted}`: {}\n{}",
        outcome.output.status,
        outcome.printed
    );
}

fn tail(gateway: &Gateway, count: usize) -> String {
    gateway.command(&["tail", "--from", "oldest", "-n", &count.to_string(), "--json"])
}
