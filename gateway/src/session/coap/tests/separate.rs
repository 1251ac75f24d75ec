//! Answers that take long.

use super::{super::separates::ACK_TIMEOUT_MS, *};

/// A gateway whose only request was acknowledged and then confirmed by the disk; and the answer.
fn answered_late() -> (Gateway, Got) {
    let mut gateway = Gateway::new();
    gateway.send(&post("t", 5).bytes());
    assert_eq!(gateway.pass(499), []);
    let ack = gateway.pass(1).remove(0);
    assert_eq!((ack.kind, ack.code.as_str(), ack.message_id), (Kind::Acknowledgement, "0.00", 5));
    assert_eq!((ack.bytes.len(), gateway.pass(1_000).len()), (4, 0));
    let answer = gateway.settle().remove(0);
    assert_eq!((answer.kind, answer.code.as_str()), (Kind::Confirmable, "2.04"));
    assert_eq!(answer.token, [7, 8]);
    (gateway, answer)
}

#[test]
fn an_acknowledged_answer_is_sent_once() {
    let (mut gateway, answer) = answered_late();
    assert_eq!(gateway.send(&empty(ACK, answer.message_id)), []);
    assert_eq!((gateway.pass(200_000), gateway.endpoint.separates_pending()), (vec![], 0));
}

#[test]
fn a_reset_ends_it_too_and_another_peers_word_does_not_count() {
    let (mut gateway, answer) = answered_late();
    gateway.send_from(peer(9), &empty(RST, answer.message_id));
    gateway.send(&empty(ACK, answer.message_id.wrapping_add(1)));
    assert_eq!(gateway.endpoint.separates_pending(), 1);
    assert_eq!(gateway.send(&empty(RST, answer.message_id)), []);
    assert_eq!(gateway.endpoint.separates_pending(), 0);
}

#[test]
fn an_answer_that_nobody_acknowledges_is_repeated_four_times_at_growing_distances() {
    let (mut gateway, answer) = answered_late();
    let began_ms = gateway.now_ms;
    let mut at_ms = Vec::new();
    while gateway.endpoint.separates_pending() > 0 {
        for got in gateway.pass(10) {
            assert_eq!(got, answer);
            at_ms.push(gateway.now_ms - began_ms);
        }
    }
    assert_eq!(at_ms.len(), 4);
    assert!((ACK_TIMEOUT_MS..=ACK_TIMEOUT_MS * 3 / 2 + 10).contains(&at_ms[0]), "{at_ms:?}");
    for pair in at_ms.windows(3) {
        let [first, second] = [pair[1] - pair[0], pair[2] - pair[1]];
        assert!(second.abs_diff(first * 2) <= 20, "{at_ms:?}");
    }
    let whole_ms = gateway.now_ms - began_ms;
    assert!((62_000..=93_100).contains(&whole_ms), "{whole_ms}");
    assert_eq!(gateway.endpoint.take_counts().given_up, 1);
}

#[test]
fn a_repetition_of_an_acknowledged_request_is_acknowledged_again() {
    let mut gateway = Gateway::new();
    let asking = post("t", 5).bytes();
    gateway.send(&asking);
    let ack = gateway.pass(500);
    assert_eq!(gateway.send(&asking), ack);
    gateway.settle();
    let got = gateway.answer(&asking);
    assert_eq!((got.kind, got.code.as_str()), (Kind::Acknowledgement, "2.04"));
    assert_eq!(gateway.stored, 1);
}

#[test]
fn what_waits_for_a_password_is_acknowledged_in_time_and_refused_separately() {
    let mut gateway = Gateway::new();
    gateway.waits = true;
    gateway.send(&post("t", 5).bytes());
    assert_eq!(gateway.pass(500).len(), 1);
    assert_eq!(gateway.pass(500).len(), 0);
    gateway.endpoint.handle_refused(gateway.seen[0].receipt, Refusal::BadCredentials, gateway.now_ms);
    let got = gateway.sent().remove(0);
    assert_eq!((got.kind, got.code.as_str()), (Kind::Confirmable, "4.01"));
}

#[test]
fn a_stopping_gateway_answers_what_it_took_and_takes_no_more() {
    let mut gateway = Gateway::new();
    gateway.send(&post("t", 5).bytes());
    gateway.endpoint.handle_shutdown();
    let got = gateway.answer(&post("t", 6).bytes());
    assert_eq!((got.code.as_str(), got.option(14)), ("5.03", Some(30)));
    assert_eq!(gateway.endpoint.pending(), 1);
    assert_eq!(gateway.settle()[0].code, "2.04");
    assert_eq!(gateway.endpoint.pending(), 0);
}
