//! What a client may not send, with the stated outcome.

use super::client::{Frames, PINGREQ, PINGRESP, block, field, frame, puback, puback_refused};
use super::*;

/// A session that is in gets `bytes` and must end with `reason`, silently in 3.1.1, with nothing offered.
fn ends(version: Version, bytes: &[u8], reason: Reason) {
    let mut gateway = Gateway::connected(version);
    assert_eq!(gateway.send(bytes), disconnect(version, reason), "{version:?} {bytes:02x?}");
    assert_eq!(gateway.end(), reason, "{version:?} {bytes:02x?}");
    assert!(matches!(gateway.seen.as_slice(), [Uplink::Disconnect(_)]), "nothing is offered");
    assert!(!gateway.session.wants_bytes());
    assert_eq!(gateway.session.incoming.capacity(), 0);
}

fn ends_both(bytes: &[u8], reason: Reason) {
    for version in BOTH {
        ends(version, bytes, reason);
    }
}

#[test]
fn a_first_frame_that_is_no_connect_is_closed_at_once() {
    let starts: [&[u8]; 6] = [b"\x30", b"GET / HTTP/1.1\r\n", b"\xC0\0", b"\x00", b"\x16\x03\x01", b"\x11"];
    for bytes in starts {
        let mut gateway = Gateway::new(Limits::default());
        assert_eq!(gateway.send(bytes), b"", "{bytes:02x?}");
        assert!(gateway.session.is_closed() && gateway.seen.is_empty(), "{bytes:02x?}");
    }
}

#[test]
fn a_length_beyond_the_limit_is_closed_on_the_header() {
    ends_both(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], Reason::TooLarge);
    let mut gateway = Gateway::new(Limits::default());
    assert_eq!(gateway.send(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]), b"");
    assert_eq!(gateway.end(), Reason::TooLarge);
    let mut gateway = Gateway::new(Limits::default());
    gateway.send(&[0x10, 0xFE, 0x3F]);
    assert_eq!(gateway.end(), Reason::TooLarge, "a CONNECT has a smaller limit");
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken() {
    for version in BOTH {
        let limits = Limits { frame_bytes_max: 200, ..Limits::default() };
        let overhead = Frames(version).publish("t", 1, &[0; 180]).len() - 180;
        let publish = |bytes: usize| Frames(version).publish("t", 1, &vec![0; bytes - overhead]);
        let mut gateway = Gateway::connected_with(version, limits.clone());
        gateway.send(&publish(200));
        assert_eq!(gateway.topics(), ["t"]);
        assert_eq!(gateway.send(&publish(201)[..3]), disconnect(version, Reason::TooLarge));
    }
}

#[test]
fn the_memory_for_a_frame_grows_with_what_came_and_not_with_what_was_declared() {
    let mut gateway = Gateway::connected(Version::V5);
    gateway.send(&[0x30, 0x80, 0x80, 0x08]);
    assert!(gateway.session.incoming.capacity() < 100);
    gateway.send(&[0; 10]);
    assert!(gateway.session.incoming.capacity() < 100);
}

#[test]
fn lengths_of_five_bytes_or_longer_than_they_need_be_are_malformed() {
    ends_both(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], Reason::Malformed);
    ends_both(&[0xC0, 0x80, 0x00], Reason::Malformed);
    ends_both(&[0x30, 0x85, 0x00, 0, 1, b't', b'x', b'y'], Reason::Malformed);
    ends(Version::V5, &frame(0x30, b"\0\x01t\x80\0"), Reason::Malformed);
    ends(Version::V5, &frame(0x82, b"\0\x01\x80\0\0\x01t\0"), Reason::Malformed);
}

#[test]
fn first_bytes_that_no_client_may_send() {
    for first in [0x00, 0x36, 0x38, 0x41, 0x80, 0x83, 0xA0, 0xC1, 0xE1] {
        ends_both(&[first, 0], Reason::Malformed);
    }
    for bytes in [&b"\x20\x02\0\0"[..], b"\x50\x02\0\x01", b"\x62\x02\0\x01", b"\x70\x02\0\x01", b"\xD0\0"] {
        ends(Version::V311, bytes, Reason::ProtocolError);
    }
    for bytes in [
        &b"\x20\x03\0\0\0"[..],
        b"\x50\x02\0\x01",
        b"\x62\x02\0\x01",
        b"\x70\x02\0\x01",
        b"\xD0\0",
        b"\xF0\0",
    ] {
        ends(Version::V5, bytes, Reason::ProtocolError);
    }
    ends(Version::V311, b"\xF0\0", Reason::ProtocolError);
}

