//! What is said on a perfect line.

use tidegate_firmware::{Action, Node, Signal, store::RamStore};
use tidegate_protocol::serial::{Command, Outcome};

use super::*;

#[test]
fn readings_become_the_json_that_any_device_would_send() {
    let (mut gateway, mut node) = (Gateway::new(), board("greenhouse-1", ADDRESS));
    node.handle_reading([Some(366)], 0);
    talk(&mut node, &mut gateway, 1_000);
    assert_eq!(
        gateway.payloads(),
        [concat!(
            r#"{"boot":1,"seq":1,"ts":1789999999000,"values":{"temperature":36.6},"#,
            r#""units":{"temperature":"°C"}}"#
        )]
    );
    assert_eq!(node.signal(), Signal::Linked);
}

#[test]
fn nothing_is_acknowledged_before_the_disk_has_it() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    talk(&mut node, &mut gateway, 0);
    node.handle_reading([Some(1)], 0);
    let answer = gateway.handle(&sent(&mut node, 0), 0);
    assert!(answer.is_empty(), "stored and not durable");
    assert_eq!(gateway.port.pending(), 1);
    node.handle_bytes(&gateway.commit(), 0);
    assert_eq!((gateway.port.pending(), node.store().len()), (0, 0));
}

#[test]
fn what_comes_again_is_stored_once_and_waits_for_the_same_disk() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    talk(&mut node, &mut gateway, 0);
    node.handle_reading([Some(1)], 0);
    gateway.handle(&sent(&mut node, 0), 0);
    let again = gateway.handle(&sent(&mut node, 2_000), 2_000);
    assert!(again.is_empty(), "it is not durable the second time either");
    assert_eq!(gateway.spool.len(), 1);
    node.handle_bytes(&gateway.commit(), 2_000);
    assert!(node.store().is_empty());
}

#[test]
fn several_boards_share_a_port() {
    let mut gateway = Gateway::new();
    let mut boards: Vec<_> = (1..=3).map(|address| board(&format!("d{address}"), address)).collect();
    for round in 1..=4 {
        for node in &mut boards {
            node.handle_reading([Some(round)], 0);
        }
        for turn in 0..6 {
            let bytes: Vec<u8> = boards.iter_mut().flat_map(|node| sent(node, turn)).collect();
            let mut answer = gateway.handle(&bytes, turn);
            answer.extend(gateway.commit());
            // Everybody on the line hears everything.
            boards.iter_mut().for_each(|node| node.handle_bytes(&answer, turn));
        }
    }
    for address in 1..=3 {
        let of = |device: &str| gateway.spool.iter().filter(|(held, ..)| held == device).count();
        assert_eq!(of(&format!("d{address}")), 4);
    }
}

#[test]
fn one_device_more_than_the_limit_ends_the_most_silent_link() {
    let mut gateway = Gateway::with(Limits { devices_max: 2, ..Limits::default() });
    let mut boards: Vec<_> = (1..=3).map(|address| board(&format!("d{address}"), address)).collect();
    for (at_ms, node) in (0..).zip(&mut boards) {
        talk(node, &mut gateway, at_ms);
        assert_eq!(node.signal(), Signal::Linked);
    }
    boards[0].handle_reading([Some(1)], 10);
    talk(&mut boards[0], &mut gateway, 10);
    assert_eq!(boards[0].signal(), Signal::Searching, "told that there is no link");
    talk(&mut boards[0], &mut gateway, 60_000);
    assert_eq!(gateway.spool.len(), 1, "and linked again");
}

#[test]
fn a_batch_beyond_what_may_wait_is_refused_for_a_second() {
    let mut gateway = Gateway::with(Limits { pending_max: 5, ..Limits::default() });
    let mut node = board("d", ADDRESS);
    talk(&mut node, &mut gateway, 0);
    (0..6).for_each(|at| node.handle_reading([Some(at)], 0));
    let answer = gateway.handle(&sent(&mut node, 0), 0);
    node.handle_bytes(&answer, 0);
    assert_eq!((gateway.spool.len(), node.poll_timeout()), (0, Some(1_000)));
}

