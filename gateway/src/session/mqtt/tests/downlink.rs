//! Messages to the client: QoS, windows, sizes, slow subscribers.

use super::client::{ConnectParts, Frames, block, field, frame, puback};
use super::*;

fn message(qos: QoS) -> Downlink<'static> {
    Downlink::new("t", b"x", qos)
}

fn sent(version: Version, packet_id: u16) -> Vec<u8> {
    Frames(version).publish("t", packet_id, b"x")
}

#[test]
fn a_message_is_sent_with_its_qos() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        gateway.session.handle_downlink(&message(QoS::AtMostOnce)).unwrap();
        gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
        gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
        assert_eq!(gateway.turn(), [sent(version, 0), sent(version, 1), sent(version, 2)].concat());
        assert_eq!(gateway.session.downlinks_pending(), 2);
        assert_eq!(gateway.send(&[puback(2), puback(1), puback(77)].concat()), b"");
        assert_eq!(gateway.session.downlinks_pending(), 0);
    }
}

#[test]
fn properties_are_sent_to_mqtt_5() {
    let downlink = Downlink {
        content_type: Some("text/plain"),
        response_topic: Some("re"),
        correlation_data: Some(b"\0\x01"),
        expiry_s: std::num::NonZeroU32::new(60),
        is_text: true,
        user_properties: &[("a", "b")],
        ..message(QoS::AtLeastOnce)
    };
    let properties = [
        &b"\x01\x01\x02\0\0\0\x3C"[..],
        &[&[3][..], &field(b"text/plain"), &[8], &field(b"re"), &[9], &field(b"\0\x01")].concat(),
        b"\x26\0\x01a\0\x01b",
    ]
    .concat();
    let mut gateway = Gateway::connected(Version::V5);
    gateway.session.handle_downlink(&downlink).unwrap();
    assert_eq!(gateway.turn(), Frames(Version::V5).publish_raw(0x32, b"t", 1, &properties, b"x"));
    let mut gateway = Gateway::connected(Version::V311);
    gateway.session.handle_downlink(&downlink).unwrap();
    assert_eq!(gateway.turn(), sent(Version::V311, 1));
}

#[test]
fn frames_of_all_sizes_are_written_as_they_are_read() {
    for version in BOTH {
        for len in [0, 100, 120, 127, 128, 16_370, 16_384, 200_000] {
            let payload = vec![b'x'; len];
            let mut gateway = Gateway::connected(version);
            gateway.session.handle_downlink(&Downlink::new("topic", &payload, QoS::AtLeastOnce)).unwrap();
            let out = gateway.turn();
            assert_eq!(out, Frames(version).publish("topic", 1, &payload), "{len}");
            assert_eq!(codec::read_back(version, &out), Ok(1));
        }
    }
}

#[test]
fn the_window_is_the_smaller_of_ours_and_the_clients() {
    let connect = |receive_max: &[u8]| {
        let parts = Frames(Version::V5).connect_parts("client");
        ConnectParts { properties: receive_max.to_vec(), ..parts }.bytes()
    };
    for (connect, window) in [(connect(b"\x21\0\x02"), 2), (connect(b""), 3), (connect(b"\x21\xFF\xFF"), 3)] {
        let mut gateway = Gateway::new(Limits { downlink_inflight_max: 3, ..Limits::default() });
        gateway.send(&connect);
        for _ in 0..5 {
            gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
        }
        gateway.session.handle_downlink(&message(QoS::AtMostOnce)).unwrap();
        let first: Vec<u8> = (1..=window).flat_map(|id| sent(Version::V5, id)).collect();
        assert_eq!(gateway.turn(), first);
        assert_eq!(gateway.send(&puback(1)), sent(Version::V5, window + 1));
        let rest: Vec<u8> = (window + 2..=5).chain([0]).flat_map(|id| sent(Version::V5, id)).collect();
        let acknowledged: Vec<u8> = (2..=5).flat_map(puback).collect();
        assert_eq!(gateway.send(&acknowledged), rest, "QoS 0 keeps its place");
        assert_eq!(gateway.session.downlinks_pending(), 0);
    }
}

#[test]
fn packet_ids_in_flight_are_not_given_out_again() {
    let mut gateway = Gateway::connected(Version::V311);
    gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
    assert_eq!(gateway.turn(), sent(Version::V311, 1));
    for id in 2..=u16::MAX {
        gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
        gateway.send(&puback(id));
    }
    gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
    assert_eq!(gateway.turn(), sent(Version::V311, 2), "1 is in flight");
}