#[test]
fn bodies_where_none_may_be() {
    ends_both(&[0xC0, 1, 0], Reason::Malformed);
    ends(Version::V311, &[0xE0, 1, 0], Reason::Malformed);
    ends(Version::V311, &frame(0x40, &[0, 1, 0]), Reason::Malformed);
    ends(Version::V5, &frame(0xE0, &[0, 0, 0]), Reason::Malformed);
    ends(Version::V5, &frame(0xE0, &[3]), Reason::Malformed);
}

#[test]
fn topics_that_may_not_be() {
    for version in BOTH {
        let publish = |topic: &[u8]| Frames(version).publish_raw(0x32, topic, 1, &[], b"x");
        ends(version, &publish(b""), Reason::ProtocolError);
        ends(version, &publish(b"a/+"), Reason::TopicInvalid);
        ends(version, &publish(b"#"), Reason::TopicInvalid);
        ends(version, &publish(b"a\0b"), Reason::Malformed);
        ends(version, &publish(b"a\xFFb"), Reason::Malformed);
        ends(version, &publish(b"\xED\xA0\x80"), Reason::Malformed);
        ends(version, &frame(0x30, b"\0\x05t"), Reason::Malformed);
        ends(version, &frame(0x30, b"\0"), Reason::Malformed);
    }
}

#[test]
fn topics_of_the_server_are_refused_and_reported() {
    for topic in ["$SYS/broker", "$share/g/t", "$"] {
        let refused = Refused { topic: topic.into(), reason: Reason::NotAuthorized };
        let mut gateway = Gateway::connected(Version::V5);
        assert_eq!(gateway.send(&Frames(Version::V5).publish(topic, 3, b"x")), puback_refused(3, 0x87));
        assert!(matches!(gateway.seen.as_slice(), [Uplink::Refused(seen)] if *seen == refused));
        assert!(!gateway.session.is_closed());
        for (version, packet_id) in [(Version::V311, 3), (Version::V311, 0), (Version::V5, 0)] {
            let mut gateway = Gateway::connected(version);
            let out = gateway.send(&Frames(version).publish(topic, packet_id, b"x"));
            assert_eq!(out, disconnect(version, Reason::NotAuthorized));
            assert!(matches!(&gateway.seen[0], Uplink::Refused(seen) if *seen == refused));
            assert_eq!(gateway.end(), Reason::NotAuthorized);
        }
    }
}

#[test]
fn topics_beyond_the_limits_are_refused() {
    for topic in ["x".repeat(1_025), "/".repeat(32)] {
        let mut gateway = Gateway::connected(Version::V5);
        assert_eq!(gateway.send(&Frames(Version::V5).publish(&topic, 3, b"x")), puback_refused(3, 0x90));
        assert_eq!(gateway.send(&Frames(Version::V5).publish(&topic, 0, b"x")), b"");
        let mut gateway = Gateway::connected(Version::V311);
        gateway.send(&Frames(Version::V311).publish(&topic, 3, b"x"));
        assert_eq!(gateway.end(), Reason::TopicInvalid);
    }
}

#[test]
fn packet_id_0() {
    ends_both(&Frames(Version::V311).publish_raw(0x32, b"t", 0, &[], b"x"), Reason::Malformed);
    for version in BOTH {
        ends(version, &Frames(version).subscribe(0, &[("t", 0)]), Reason::Malformed);
        ends(version, &Frames(version).unsubscribe(0, &["t"]), Reason::Malformed);
        ends(version, &puback(0), Reason::Malformed);
    }
}

#[test]
fn qos_2_and_retain_are_told_to_be_absent() {
    for version in BOTH {
        ends(version, &Frames(version).publish_raw(0x34, b"t", 1, &[], b"x"), Reason::QosNotSupported);
        ends(version, &Frames(version).publish_raw(0x36, b"t", 1, &[], b"x"), Reason::Malformed);
    }
    for first in [0x31, 0x33] {
        ends(
            Version::V5,
            &Frames(Version::V5).publish_raw(first, b"t", 1, &[], b"x"),
            Reason::RetainNotSupported,
        );
        let mut gateway = Gateway::connected(Version::V311);
        gateway.send(&Frames(Version::V311).publish_raw(first, b"t", 1, &[], b"x"));
        assert!(matches!(gateway.seen.as_slice(), [Uplink::Publish(publish)] if publish.retain));
    }
}

