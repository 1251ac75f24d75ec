//! CONNECT, login, CONNACK, takeover, stop and last will.

use super::client::{ConnectParts, DISCONNECT, Frames, block, field, frame, puback};
use super::*;

/// Sends a CONNECT and returns the answer and the reason of the end, if it was one.
fn connect(bytes: &[u8]) -> (Vec<u8>, Option<Reason>) {
    let mut gateway = Gateway::new(Limits::default());
    let out = gateway.send(bytes);
    (out, gateway.session.end().map(|end| end.reason))
}

fn parts(version: Version) -> ConnectParts<'static> {
    Frames(version).connect_parts("client")
}

#[test]
fn a_client_comes_in() {
    for version in BOTH {
        let mut gateway = Gateway::new(Limits::default());
        let connack = gateway.send(&Frames(version).connect("sensor_1"));
        let Some(Uplink::Connect(connect)) = gateway.seen.first() else { panic!("a connect") };
        assert_eq!(
            (connect.version, &*connect.client_id, connect.user.as_deref()),
            (version, "sensor_1", Some("user"))
        );
        assert_eq!(connect.password.as_deref(), Some(&b"secret"[..]));
        assert!(!format!("{connect:?}").contains("secret"));
        assert!(connect.clean_start && gateway.session.wants_bytes() && !gateway.session.is_closed());
        assert_eq!(gateway.session.version(), Some(version));
        if version == Version::V311 {
            assert_eq!(connack, [0x20, 2, 0, 0]);
        }
    }
}

#[test]
fn mqtt_5_is_told_what_there_is() {
    let mut gateway = Gateway::new(Limits { keep_alive_s_max: 600, ..Limits::default() });
    let mut parts = Frames(Version::V5).connect_parts("");
    parts.keep_alive_s = 601;
    let properties = [
        &[0x11, 0, 0, 0, 0, 0x21, 1, 0, 0x24, 1, 0x25, 0, 0x27, 0, 4, 0, 0][..],
        &[0x22, 0, 8, 0x29, 0, 0x2A, 0, 0x13, 2, 88],
        &[&[0x12][..], &field(b"auto-1")].concat(),
    ]
    .concat();
    assert_eq!(gateway.send(&parts.bytes()), frame(0x20, &[&[0, 0][..], &block(&properties)].concat()));
}

#[test]
fn the_server_keep_alive_is_told_only_where_it_differs() {
    let told = |keep_alive_s| {
        let mut gateway = Gateway::new(Limits { keep_alive_s_max: 600, ..Limits::default() });
        let connack = gateway.send(&ConnectParts { keep_alive_s, ..parts(Version::V5) }.bytes());
        let at = connack.windows(3).position(|window| window == [0x13, 2, 88]);
        (at.is_some(), gateway.session.poll_timeout())
    };
    assert_eq!(told(600), (false, Some(900_000)));
    assert_eq!(told(60), (false, Some(90_000)));
    assert_eq!(told(601), (true, Some(900_000)));
    assert_eq!(told(0), (true, Some(900_000)));
}

#[test]
fn other_versions_are_told_so() {
    let with = |name, level| ConnectParts { name, level, ..parts(Version::V311) }.bytes();
    assert_eq!(connect(&with(b"MQIsdp", 3)), (vec![0x20, 2, 0, 1], Some(Reason::UnsupportedVersion)));
    assert_eq!(connect(&with(b"MQTT", 3)), (vec![0x20, 2, 0, 1], Some(Reason::UnsupportedVersion)));
    assert_eq!(connect(&with(b"MQTT", 6)), (vec![0x20, 3, 0, 0x84, 0], Some(Reason::UnsupportedVersion)));
    assert_eq!(connect(&with(b"AMQP", 4)), (vec![], Some(Reason::ProtocolError)));
}

