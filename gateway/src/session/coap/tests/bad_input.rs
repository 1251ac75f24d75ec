//! Datagrams that are no CoAP, or no CoAP for us.

use super::*;

fn is_reset(got: &Got, message_id: u16) -> bool {
    (got.kind, got.message_id, got.bytes.len()) == (Kind::Reset, message_id, 4)
}

#[test]
fn a_ping_is_answered_with_a_reset() {
    let mut gateway = Gateway::new();
    assert!(is_reset(&gateway.answer(&empty(CON, 77)), 77));
    assert_eq!(gateway.endpoint.take_counts().pings, 1);
    assert_eq!(gateway.send(&empty(ACK, 77)), []);
    assert_eq!(gateway.send(&empty(RST, 77)), []);
}

#[test]
fn short_datagrams_and_other_versions_are_passed_over_in_silence() {
    let mut gateway = Gateway::new();
    let asking = post("t", 1).bytes();
    for datagram in [&[][..], &[0x40], &[0x40, 2, 0]] {
        assert_eq!(gateway.send(datagram), []);
    }
    for version in [0, 2, 3] {
        let mut other = asking.clone();
        other[0] = other[0] & 0x3F | version << 6;
        assert_eq!(gateway.send(&other), []);
    }
    assert_eq!(gateway.endpoint.take_counts().malformed, 6);
}

#[test]
fn format_errors_are_rejected_where_the_type_allows_it() {
    let con = |body: &[u8]| [&[0x40, 2, 0, 9][..], body].concat();
    let faults = [
        vec![0x49, 2, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        vec![0x4F, 2, 0, 9],
        vec![0x42, 2, 0, 9, 1],
        vec![0x40, 0, 0, 9, 1],
        vec![0x41, 0, 0, 9, 1],
        con(&[0xFF]),
        con(&[0xF0]),
        con(&[0x0F]),
        con(&[0xB1]),
        con(&[0xD0]),
        con(&[0xE0, 0]),
        con(&[0xE0, 0xFF, 0xFF]),
        con(&[0xE0, 0xF0, 0, 0xE0, 0xF0, 0]),
        con(&[0x0E, 0xFF, 0xFF]),
        con(&[0xB1, b't', 0xFF]),
    ];
    for fault in faults {
        let mut gateway = Gateway::new();
        assert!(is_reset(&gateway.answer(&fault), 9), "{fault:02x?}");
        for kind in [ACK, RST] {
            let mut other = fault.clone();
            other[0] = other[0] & 0xCF | kind << 4;
            assert_eq!(gateway.send(&other), [], "nobody answers an answer: {other:02x?}");
        }
        assert!(gateway.seen.is_empty());
    }
}

#[test]
fn responses_and_reserved_codes_are_rejected() {
    for code in [0x20, 0x44, 0x45, 0x84, 0xA3, 0xC0, 0xE1, 0xFF] {
        let mut gateway = Gateway::new();
        assert!(is_reset(&gateway.answer(&[0x40, code, 0, 9]), 9), "{code:02x}");
        assert!(is_reset(&gateway.answer(&[0x50, code, 0, 9]), 9));
        assert_eq!(gateway.send(&[0x60, code, 0, 9]), []);
        assert_eq!(gateway.send(&[0x70, code, 0, 9]), []);
        assert_eq!(gateway.send(&[0x70, 2, 0, 9]), []);
    }
}

#[test]
fn an_unknown_critical_option_is_refused_and_an_elective_one_passed_over() {
    let mut gateway = Gateway::new();
    for (id, number) in [(1, 1), (2, 5), (3, 9), (4, 21), (5, 65_001)] {
        assert_eq!(
            gateway.answer(&post("t", id).option(number, b"x").bytes()).code,
            "4.02",
            "option {number}"
        );
        let non = post("t", 100 + id).kind(NON).option(number, b"x").bytes();
        assert!(is_reset(&gateway.answer(&non), 100 + id), "option {number}");
    }
    for (id, number) in [(11, 2), (12, 6), (13, 60), (14, 65_000)] {
        assert_eq!(gateway.send(&post("t", id).option(number, b"x").bytes()), [], "option {number}");
    }
    for (id, number, value) in [(21, 3, &b"gateway"[..]), (22, 7, &[0x16, 0x33]), (23, 17, &[0])] {
        assert_eq!(gateway.send(&post("t", id).option(number, value).bytes()), [], "option {number}");
    }
    assert_eq!(gateway.seen.len(), 7);
}

#[test]
fn options_that_stand_once_and_values_that_fit() {
    let mut gateway = Gateway::new();
    let twice = post("t", 1).option(17, &[0]).option(17, &[0]);
    assert_eq!(gateway.answer(&twice.bytes()).code, "4.02");
    let long = post("t", 2).option(17, &[0, 0, 0]);
    assert_eq!(gateway.answer(&long.bytes()).code, "4.02");
    assert_eq!(gateway.answer(&post("t", 3).option(11, &[0xFF]).bytes()).code, "4.02");
    assert_eq!(gateway.answer(&post("t", 4).option(15, &[0xC0]).bytes()).code, "4.02");
    // The second Content-Format counts as unknown, and is elective.
    assert_eq!(gateway.send(&post("t", 5).option(12, &[50]).option(12, &[60]).bytes()), []);
    assert_eq!(gateway.seen[0].options.content_type.as_deref(), Some("application/json"));
    for (id, number) in [(6, 35), (7, 39)] {
        assert_eq!(gateway.answer(&post("t", id).option(number, b"coap").bytes()).code, "5.05");
    }
}

#[test]
fn a_part_of_a_payload_is_refused_and_told_the_size() {
    let mut gateway = Gateway::new();
    for (id, block) in [(1, &[0x08][..]), (2, &[0x16]), (3, &[0x1E]), (4, &[0x01, 0x06])] {
        let got = gateway.answer(&post("t", id).option(27, block).bytes());
        assert_eq!((got.code.as_str(), got.option(60)), ("4.13", Some(1_024)), "{block:02x?}");
    }
    // The first block without more is the whole.
    assert_eq!(gateway.send(&post("t", 5).option(27, &[0x06]).bytes()), []);
    assert_eq!(gateway.send(&post("t", 6).option(23, &[0x06]).bytes()), []);
    assert_eq!(gateway.answer(&post("t", 7).option(23, &[0x16]).bytes()).code, "4.02");
    assert_eq!(gateway.answer(&post("t", 8).option(23, &[0x00]).bytes()).code, "4.02");
    assert_eq!(gateway.answer(&post("t", 9).option(27, &[0, 0, 0, 0]).bytes()).code, "4.02");
}

#[test]
fn no_answer_is_more_than_three_times_its_request() {
    let mut gateway = Gateway::new();
    gateway.refusal = Some(Refusal::BadCredentials);
    for kind in [CON, NON] {
        for token in 0..=8 {
            let mut asking = post("t", token).kind(kind).payload(b"");
            asking.token = vec![1; token.into()];
            asking.options.truncate(1);
            let bytes = asking.bytes();
            let got = gateway.answer(&bytes);
            assert!(got.code == "4.01" && got.bytes.len() <= 3 * bytes.len(), "{got:?}");
        }
    }
    let tiny = [0x40, 2, 0, 9];
    let got = gateway.answer(&tiny);
    assert!(got.code == "4.04" && got.bytes.len() <= 12);
}