#[test]
fn a_qos_2_packet_id_a_thousand_times_leaves_nothing_behind() {
    let mut gateway = Gateway::connected(Version::V5);
    for _ in 0..1_000 {
        gateway.send(&Frames(Version::V5).publish_raw(0x34, b"t", 1, &[], b"x"));
    }
    assert_eq!(gateway.session.receipts.len(), 0);
    assert_eq!(gateway.session.incoming.capacity(), 0);
}

#[test]
fn subscriptions_that_may_not_be() {
    for version in BOTH {
        ends(version, &Frames(version).subscribe(1, &[]), Reason::ProtocolError);
        ends(version, &Frames(version).unsubscribe(1, &[]), Reason::ProtocolError);
        ends(version, &Frames(version).subscribe(1, &[("", 0)]), Reason::ProtocolError);
        ends(version, &Frames(version).unsubscribe(1, &[""]), Reason::ProtocolError);
        ends(version, &Frames(version).subscribe(1, &[("a", 3)]), Reason::Malformed);
        ends(version, &Frames(version).subscribe(1, &[("a", 0x40)]), Reason::Malformed);
    }
    ends(Version::V311, &Frames(Version::V311).subscribe(1, &[("a", 0b100)]), Reason::Malformed);
    ends(Version::V5, &Frames(Version::V5).subscribe(1, &[("a", 0b11_0000)]), Reason::Malformed);
}

#[test]
fn properties_that_may_not_be() {
    let publish = |properties: &[u8]| Frames(Version::V5).publish_raw(0x32, b"t", 1, properties, b"x");
    let cases: [(&[u8], Reason); 9] = [
        (b"\x01\0\x01\0", Reason::Malformed),
        (b"\x01\x02", Reason::Malformed),
        (b"\x03\0\x01a\x03\0\x01b", Reason::Malformed),
        (b"\x11\0\0\0\0", Reason::Malformed),
        (b"\x03\0\x01\0", Reason::Malformed),
        (b"\x26\0\x01a\0\x01\0", Reason::Malformed),
        (b"\x0B\x01", Reason::ProtocolError),
        (b"\x08\0\x01+", Reason::ProtocolError),
        (b"\x23\0\x09", Reason::AliasInvalid),
    ];
    for (properties, reason) in cases {
        ends(Version::V5, &publish(properties), reason);
    }
    ends(Version::V5, &frame(0x32, b"\0\x01t\0\x01\x05\x01"), Reason::Malformed);
    let nul = b"\x26\0\x01\0\0\x01b";
    ends(Version::V5, &frame(0x82, &[b"\0\x01", &block(nul)[..], b"\0\x01a\0"].concat()), Reason::Malformed);
    ends(Version::V5, &frame(0xA2, &[b"\0\x01", &block(nul)[..], b"\0\x01a"].concat()), Reason::Malformed);
    ends(Version::V5, &frame(0x40, &[b"\0\x01\0", &block(nul)[..]].concat()), Reason::Malformed);
    ends(Version::V5, &frame(0xE0, &[b"\0", &block(nul)[..]].concat()), Reason::Malformed);
}

#[test]
fn properties_reach_the_receiver() {
    let properties = [
        &b"\x01\x01\x02\0\0\0\x3C"[..],
        &[&[3][..], &field(b"text/plain"), &[8], &field(b"re"), &[9], &field(b"\0\x01")].concat(),
        b"\x26\0\x01a\0\x01b\x26\0\x01a\0\x01c",
    ]
    .concat();
    let mut gateway = Gateway::connected(Version::V5);
    gateway.send(&Frames(Version::V5).publish_raw(0x3A, b"t", 1, &properties, b"36.5"));
    let Some(Uplink::Publish(publish)) = gateway.seen.first() else { panic!("a publish") };
    assert!(publish.dup && !publish.retain && publish.qos == QoS::AtLeastOnce);
    assert_eq!(publish.content_type(), Some("text/plain"));
    let pairs: Vec<(&str, &str)> =
        publish.user_properties().iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, [("a", "b"), ("a", "c")]);
    let properties = publish.properties.as_ref().unwrap();
    assert_eq!(
        (properties.response_topic.as_deref(), properties.correlation_data.as_deref()),
        (Some("re"), Some(&b"\0\x01"[..]))
    );
    assert_eq!((properties.expiry_s.map(std::num::NonZeroU32::get), properties.is_text), (Some(60), true));
}