#[test]
fn an_empty_client_id() {
    let with = |version, flags| ConnectParts { client_id: "", flags, ..parts(version) }.bytes();
    assert_eq!(
        connect(&with(Version::V311, 0b1100_0000)),
        (vec![0x20, 2, 0, 2], Some(Reason::ClientIdInvalid))
    );
    assert_eq!(connect(&with(Version::V311, 0b1100_0010)), (vec![0x20, 2, 0, 0], None));
    for flags in [0b1100_0000, 0b1100_0010] {
        let mut gateway = Gateway::new(Limits::default());
        let connack = gateway.send(&with(Version::V5, flags));
        assert!(connack.ends_with(b"\x12\0\x06auto-1"));
        let Some(Uplink::Connect(connect)) = gateway.seen.first() else { panic!("a connect") };
        assert_eq!(connect.clean_start, flags & 0b10 != 0);
    }
    let mut session = Session::new(Arc::default(), 0);
    session.handle_bytes(&with(Version::V5, 0b1100_0010), 0);
    assert!(session.poll_uplink().is_some());
    session.handle_login(Ok(Accepted::default()), 0);
    assert_eq!(
        session.end().unwrap().reason,
        Reason::ClientIdInvalid,
        "MQTT 5 must be told the id it was given"
    );
}

#[test]
fn a_client_id_that_is_not_acceptable() {
    let long = "x".repeat(257);
    for client_id in ["a/+", "#", "tab\t", long.as_str()] {
        for (version, answer) in
            [(Version::V311, vec![0x20, 2, 0, 2]), (Version::V5, vec![0x20, 3, 0, 0x85, 0])]
        {
            let out = connect(&Frames(version).connect(client_id));
            assert_eq!(out, (answer, Some(Reason::ClientIdInvalid)), "{client_id}");
        }
    }
    for client_id in ["mosq-a/b", "温度", "a b", &long[..256]] {
        assert_eq!(connect(&Frames(Version::V5).connect(client_id)).1, None);
    }
}

#[test]
fn a_refused_login_gets_its_code() {
    let cases = [
        (Refusal::BadCredentials, 4, 0x86),
        (Refusal::NotAuthorized, 5, 0x87),
        (Refusal::ClientIdInvalid, 2, 0x85),
        (Refusal::Banned, 5, 0x8A),
        (Refusal::Unavailable, 3, 0x88),
        (Refusal::Busy, 3, 0x89),
        (Refusal::RateExceeded, 3, 0x9F),
        (Refusal::QuotaExceeded, 3, 0x97),
    ];
    for (refusal, return_code, code) in cases {
        for (version, answer) in
            [(Version::V311, vec![0x20, 2, 0, return_code]), (Version::V5, vec![0x20, 3, 0, code, 0])]
        {
            let mut gateway = Gateway::new(Limits::default());
            gateway.login = Err(refusal);
            let publish = Frames(version).publish("t", 1, b"");
            assert_eq!(gateway.send(&[Frames(version).connect("client"), publish].concat()), answer);
            assert!(gateway.session.is_closed());
            assert_eq!(gateway.seen.len(), 1, "nothing but the connect");
        }
    }
}

#[test]
fn what_comes_behind_the_connect_waits_for_the_login() {
    for version in BOTH {
        let mut session = Session::new(Arc::default(), 0);
        session.handle_bytes(
            &[Frames(version).connect("client"), Frames(version).publish("t", 1, b"")].concat(),
            0,
        );
        assert!(matches!(session.poll_uplink(), Some(Uplink::Connect(_))));
        assert!(session.poll_uplink().is_none() && !session.wants_bytes());
        session.handle_login(Ok(Accepted::default()), 0);
        assert!(matches!(session.poll_uplink(), Some(Uplink::Publish(_))));
    }
}

#[test]
fn connect_flags_that_exclude_each_other() {
    for version in BOTH {
        let answer = if version == Version::V5 { vec![0x20, 3, 0, 0x81, 0] } else { vec![] };
        for flags in [0b1100_0011, 0b1100_1010, 0b1110_0010, 0b1101_1110] {
            let out = connect(&ConnectParts { flags, ..parts(version) }.bytes());
            assert_eq!(out, (answer.clone(), Some(Reason::Malformed)), "{flags:b}");
        }
        let mut longer = parts(version);
        longer.rest.push(0);
        assert_eq!(connect(&longer.bytes()), (answer.clone(), Some(Reason::Malformed)), "bytes behind");
        let mut shorter = parts(version);
        shorter.rest.pop();
        assert_eq!(connect(&shorter.bytes()), (answer, Some(Reason::Malformed)), "a field cut");
    }
    let password_only =
        |version| ConnectParts { flags: 0b0100_0010, rest: field(b"x"), ..parts(version) }.bytes();
    assert_eq!(connect(&password_only(Version::V311)).1, Some(Reason::Malformed));
    assert_eq!(connect(&password_only(Version::V5)).1, None);
}

