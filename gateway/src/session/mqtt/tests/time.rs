//! Deadlines, each reached.

use super::client::{ConnectParts, Frames, PINGREQ, PINGRESP};
use super::*;

fn connected(version: Version, keep_alive_s: u16) -> Gateway {
    let mut gateway = Gateway::new(Limits::default());
    gateway.send(&ConnectParts { keep_alive_s, ..Frames(version).connect_parts("client") }.bytes());
    gateway
}

#[test]
fn a_connect_of_one_byte_a_second_is_closed_at_5_s() {
    for version in BOTH {
        let mut gateway = Gateway::new(Limits::default());
        for (second, byte) in Frames(version).connect("client").chunks(1).enumerate() {
            gateway.now_ms = second as u64 * 1_000;
            assert_eq!(gateway.send(byte), b"");
            assert_eq!(gateway.session.poll_timeout(), (second <= 5).then_some(5_000));
            gateway.at(gateway.now_ms);
            assert_eq!(gateway.session.is_closed(), second >= 5, "{second} s");
        }
        assert_eq!(gateway.end(), Reason::ConnectTime);
        assert_eq!(gateway.session.incoming.capacity(), 0);
    }
}

#[test]
fn a_login_that_is_not_answered_is_refused() {
    for (version, answer) in [(Version::V311, vec![0x20, 2, 0, 3]), (Version::V5, vec![0x20, 3, 0, 0x88, 0])]
    {
        let mut session = Session::new(Arc::default(), 0);
        session.handle_bytes(&Frames(version).connect("client"), 4_000);
        assert!(session.poll_uplink().is_some());
        assert_eq!(session.poll_timeout(), Some(24_000));
        session.handle_timeout(24_000);
        let mut out = Vec::new();
        session.poll_transmit(&mut out);
        assert_eq!(out, answer);
        assert!(session.poll_uplink().is_none(), "it never came in");
    }
}

#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_session() {
    for version in BOTH {
        let mut gateway = connected(version, 10);
        assert_eq!(gateway.session.poll_timeout(), Some(15_000));
        gateway.now_ms = 9_000;
        assert_eq!(gateway.send(&PINGREQ), PINGRESP);
        assert_eq!(gateway.session.poll_timeout(), Some(24_000));
        assert_eq!(gateway.at(23_999), b"");
        assert_eq!(gateway.at(24_000), disconnect(version, Reason::KeepAliveTimeout));
        assert_eq!(gateway.end(), Reason::KeepAliveTimeout);
        assert_eq!(gateway.session.poll_timeout(), None);
    }
}

#[test]
fn half_a_frame_is_no_sign_of_life() {
    let mut gateway = connected(Version::V5, 10);
    let publish = Frames(Version::V5).publish("t", 1, &[0; 100]);
    for (byte, now_ms) in publish.chunks(1).zip((1_000..15_000).step_by(1_000)) {
        gateway.now_ms = now_ms;
        assert_eq!(gateway.send(byte), b"");
    }
    assert_eq!(gateway.at(15_000), disconnect(Version::V5, Reason::KeepAliveTimeout));
}

#[test]
fn keep_alive_0_of_3_1_1_has_no_deadline_but_for_half_a_frame() {
    let mut gateway = connected(Version::V311, 0);
    assert_eq!(gateway.session.poll_timeout(), None);
    let publish = Frames(Version::V311).publish("t", 1, &[0; 100]);
    gateway.now_ms = 1_000;
    gateway.send(&publish[..50]);
    gateway.now_ms = 20_000;
    gateway.send(&publish[50..60]);
    assert_eq!(gateway.session.poll_timeout(), Some(31_000));
    gateway.send(&publish[60..]);
    assert_eq!(gateway.session.poll_timeout(), None);
    gateway.send(&publish[..50]);
    gateway.at(50_000);
    assert_eq!(gateway.end(), Reason::Malformed);
}

#[test]
fn a_client_that_is_not_read_is_not_silent() {
    let frames = Frames(Version::V311);
    let mut gateway = Gateway::new(Limits { receive_max: 1, ..Limits::default() });
    gateway.send(&ConnectParts { keep_alive_s: 10, ..frames.connect_parts("client") }.bytes());
    gateway.send(&frames.publish("t", 1, b""));
    assert!(!gateway.session.wants_bytes());
    gateway.at(15_000);
    gateway.at(29_000);
    assert!(!gateway.session.is_closed());
    gateway.durable_to(1);
    assert_eq!(gateway.session.poll_timeout(), Some(44_000));
    gateway.at(44_000);
    assert_eq!(gateway.end(), Reason::KeepAliveTimeout);
}

#[test]
fn draining_is_limited() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        gateway.send(&Frames(version).publish("t", 1, b""));
        gateway.session.handle_shutdown(2_000);
        assert_eq!(gateway.session.poll_timeout(), Some(12_000));
        assert_eq!(gateway.at(12_000), disconnect(version, Reason::ShuttingDown));
    }
}