#[test]
fn a_payload_that_is_not_the_text_it_says_it_is() {
    let mut gateway = Gateway::connected(Version::V5);
    let publish = Frames(Version::V5).publish_raw(0x32, b"t", 1, b"\x01\x01", b"\xFF");
    assert_eq!(gateway.send(&publish), puback_refused(1, 0x99));
    assert!(gateway.topics().is_empty());
}

#[test]
fn the_number_of_user_properties_is_limited() {
    let mut gateway = Gateway::connected(Version::V5);
    let publish =
        |count| Frames(Version::V5).publish_raw(0x32, b"t", 1, &b"\x26\0\x01a\0\x01b".repeat(count), b"");
    gateway.send(&publish(32));
    assert_eq!(gateway.topics(), ["t"]);
    gateway.durable_to(1);
    assert_eq!(gateway.send(&publish(33)), puback_refused(1, 0x83));
}

#[test]
fn topic_aliases() {
    let publish =
        |topic: &[u8], alias: u8| Frames(Version::V5).publish_raw(0x30, topic, 0, &[0x23, 0, alias], b"");
    let mut gateway = Gateway::connected(Version::V5);
    gateway.send(&[publish(b"a", 1), publish(b"b", 8), publish(b"", 1), publish(b"", 8)].concat());
    gateway.send(&[publish(b"c", 1), publish(b"", 1)].concat());
    assert_eq!(gateway.topics(), ["a", "b", "a", "b", "c", "c"]);
    assert_eq!(gateway.send(&publish(b"", 2)), disconnect(Version::V5, Reason::ProtocolError));
    ends(Version::V5, &publish(b"a", 9), Reason::AliasInvalid);
    ends(Version::V5, &publish(b"", 1), Reason::ProtocolError);
    ends(Version::V5, &publish(b"a", 0), Reason::Malformed);
}

#[test]
fn bytes_that_were_not_asked_for_end_the_session() {
    let limits = Limits { frame_bytes_max: 100, read_bytes_max: 100, receive_max: 1, ..Limits::default() };
    let mut session = Gateway::connected_with(Version::V311, limits).session;
    session.handle_bytes(&Frames(Version::V311).publish("t", 1, b""), 0);
    let Some(Uplink::Publish(_)) = session.poll_uplink() else { panic!("a publish") };
    for _ in 0..2 {
        session.handle_bytes(&[0; 100], 0);
        assert!(session.poll_uplink().is_none() && !session.wants_bytes() && !session.is_closed());
    }
    session.handle_bytes(&[0], 0);
    assert_eq!(session.end().unwrap().reason, Reason::QuotaExceeded);

    let mut session = Session::new(Arc::new(Limits { early_bytes_max: 10, ..Limits::default() }), 0);
    session.handle_bytes(&[0x10; 8 * 1024 + 11], 0);
    assert_eq!(session.end().unwrap().reason, Reason::QuotaExceeded);
}

#[test]
fn a_client_that_asks_and_does_not_read_is_not_read() {
    let mut session = Gateway::connected(Version::V5).session;
    session.handle_bytes(&PINGREQ.repeat(10_000), 0);
    assert!(session.poll_uplink().is_none() && !session.wants_bytes());
    let mut out = Vec::new();
    session.poll_transmit(&mut out);
    assert_eq!(out, PINGRESP.repeat(2_048));
    let mut all = out.len();
    while session.poll_uplink().is_none() && !session.wants_bytes() {
        out.clear();
        session.poll_transmit(&mut out);
        all += out.len();
    }
    session.poll_transmit(&mut out);
    assert!(all >= 16_384 && session.wants_bytes());
}

#[test]
fn properties_block_of_the_connect_must_fit() {
    let body = [&field(b"MQTT")[..], &[5, 2, 0, 0], &block(&[0x11, 0, 0])[..], &field(b"c")].concat();
    let mut gateway = Gateway::new(Limits::default());
    assert_eq!(gateway.send(&frame(0x10, &body)), [0x20, 3, 0, 0x81, 0]);
}
