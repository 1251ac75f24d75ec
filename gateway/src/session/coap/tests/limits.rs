//! Each limit is reached.

use super::*;

#[test]
fn payloads_up_to_the_limit_are_taken_and_longer_ones_told_so() {
    let limits = Limits { payload_bytes_max: 100, ..Limits::default() };
    let mut gateway = Gateway::with(limits.clone());
    assert_eq!(gateway.send(&post("t", 1).payload(&[b'x'; 100]).bytes()), []);
    let got = gateway.answer(&post("t", 2).payload(&[b'x'; 101]).bytes());
    assert_eq!((got.code.as_str(), got.option(60)), ("4.13", Some(100)));
    // Its end was cut off by the buffer that it was read into.
    let mut cut = post("t", 3).payload(&[b'x'; 10_000]).bytes();
    cut.truncate(limits.datagram_bytes_max() + 1);
    assert_eq!(gateway.answer(&cut).code, "4.13");
    assert!(limits.datagram_bytes_max() > 100 + limits.topic_bytes_max);
}

#[test]
fn topics_and_options_have_limits() {
    let limits = Limits { topic_bytes_max: 10, options_max: 5, ..Limits::default() };
    let mut gateway = Gateway::with(limits);
    assert_eq!(gateway.send(&post("aaaa/bbbbb", 1).bytes()), []);
    assert_eq!(gateway.answer(&post("aaaa/bbbbbb", 2).bytes()).code, "4.00");
    let five = post("t", 3).option(60, &[1]).option(60, &[1]);
    assert_eq!(gateway.send(&five.bytes()), []);
    let mut six = post("t", 4).option(60, &[1]).option(60, &[1]);
    six.options.push((60, vec![1]));
    assert_eq!(gateway.answer(&six.bytes()).kind, Kind::Reset);
}

#[test]
fn as_many_requests_wait_as_may() {
    let limits = Limits { exchanges_max: 3, ..Limits::default() };
    let mut gateway = Gateway::with(limits);
    for id in 0..3 {
        assert_eq!(gateway.send(&post("t", id).bytes()), []);
    }
    let got = gateway.answer(&post("t", 3).bytes());
    assert_eq!((got.code.as_str(), got.option(14)), ("5.03", Some(1)));
    assert_eq!(gateway.settle().len(), 3);
    assert_eq!(gateway.send(&post("t", 3).bytes()), []);
}

#[test]
fn one_peer_has_as_many_ids_as_may_be_and_leaves_the_others_theirs() {
    let limits = Limits { duplicates_per_peer_max: 4, ..Limits::default() };
    let mut gateway = Gateway::with(limits);
    gateway.send_from(peer(2), &post("t", 0).bytes());
    gateway.settle();
    for id in 0..100 {
        gateway.send(&post("t", id).bytes());
        gateway.settle();
    }
    assert_eq!(gateway.endpoint.remembered(), 5);
    let is_known =
        |gateway: &mut Gateway, peer, id| !gateway.send_from(peer, &post("t", id).bytes()).is_empty();
    for id in 96..100 {
        assert!(is_known(&mut gateway, peer(1), id));
    }
    assert!(is_known(&mut gateway, peer(2), 0));
    assert!(!is_known(&mut gateway, peer(1), 95));
    // As long as one of them waits, the next one with its place is told to wait.
    assert_eq!(gateway.answer(&post("t", 99).payload(b"2").bytes()).code, "5.03");
}

#[test]
fn all_peers_together_are_remembered_up_to_the_limit() {
    let limits = Limits { duplicates_max: 50, ..Limits::default() };
    let mut gateway = Gateway::with(limits);
    for number in 0..500 {
        gateway.send_from(peer(number), &post("t", 1).bytes());
        gateway.settle();
        assert!(gateway.endpoint.remembered() <= 50);
    }
    assert_eq!(gateway.send_from(peer(499), &post("t", 1).bytes()).len(), 1);
}

#[test]
fn separate_answers_beyond_the_limit_go_out_once_and_unconfirmed() {
    let limits = Limits { separate_max: 2, ..Limits::default() };
    let mut gateway = Gateway::with(limits);
    for id in 0..5 {
        gateway.send(&post("t", id).bytes());
    }
    assert_eq!(gateway.pass(500).len(), 5);
    let kinds: Vec<_> = gateway.settle().iter().map(|got| got.kind).collect();
    let (con, non) = (Kind::Confirmable, Kind::NonConfirmable);
    assert_eq!(kinds, [con, con, non, non, non]);
    assert_eq!(gateway.endpoint.separates_pending(), 2);
}

#[test]
fn what_the_kernel_does_not_take_is_dropped_beyond_the_limit() {
    let limits = Limits { unsent_datagrams_max: 3, ..Limits::default() };
    let mut gateway = Gateway::with(limits);
    for id in 0..10 {
        assert!(gateway.endpoint.handle_datagram(peer(1), &empty(CON, id), 0).is_none());
    }
    assert_eq!(gateway.sent().len(), 3);
    assert_eq!(gateway.endpoint.take_counts().dropped, 7);
}

#[test]
fn workers_share_what_the_gateway_may_hold() {
    let share = Limits::default().share(3);
    let all = Limits::default();
    assert_eq!(share.duplicates_max, all.duplicates_max.div_ceil(3));
    assert_eq!(share.exchanges_max, all.exchanges_max.div_ceil(3));
    assert_eq!(share.separate_max, all.separate_max.div_ceil(3));
    assert_eq!(share.peers_max, all.peers_max.div_ceil(3));
    assert_eq!(share.unsent_datagrams_max, all.unsent_datagrams_max.div_ceil(3));
    assert_eq!(share.payload_bytes_max, all.payload_bytes_max);
    let none = Limits { duplicates_max: 0, ..all };
    assert_eq!(none.share(0).duplicates_max, 1);
}
