//! Acknowledgements: in order, only with the disk, all of a commit in one write.

use super::client::{Frames, puback, puback_refused};
use super::*;

#[test]
fn nothing_is_acknowledged_before_the_disk_has_it() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        assert_eq!(gateway.send(&Frames(version).publish("t", 7, b"1")), b"");
        assert_eq!(gateway.session.receipts_pending(), 1);
        assert_eq!(gateway.durable_to(0), b"");
        assert_eq!(gateway.durable_to(1), puback(7));
        assert_eq!(gateway.session.receipts_pending(), 0);
        assert_eq!(gateway.durable_to(1), b"");
    }
}

#[test]
fn the_acknowledgements_of_one_commit_leave_in_one_write_and_in_order() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        let publishes: Vec<u8> =
            (1..=100).flat_map(|id| Frames(version).publish("t", 1_000 - id, b"x")).collect();
        assert_eq!(gateway.send(&publishes), b"");
        let expected: Vec<u8> = (1..=60).flat_map(|id| puback(1_000 - id)).collect();
        assert_eq!(gateway.durable_to(60), expected);
        let expected: Vec<u8> = (61..=100).flat_map(|id| puback(1_000 - id)).collect();
        assert_eq!(gateway.durable_to(100), expected);
    }
}

#[test]
fn a_later_lane_does_not_overtake() {
    let mut gateway = Gateway::connected(Version::V5);
    let mut session = gateway.session;
    session.handle_bytes(
        &[Frames(Version::V5).publish("t", 1, b""), Frames(Version::V5).publish("e", 2, b"")].concat(),
        0,
    );
    for lane in [Lane::Telemetry, Lane::Event] {
        let Some(Uplink::Publish(publish)) = session.poll_uplink() else { panic!("a publish") };
        session.handle_stored(publish.receipt, Ok(Position { lane, offset: 0 }));
    }
    session.settle(|position| position.lane == Lane::Event);
    let mut out = Vec::new();
    session.poll_transmit(&mut out);
    assert_eq!(out, b"");
    session.settle(|_| true);
    session.poll_transmit(&mut out);
    assert_eq!(out, [puback(1), puback(2)].concat());
    gateway.session = session;
}

#[test]
fn a_refusal_keeps_its_place_in_the_order() {
    let mut gateway = Gateway::connected(Version::V5);
    let refusals = [
        None,
        Some(Refusal::QuotaExceeded),
        Some(Refusal::PayloadFormatInvalid),
        None,
        Some(Refusal::NotAuthorized),
        Some(Refusal::TopicInvalid),
        Some(Refusal::Busy),
    ];
    gateway.refusals = refusals.into();
    let publishes: Vec<u8> = (1..=7).flat_map(|id| Frames(Version::V5).publish("t", id, b"x")).collect();
    assert_eq!(gateway.send(&publishes), b"");
    assert_eq!(gateway.durable_to(1), [puback(1), puback_refused(2, 0x97), puback_refused(3, 0x99)].concat());
    let rest =
        [puback(4), puback_refused(5, 0x87), puback_refused(6, 0x90), puback_refused(7, 0x97)].concat();
    assert_eq!(gateway.durable_to(2), rest);
}

#[test]
fn a_refusal_with_nothing_in_front_is_told_at_once() {
    let mut gateway = Gateway::connected(Version::V5);
    gateway.refusals = [Some(Refusal::QuotaExceeded)].into();
    assert_eq!(gateway.send(&Frames(Version::V5).publish("t", 1, b"x")), puback_refused(1, 0x97));
}

#[test]
fn qos_0_is_offered_and_owed_nothing() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        gateway.refusals = [Some(Refusal::QuotaExceeded), Some(Refusal::PayloadFormatInvalid), None].into();
        let publish = Frames(version).publish("t", 0, b"x");
        assert_eq!(gateway.send(&publish.repeat(3)), b"");
        assert_eq!(gateway.topics(), ["t", "t", "t"]);
        assert_eq!(gateway.session.receipts_pending(), 0);
        assert!(!gateway.session.is_closed());
    }
}

#[test]
fn qos_0_that_is_not_authorised_ends_the_session() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        gateway.refusals = [Some(Refusal::NotAuthorized)].into();
        let out = gateway.send(&Frames(version).publish("t", 0, b"x"));
        assert_eq!(out, disconnect(version, Reason::NotAuthorized));
        assert_eq!(gateway.end(), Reason::NotAuthorized);
    }
}