#[test]
fn connect_properties() {
    let with = |properties: &[u8]| {
        let (out, _) =
            connect(&ConnectParts { properties: properties.to_vec(), ..parts(Version::V5) }.bytes());
        *out.get(3).unwrap_or(&0xFF)
    };
    assert_eq!(with(b"\x15\0\x01X"), 0x8C, "enhanced authentication");
    assert_eq!(with(b"\x16\0\x01X"), 0x82, "its data alone");
    assert_eq!(with(b"\x21\0\0"), 0x81, "Receive Maximum 0");
    assert_eq!(with(b"\x21\0\x01\x21\0\x01"), 0x81, "a property twice");
    assert_eq!(with(b"\x01\0"), 0x81, "a property that a CONNECT does not have");
    assert_eq!(with(b"\x26\0\x01\0\0\0"), 0x81, "NUL in a user property");
    assert_eq!(with(b"\x11\0\0\x01\0\x17\x01\x19\0\x22\0\x0A\x26\0\x01a\0\x01b"), 0);
}

#[test]
fn a_second_connect_ends_the_session() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        assert_eq!(
            gateway.send(&Frames(version).connect("client")),
            disconnect(version, Reason::ProtocolError)
        );
        assert_eq!(gateway.end(), Reason::ProtocolError);
    }
}

#[test]
fn a_takeover_waits_for_the_receipts() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        gateway.send(&Frames(version).publish("t", 1, b""));
        gateway.session.handle_takeover(0);
        assert!(!gateway.session.is_closed() && !gateway.session.wants_bytes());
        assert_eq!(gateway.turn(), b"");
        let last = [puback(1), disconnect(version, Reason::TakenOver)].concat();
        assert_eq!(gateway.durable_to(1), last);
        assert_eq!(gateway.end(), Reason::TakenOver);
        assert!(matches!(gateway.seen.last(), Some(Uplink::Disconnect(end)) if end.by == EndBy::Gateway));
    }
}

#[test]
fn a_stop_and_a_takeover_with_nothing_owed_are_told_at_once() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        gateway.session.handle_shutdown(0);
        gateway.session.handle_takeover(0);
        assert_eq!(gateway.turn(), disconnect(version, Reason::ShuttingDown));
        let mut gateway = Gateway::connected(version);
        gateway.session.handle_takeover(0);
        assert_eq!(gateway.turn(), disconnect(version, Reason::TakenOver));
    }
}

#[test]
fn a_stop_before_the_login_is_a_refusal() {
    for (version, answer) in [(Version::V311, vec![0x20, 2, 0, 3]), (Version::V5, vec![0x20, 3, 0, 0x88, 0])]
    {
        let mut session = Session::new(Arc::default(), 0);
        session.handle_bytes(&Frames(version).connect("client"), 0);
        assert!(session.poll_uplink().is_some());
        session.handle_shutdown(0);
        session.handle_login(Ok(Accepted::default()), 0);
        let mut out = Vec::new();
        session.poll_transmit(&mut out);
        assert_eq!(out, answer);
    }
}

#[test]
fn a_revoked_login_ends_at_once_and_without_its_will() {
    for version in BOTH {
        let mut gateway = Gateway::new(Limits::default());
        gateway.send(&Frames(version).connect_with_will(0, &[], "w", b"gone"));
        gateway.send(&Frames(version).publish("t", 1, b""));
        gateway.session.handle_revoked();
        assert_eq!(gateway.turn(), disconnect(version, Reason::NotAuthorized));
        assert!(!gateway.seen.iter().any(|uplink| matches!(uplink, Uplink::Will(_))));
    }
}