#[test]
fn no_room_stops_a_batch_and_what_can_never_be_taken_does_not() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    talk(&mut node, &mut gateway, 0);
    (1..=3).for_each(|at| node.handle_reading([Some(at)], 0));
    gateway.refusal = Some(Refusal::QuotaExceeded);
    talk(&mut node, &mut gateway, 0);
    assert_eq!((node.store().len(), node.signal(), node.poll_timeout()), (3, Signal::Waiting, Some(30_000)));
    gateway.refusal = Some(Refusal::PayloadFormatInvalid);
    talk(&mut node, &mut gateway, 30_000);
    assert_eq!((node.store().len(), node.report(0).refused), (0, 3), "told, and not sent for ever");
    gateway.refusal = None;
    node.handle_reading([Some(4)], 30_000);
    talk(&mut node, &mut gateway, 30_000);
    assert_eq!(gateway.spool.len(), 1);
}

#[test]
fn a_wrong_secret_proves_nothing() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    gateway.secret = "ffffffffffffffffffffffffffffffff";
    node.handle_reading([Some(1)], 0);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(node.signal(), Signal::Refused);
    gateway.port.handle_timeout(Limits::default().challenge_ms_max, 0);
    gateway.answer_all(20_000);
    assert!(matches!(gateway.seen.last(), Some(Uplink::Unproven(_))), "{:?}", gateway.seen);
    assert!(gateway.spool.is_empty());
}

#[test]
fn a_recorded_conversation_is_worth_nothing() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    let mut recorded = Vec::new();
    for turn in 0..6 {
        if turn == 3 {
            node.handle_reading([Some(1)], 0);
        }
        let bytes = sent(&mut node, turn);
        recorded.extend_from_slice(&bytes);
        let mut answer = gateway.handle(&bytes, turn);
        answer.extend(gateway.commit());
        node.handle_bytes(&answer, turn);
    }
    assert_eq!(gateway.spool.len(), 1);
    gateway.marks = Marks::default();
    gateway.handle(&recorded, 10);
    assert_eq!(gateway.spool.len(), 1, "the challenge was another one");
    node.handle_reading([Some(2)], 10);
    talk(&mut node, &mut gateway, 10);
    assert_eq!(gateway.spool.len(), 2, "and the link of the device goes on");
}

#[test]
fn a_board_without_a_name_gets_one_and_sends() {
    let mut gateway = Gateway::new();
    let mut node = Node::new(RamStore::<1, 8>::new(None), CHANNELS, config(ADDRESS, 4));
    node.handle_reading([Some(5)], 0);
    talk(&mut node, &mut gateway, 0);
    let announced =
        |uplink: &Uplink| matches!(uplink, Uplink::Announce(greeting) if greeting.model == "test");
    assert!(gateway.seen.iter().any(announced));
    assert_eq!(node.signal(), Signal::Unclaimed);
    gateway.adopts = Some("kitchen");
    talk(&mut node, &mut gateway, 60_000);
    talk(&mut node, &mut gateway, 120_000);
    assert_eq!(gateway.spool.first().map(|(device, ..)| device.as_str()), Some("kitchen"));
}

#[test]
fn commands_go_out_and_answers_come_back() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    talk(&mut node, &mut gateway, 0);
    let Some(Uplink::Proven(link)) = gateway.seen.last().cloned() else { panic!("{:?}", gateway.seen) };
    assert!(gateway.port.handle_command(link, 7, Command::Identify { seconds: 3 }));
    node.handle_bytes(&gateway.said(), 0);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(node.poll_action(), Some(Action::Identify { seconds: 3 }));
    let Some(Uplink::Answer(_, answer)) = gateway.seen.last() else { panic!("{:?}", gateway.seen) };
    assert_eq!((answer.id, answer.outcome), (7, Outcome::Done));
    gateway.port.close(link);
    assert!(!gateway.port.handle_command(link, 8, Command::Reboot));
    assert!(!gateway.port.holds(link));
}

#[test]
fn the_time_is_told_again_every_hour() {
    let (mut gateway, mut node) = (Gateway::new(), board("d", ADDRESS));
    talk(&mut node, &mut gateway, 0);
    gateway.port.handle_timeout(3_599_999, 1_800_000_000_000);
    assert!(gateway.said().is_empty());
    gateway.port.handle_timeout(3_600_000, 1_800_000_000_000);
    node.handle_bytes(&gateway.said(), 3_600_000);
    node.handle_reading([Some(1)], 3_600_001);
    talk(&mut node, &mut gateway, 3_600_001);
    assert!(gateway.payloads()[0].contains("1800000000001"), "{:?}", gateway.payloads());
}