#[test]
fn a_full_spool_stops_the_reading_of_3_1_1_and_then_ends_it() {
    let frames = Frames(Version::V311);
    let mut gateway = Gateway::connected(Version::V311);
    gateway.now_ms = 1_000;
    gateway.refusals = [None, Some(Refusal::QuotaExceeded)].into();
    let publishes: Vec<u8> = (1..=4).flat_map(|id| frames.publish("t", id, b"x")).collect();
    assert_eq!(gateway.send(&publishes), b"");
    assert_eq!(gateway.topics().len(), 2, "what is behind the refused one is not offered");
    assert!(!gateway.session.wants_bytes());
    assert_eq!(gateway.durable_to(9), puback(1), "what was stored is acknowledged");
    assert_eq!(gateway.session.receipts_pending(), 0);
    assert_eq!(gateway.session.poll_timeout(), Some(31_000));
    gateway.at(30_999);
    assert!(!gateway.session.is_closed());
    assert_eq!(gateway.at(31_000), b"");
    assert_eq!(gateway.end(), Reason::QuotaExceeded);
}

#[test]
fn a_refusal_for_ever_ends_3_1_1_and_nothing_behind_it_is_offered() {
    let frames = Frames(Version::V311);
    for refusal in [Refusal::NotAuthorized, Refusal::PayloadFormatInvalid, Refusal::TopicInvalid] {
        let mut gateway = Gateway::connected(Version::V311);
        gateway.refusals = [Some(refusal)].into();
        assert_eq!(gateway.send(&[frames.publish("t", 1, b"x"), frames.publish("t", 2, b"x")].concat()), b"");
        assert_eq!(gateway.topics().len(), 1);
        assert_eq!(gateway.end(), refusal.publish_reason());
    }
}

#[test]
fn more_in_flight_than_receive_maximum_ends_mqtt_5() {
    let limits = Limits { receive_max: 3, ..Limits::default() };
    let frames = Frames(Version::V5);
    let mut gateway = Gateway::connected_with(Version::V5, limits);
    let publishes: Vec<u8> = (1..=3).flat_map(|id| frames.publish("t", id, b"x")).collect();
    assert_eq!(gateway.send(&publishes), b"");
    assert_eq!(gateway.durable_to(1), puback(1));
    assert_eq!(gateway.send(&frames.publish("t", 4, b"x")), b"", "one was acknowledged, one may come");
    assert_eq!(
        gateway.send(&frames.publish("t", 5, b"x")),
        disconnect(Version::V5, Reason::ReceiveMaxExceeded)
    );
    assert_eq!(gateway.topics().len(), 4);
}

#[test]
fn more_in_flight_than_receive_maximum_is_not_read_from_3_1_1() {
    let limits = Limits { receive_max: 3, ..Limits::default() };
    let frames = Frames(Version::V311);
    let mut gateway = Gateway::connected_with(Version::V311, limits);
    let publishes: Vec<u8> = (1..=8).flat_map(|id| frames.publish("t", id, b"x")).collect();
    assert_eq!(gateway.send(&publishes), b"");
    assert_eq!((gateway.topics().len(), gateway.session.wants_bytes()), (3, false));
    assert_eq!(gateway.durable_to(2), [puback(1), puback(2)].concat());
    assert_eq!((gateway.topics().len(), gateway.session.wants_bytes()), (5, false));
    gateway.durable_to(5);
    assert_eq!((gateway.topics().len(), gateway.session.wants_bytes()), (8, false));
    gateway.durable_to(8);
    assert!(gateway.session.wants_bytes());
    assert_eq!(gateway.session.incoming.capacity(), 0, "nothing is kept");
}

#[test]
fn a_client_that_reads_no_acknowledgements_is_not_read_either() {
    let limits = Limits { receive_max: 2, ..Limits::default() };
    let mut session = Gateway::connected_with(Version::V311, limits).session;
    let publishes: Vec<u8> = (1..=20).flat_map(|id| Frames(Version::V311).publish("t", id, b"x")).collect();
    session.handle_bytes(&publishes, 0);
    let mut offered = 0;
    loop {
        let before = offered;
        while let Some(Uplink::Publish(publish)) = session.poll_uplink() {
            session.handle_stored(publish.receipt, Ok(Position { lane: Lane::Event, offset: 0 }));
            offered += 1;
        }
        session.settle(|_| true);
        if offered == before {
            break;
        }
    }
    assert_eq!(offered, 8, "four times what may be in flight");
    session.poll_transmit(&mut Vec::new());
    assert!(session.poll_uplink().is_some());
}