/// The will that is published after `end`, and whether the end was told behind it.
fn will_after(version: Version, end: impl FnOnce(&mut Gateway)) -> Option<Publish> {
    let mut gateway = Gateway::new(Limits::default());
    let properties = b"\x01\x01\x03\0\x04text\x26\0\x01a\0\x01b\x18\0\0\0\x05";
    gateway.send(&Frames(version).connect_with_will(0b1000, properties, "w", b"gone"));
    let Some(Uplink::Connect(connect)) = gateway.seen.first() else { panic!("a connect") };
    assert_eq!(connect.will_topic.as_deref(), Some("w"));
    end(&mut gateway);
    gateway.turn();
    assert!(matches!(gateway.seen.pop(), Some(Uplink::Disconnect(_))), "the end comes last");
    match gateway.seen.pop() {
        Some(Uplink::Will(will)) => Some(will),
        _ => None,
    }
}

#[test]
fn the_will_is_published_when_the_end_is_no_goodbye() {
    for version in BOTH {
        let will = will_after(version, |gateway| gateway.session.handle_eof()).unwrap();
        assert_eq!((&*will.topic, &*will.payload, will.qos), ("w", &b"gone"[..], QoS::AtLeastOnce));
        assert!(!will.receipt.is_owed());
        if version == Version::V5 {
            assert_eq!(will.content_type(), Some("text"));
            assert_eq!(will.user_properties().len(), 1);
        }
        assert!(will_after(version, |gateway| drop(gateway.send(&[0, 0]))).is_some());
        assert!(will_after(version, |gateway| gateway.session.handle_takeover(0)).is_some());
        assert!(will_after(version, |gateway| drop(gateway.send(&DISCONNECT))).is_none());
    }
    assert!(will_after(Version::V5, |gateway| drop(gateway.send(&[0xE0, 1, 4]))).is_some());
    assert!(will_after(Version::V5, |gateway| drop(gateway.send(&[0xE0, 2, 0, 0]))).is_none());
}

#[test]
fn a_will_that_is_not_acceptable() {
    let answer = |version: Version, flags, properties: &[u8], topic: &str, payload: &[u8]| {
        let out = connect(&Frames(version).connect_with_will(flags, properties, topic, payload)).0;
        *out.get(3).unwrap_or(&0xFF)
    };
    let v5 = |flags, properties, topic, payload| answer(Version::V5, flags, properties, topic, payload);
    assert_eq!(v5(0b1_0000, &[][..], "w", &b""[..]), 0x9B, "QoS 2");
    assert_eq!(v5(0b10_0000, &[], "w", b""), 0x9A, "retained");
    for topic in ["", "a/+", "#", "$SYS/x", "a\0"] {
        assert_eq!(v5(0, &[], topic, b""), 0x90, "{topic}");
        assert_eq!(answer(Version::V311, 0, &[], topic, b""), 5, "{topic}");
    }
    assert_eq!(v5(0, &[], "w", &[0; 4_096]), 0x97, "too large");
    assert_eq!(v5(0, &[], "w", &[0; 4_095]), 0);
    assert_eq!(
        answer(Version::V5, 0, &b"\x26\0\0\0\0".repeat(33), "w", b""),
        0x97,
        "too many user properties"
    );
    assert_eq!(v5(0, b"\x01\x01", "w", b"\xFF"), 0x99, "not the text it says it is");
    assert_eq!(answer(Version::V311, 0b11_0000, &[], "w", b""), 0, "3.1.1 cannot be told");
}

#[test]
fn a_goodbye_ends_the_session_and_nothing_behind_it_counts() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        let bytes = [&DISCONNECT[..], &Frames(version).publish("t", 1, b"")].concat();
        assert_eq!(gateway.send(&bytes), b"");
        assert!(matches!(gateway.seen.as_slice(), [Uplink::Disconnect(end)] if end.by == EndBy::Client));
        assert_eq!(gateway.send(&Frames(version).publish("t", 1, b"")), b"");
        assert_eq!(gateway.session.incoming.capacity(), 0);
    }
}
