//! A request that comes more than once is stored once.

use super::{super::duplicates::EXCHANGE_MS_MAX, *};

#[test]
fn a_repetition_waits_with_the_first_one_and_then_gets_the_same_answer() {
    let mut gateway = Gateway::new();
    let asking = post("t", 5).bytes();
    gateway.send(&asking);
    assert_eq!(gateway.send(&asking), []);
    let first = gateway.settle();
    assert_eq!(first.len(), 1, "one answer for both");
    assert_eq!(gateway.send(&asking), first);
    assert_eq!((gateway.seen.len(), gateway.stored), (1, 1));
    assert_eq!(gateway.endpoint.take_counts().duplicates, 2);
}

#[test]
fn a_repeated_non_confirmable_one_too() {
    let mut gateway = Gateway::new();
    let asking = post("t", 5).kind(NON).bytes();
    gateway.send(&asking);
    let first = gateway.settle();
    assert_eq!(gateway.send(&asking), first);
    assert_eq!(gateway.stored, 1);
}

#[test]
fn the_same_id_with_other_bytes_from_a_fast_peer_is_another_request() {
    let mut gateway = Gateway::new();
    gateway.send(&post("t", 5).payload(b"1").bytes());
    gateway.settle();
    assert_eq!(gateway.send(&post("t", 5).payload(b"2").bytes()), []);
    assert_eq!(gateway.settle().len(), 1);
    let mut other_token = post("t", 5).payload(b"2");
    other_token.token = vec![9];
    assert_eq!(gateway.send(&other_token.bytes()), []);
    assert_eq!(gateway.settle()[0].token, [9]);
    assert_eq!(gateway.stored, 3);
}

#[test]
fn another_peer_is_another_peer() {
    let mut gateway = Gateway::new();
    let asking = post("t", 5).bytes();
    gateway.send_from(peer(1), &asking);
    gateway.send_from(peer(2), &asking);
    let peers: Vec<_> = gateway.settle().iter().map(|got| got.peer).collect();
    assert_eq!(peers, [peer(1), peer(2)]);
}

#[test]
fn after_its_lifetime_it_is_new() {
    let mut gateway = Gateway::new();
    let asking = post("t", 5).bytes();
    gateway.send(&asking);
    gateway.settle();
    gateway.pass(EXCHANGE_MS_MAX - 1_000);
    assert_eq!(gateway.send(&asking).len(), 1);
    gateway.pass(2_000);
    gateway.send(&asking);
    assert_eq!(gateway.stored, 2);
    assert_eq!(gateway.endpoint.remembered(), 1);
}

#[test]
fn a_final_refusal_is_remembered_and_a_passing_one_is_tried_again() {
    for refusal in Refusal::ALL {
        let mut gateway = Gateway::new();
        gateway.refusal = Some(refusal);
        let asking = post("t", 5).bytes();
        let first = gateway.send(&asking);
        gateway.refusal = None;
        let again = gateway.send(&asking);
        let is_tried_again = gateway.seen.len() == 2;
        let is_unknown = refusal.coap_code() == answer::UNAUTHORIZED;
        assert_eq!(is_tried_again, refusal.is_passing() || is_unknown, "{refusal}");
        assert_eq!(again.is_empty(), is_tried_again);
        if !is_tried_again {
            assert_eq!(again, first);
        }
    }
}

#[test]
fn a_repetition_while_a_password_is_checked_waits_with_it() {
    let mut gateway = Gateway::new();
    gateway.waits = true;
    let asking = post("t", 5).bytes();
    gateway.send(&asking);
    assert_eq!((gateway.send(&asking), gateway.seen.len()), (vec![], 1));
    let receipt = gateway.seen[0].receipt;
    gateway.store(receipt);
    assert_eq!(gateway.settle()[0].code, "2.04");
    assert_eq!((gateway.send(&asking).len(), gateway.stored), (1, 1));
}

#[test]
fn nothing_is_remembered_of_who_did_not_prove_who_it_is() {
    let mut gateway = Gateway::new();
    gateway.refusal = Some(Refusal::BadCredentials);
    for number in 0..10_000 {
        assert_eq!(gateway.send_from(peer(number), &post("t", number).bytes()).len(), 1);
    }
    assert_eq!((gateway.endpoint.remembered(), gateway.endpoint.pending()), (0, 0));
}