#[test]
fn what_the_client_cannot_take_is_not_sent() {
    let mut parts = Frames(Version::V5).connect_parts("client");
    parts.properties = b"\x27\0\0\0\x40".to_vec();
    let mut gateway = Gateway::new(Limits::default());
    gateway.send(&parts.bytes());
    for (len, is_sent) in [(56, true), (57, false)] {
        let payload = vec![0; len];
        gateway.session.handle_downlink(&Downlink::new("t", &payload, QoS::AtLeastOnce)).unwrap();
        assert_eq!(!gateway.turn().is_empty(), is_sent);
    }
    let topic = "t".repeat(65_536);
    let mut gateway = Gateway::connected(Version::V311);
    gateway.session.handle_downlink(&Downlink::new(&topic, b"", QoS::AtMostOnce)).unwrap();
    assert_eq!(gateway.turn(), b"");
}

#[test]
fn a_client_that_takes_no_connack_ends() {
    let mut parts = Frames(Version::V5).connect_parts("client");
    parts.properties = b"\x27\0\0\0\x08".to_vec();
    let mut gateway = Gateway::new(Limits::default());
    assert_eq!(gateway.send(&parts.bytes()), b"");
    assert_eq!(gateway.end(), Reason::TooLarge);
}

#[test]
fn a_slow_subscriber_is_disconnected_by_count() {
    for version in BOTH {
        let limits = Limits { downlink_inflight_max: 1, downlink_pending_max: 2, ..Limits::default() };
        let mut gateway = Gateway::connected_with(version, limits);
        for _ in 0..3 {
            assert_eq!(gateway.session.handle_downlink(&message(QoS::AtLeastOnce)), Ok(()));
        }
        assert_eq!(gateway.session.handle_downlink(&message(QoS::AtMostOnce)), Err(Slow));
        assert_eq!(gateway.turn(), [sent(version, 1), disconnect(version, Reason::QuotaExceeded)].concat());
        assert_eq!(gateway.end(), Reason::QuotaExceeded);
        assert_eq!(gateway.session.handle_downlink(&message(QoS::AtMostOnce)), Ok(()), "nobody is there");
        assert_eq!(gateway.turn(), b"");
    }
}

#[test]
fn a_slow_subscriber_is_disconnected_by_bytes() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let limits = Limits { downlink_inflight_max: 2, downlink_bytes_max: 1_000, ..Limits::default() };
        let mut gateway = Gateway::connected_with(Version::V5, limits);
        let payload = [0; 300];
        let downlink = Downlink::new("t", &payload, qos);
        for _ in 0..3 {
            gateway.session.handle_downlink(&downlink).unwrap();
        }
        assert_eq!(gateway.session.handle_downlink(&downlink), Err(Slow));
    }
}

#[test]
fn one_message_alone_may_be_larger_than_what_may_wait() {
    let limits = Limits { downlink_bytes_max: 100, ..Limits::default() };
    let mut gateway = Gateway::connected_with(Version::V5, limits);
    gateway.session.handle_downlink(&Downlink::new("t", &[0; 500], QoS::AtLeastOnce)).unwrap();
    assert!(gateway.turn().len() > 500);
    gateway.session.handle_downlink(&Downlink::new("t", &[0; 500], QoS::AtLeastOnce)).unwrap();
}

#[test]
fn an_acknowledgement_of_mqtt_5_may_say_why_not() {
    let mut gateway = Gateway::connected(Version::V5);
    gateway.session.handle_downlink(&message(QoS::AtLeastOnce)).unwrap();
    gateway.turn();
    let properties = [&[0x1F][..], &field(b"no")].concat();
    gateway.send(&frame(0x40, &[&[0, 1, 0x80][..], &block(&properties)].concat()));
    assert_eq!(gateway.session.downlinks_pending(), 0);
    assert!(!gateway.session.is_closed());
}

#[test]
fn an_idle_session_is_small() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        for id in 1..=200 {
            gateway.send(&Frames(version).publish("t", id, &[0; 300]));
        }
        gateway.durable_to(u64::MAX);
        for id in 1..=50 {
            gateway.session.handle_downlink(&Downlink::new("t", &[0; 300], QoS::AtLeastOnce)).unwrap();
            gateway.send(&puback(id));
        }
        let session = &gateway.session;
        let heap = session.incoming.capacity()
            + session.outgoing.capacity()
            + session.receipts.heap_bytes()
            + session.downlinks.heap_bytes()
            + session.aliases.capacity() * size_of::<bytestring::ByteString>();
        let bytes = size_of::<Session>() + heap;
        assert!(bytes <= 1_024, "{} + {heap} bytes", size_of::<Session>());
    }
}
