//! SUBSCRIBE and UNSUBSCRIBE.

use super::client::{Frames, frame};
use super::*;

/// A SUBACK or UNSUBACK.
fn suback(version: Version, first: u8, packet_id: u16, codes: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    frame(first, &[&packet_id.to_be_bytes()[..], properties, codes].concat())
}

#[test]
fn at_most_qos_1_is_granted() {
    for version in BOTH {
        let mut gateway = Gateway::connected(version);
        let out = gateway.send(&Frames(version).subscribe(9, &[("a/#", 0), ("+", 1), ("b", 2)]));
        assert_eq!(out, suback(version, 0x90, 9, &[0, 1, 1]));
        let Some(Uplink::Subscribe(subscribe)) = gateway.seen.first() else { panic!("a subscribe") };
        let filters: Vec<&str> = subscribe.filters.iter().map(|filter| &*filter.filter).collect();
        assert_eq!(filters, ["a/#", "+", "b"]);
    }
}

#[test]
fn the_options_of_mqtt_5_are_told() {
    let mut gateway = Gateway::connected(Version::V5);
    gateway.send(&Frames(Version::V5).subscribe(9, &[("a", 0b0010_1101)]));
    let Some(Uplink::Subscribe(subscribe)) = gateway.seen.first() else { panic!("a subscribe") };
    let options = SubscribeOptions { qos: QoS::AtLeastOnce, no_local: true, retain_as_published: true };
    assert_eq!(subscribe.filters[0].options, options);
}

#[test]
fn what_cannot_be_subscribed_to_is_refused_in_its_place() {
    for version in BOTH {
        let code = |code| if version == Version::V5 { code } else { 0x80 };
        let mut gateway = Gateway::connected(version);
        let long = "x".repeat(1_025);
        let deep = "/".repeat(32);
        let filters = [("a#", 1), ("ok", 1), ("$share/g/t", 1), (&*long, 0), (&*deep, 0), ("too", 0)];
        let out = gateway.send(&Frames(version).subscribe(9, &filters));
        let codes = [code(0x8F), 1, code(0x9E), code(0x8F), code(0x8F), 0];
        assert_eq!(out, suback(version, 0x90, 9, &codes));
        let out = gateway.send(&Frames(version).subscribe(10, &[("a#", 1)]));
        assert_eq!(out, suback(version, 0x90, 10, &[code(0x8F)]));
        assert_eq!(gateway.seen.len(), 1, "a SUBSCRIBE with nothing valid asks nobody");
    }
}

#[test]
fn the_answers_from_outside_stand_in_their_order() {
    for version in BOTH {
        let code = |code| if version == Version::V5 { code } else { 0x80 };
        let mut session = Gateway::connected(version).session;
        let filters = [("a", 1), ("##", 1), ("b", 1), ("c", 0), ("d", 1)];
        session.handle_bytes(&[Frames(version).subscribe(9, &filters), client::PINGREQ.to_vec()].concat(), 0);
        let Some(Uplink::Subscribe(subscribe)) = session.poll_uplink() else { panic!("a subscribe") };
        assert!(
            session.poll_uplink().is_none() && !session.wants_bytes(),
            "what follows waits for the answer"
        );
        let answers = [Ok(QoS::AtLeastOnce), Err(Refusal::NotAuthorized), Err(Refusal::QuotaExceeded)];
        session.handle_subscribed(subscribe.receipt, &answers);
        session.handle_subscribed(subscribe.receipt, &answers);
        assert!(session.poll_uplink().is_none() && session.wants_bytes());
        let mut out = Vec::new();
        session.poll_transmit(&mut out);
        let codes = [1, code(0x8F), code(0x87), code(0x97), code(0x80)];
        assert_eq!(out, [suback(version, 0x90, 9, &codes), client::PINGRESP.to_vec()].concat());
    }
}

#[test]
fn unsubscribing_is_always_answered() {
    for version in BOTH {
        let mut session = Gateway::connected(version).session;
        session.handle_bytes(&Frames(version).unsubscribe(9, &["a", "a#", "b", "$share/g/t"]), 0);
        let Some(Uplink::Unsubscribe(unsubscribe)) = session.poll_uplink() else { panic!("an unsubscribe") };
        assert_eq!(unsubscribe.filters, ["a", "b"]);
        session.handle_unsubscribed(unsubscribe.receipt, &[true, false]);
        let mut out = Vec::new();
        session.poll_transmit(&mut out);
        let codes: &[u8] = if version == Version::V5 { &[0, 0x8F, 0x11, 0x11] } else { &[] };
        assert_eq!(out, suback(version, 0xB0, 9, codes));
    }
}

#[test]
fn the_number_of_filters_in_a_frame_is_limited() {
    for version in BOTH {
        let filters = [("a", 0); 65];
        let names = ["a"; 65];
        let mut gateway = Gateway::connected(version);
        gateway.send(&Frames(version).subscribe(9, &filters[..64]));
        gateway.send(&Frames(version).unsubscribe(9, &names[..64]));
        assert_eq!(gateway.seen.len(), 2);
        let out = gateway.send(&Frames(version).subscribe(9, &filters));
        assert_eq!(out, disconnect(version, Reason::QuotaExceeded));
        let mut gateway = Gateway::connected(version);
        assert_eq!(
            gateway.send(&Frames(version).unsubscribe(9, &names)),
            disconnect(version, Reason::QuotaExceeded)
        );
    }
}

#[test]
fn a_subscription_identifier_is_refused() {
    let mut gateway = Gateway::connected(Version::V5);
    let out = gateway.send(&frame(0x82, b"\0\x09\x02\x0B\x05\0\x01a\x01"));
    assert_eq!(out, disconnect(Version::V5, Reason::SubscriptionIdNotSupported));
}