/// A session that gave `publish 1` back at 1 s, with 2 behind it.
fn held(version: Version) -> Gateway {
    let frames = Frames(version);
    let mut gateway = Gateway::connected(version);
    gateway.now_ms = 1_000;
    let bytes = [frames.publish("t", 1, b"x"), frames.publish("t", 2, b"y")].concat();
    gateway.session.handle_bytes(&bytes, 1_000);
    let Some(Uplink::Publish(publish)) = gateway.session.poll_uplink() else { panic!("a publish") };
    gateway.session.handle_busy(&publish, 1_000);
    assert!(gateway.session.poll_uplink().is_none() && !gateway.session.wants_bytes());
    gateway
}

#[test]
fn a_publish_that_was_given_back_is_offered_again_before_all_others() {
    for version in BOTH {
        let mut gateway = held(version);
        assert_eq!(gateway.turn(), b"");
        gateway.durable_to(0);
        assert_eq!(gateway.topics().len(), 2);
        assert!(matches!(&gateway.seen[0], Uplink::Publish(publish) if &publish.payload[..] == b"x"));
        assert_eq!(gateway.durable_to(2), [puback(1), puback(2)].concat());
        assert!(gateway.session.wants_bytes());
        assert_eq!(gateway.session.poll_timeout(), Some(5_401_000).filter(|_| version == Version::V5));
    }
}

#[test]
fn a_publish_that_was_given_back_is_offered_again_after_a_second_and_given_up_in_the_end() {
    for version in BOTH {
        let mut gateway = held(version);
        for second in 2..=30 {
            assert_eq!(gateway.session.poll_timeout(), Some(second * 1_000));
            gateway.session.handle_timeout(second * 1_000);
            let Some(Uplink::Publish(publish)) = gateway.session.poll_uplink() else { panic!("a publish") };
            gateway.session.handle_busy(&publish, second * 1_000);
        }
        let out = gateway.at(31_000);
        match version {
            Version::V5 => {
                assert_eq!(out, puback_refused(1, 0x97));
                assert_eq!(gateway.durable_to(1), puback(2), "and what is behind it goes on");
            }
            Version::V311 => {
                assert_eq!(gateway.end(), Reason::QuotaExceeded);
                assert_eq!(gateway.session.receipts_pending(), 0);
            }
        }
    }
}

#[test]
fn a_publish_that_was_given_back_does_not_outlive_its_session() {
    for version in BOTH {
        let mut gateway = held(version);
        gateway.session.handle_takeover(2_000);
        assert_eq!(gateway.turn(), disconnect(version, Reason::TakenOver));
        assert_eq!((gateway.end(), gateway.session.receipts_pending()), (Reason::TakenOver, 0));
        let mut gateway = held(version);
        gateway.session.handle_eof();
        assert_eq!((gateway.turn(), gateway.session.receipts_pending()), (vec![], 0));
        assert!(gateway.topics().is_empty());
    }
}

#[test]
fn receipts_that_are_not_offered_are_not_answered() {
    let mut gateway = Gateway::connected(Version::V5);
    gateway.session.handle_stored(Receipt(3), Ok(Position { lane: Lane::Event, offset: 0 }));
    gateway.session.handle_stored(Receipt::NONE, Ok(Position { lane: Lane::Event, offset: 0 }));
    gateway.session.handle_subscribed(Receipt(0), &[Ok(QoS::AtLeastOnce)]);
    gateway.session.handle_unsubscribed(Receipt(0), &[true]);
    gateway.session.handle_login(Ok(Accepted::default()), 0);
    assert_eq!(gateway.durable_to(10), b"");
    gateway.send(&Frames(Version::V5).publish("t", 1, b""));
    let receipt = Receipt(0);
    gateway.session.handle_stored(receipt, Err(Refusal::QuotaExceeded));
    assert_eq!(gateway.durable_to(10), puback(1), "the first answer counts");
}
