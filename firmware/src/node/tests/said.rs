//! What is said on a perfect line.

use std::vec::Vec;

use tidegate_protocol::serial::{Adopt, Command, CommandBody, Outcome, Reason, Refuse, Time};

use super::{Gateway, identity, node, sent, talk};
use crate::{
    node::{Action, Signal, WAIT_MS_MAX, WALL_MS_MAX},
    store::Store,
};

#[test]
fn readings_are_kept_until_they_are_acknowledged() {
    let (mut node, mut gateway) = (node::<16>(Some(identity())), Gateway::new());
    node.handle_reading([Some(366)], 10);
    node.handle_reading([None], 20);
    assert_eq!(node.store().len(), 2);
    gateway.wall_ms = 1_790_000_000_000;
    talk(&mut node, &mut gateway, 1_000);
    assert_eq!(node.signal(), Signal::Linked);
    assert!(node.store().is_empty());
    let at_start = gateway.wall_ms - 1_000;
    assert_eq!(gateway.taken, [(1, 1, at_start + 10, Some(366)), (1, 2, at_start + 20, None)]);
    node.handle_reading([Some(-5)], 1_500);
    talk(&mut node, &mut gateway, 1_500);
    assert_eq!(gateway.taken[2..], [(1, 3, at_start + 1_500, Some(-5))]);
}

#[test]
fn many_readings_go_in_batches_and_in_order() {
    let (mut node, mut gateway) = (node::<64>(Some(identity())), Gateway::new());
    (1..=50).for_each(|at| node.handle_reading([Some(at)], 0));
    talk(&mut node, &mut gateway, 0);
    let digits: Vec<_> = gateway.taken.iter().filter_map(|taken| taken.3).collect();
    assert_eq!(digits, (1..=50).collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_becomes_a_gap_in_front_of_the_rest() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    (1..=20).for_each(|at| node.handle_reading([Some(at)], 0));
    assert_eq!(node.store().dropped_count(), 12);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(gateway.gaps, [(1, 1, 12)]);
    assert_eq!(gateway.taken.iter().map(|taken| taken.1).collect::<Vec<_>>(), (13..=20).collect::<Vec<_>>());
    assert!(node.store().dropped().is_none() && node.store().is_empty());
}

#[test]
fn a_wrong_secret_is_noticed_on_the_board_and_nothing_is_given_away() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    gateway.secret = "ffffffffffffffffffffffffffffffff";
    node.handle_reading([Some(1)], 0);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(node.signal(), Signal::Refused);
    assert!(gateway.taken.is_empty());
    let hellos = gateway.hellos;
    talk(&mut node, &mut gateway, 100);
    assert_eq!(gateway.hellos, hellos, "it waits before it tries again");
    gateway.secret = super::SECRET;
    talk(&mut node, &mut gateway, 60_000);
    assert_eq!(node.signal(), Signal::Linked);
    assert_eq!(gateway.taken.len(), 1);
}

#[test]
fn a_board_without_a_name_asks_for_one_and_keeps_it() {
    let (mut node, mut gateway) = (node::<8>(None), Gateway::new());
    node.handle_reading([Some(7)], 0);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(node.signal(), Signal::Unclaimed);
    gateway.adopts = Some("kitchen");
    talk(&mut node, &mut gateway, 10_000);
    talk(&mut node, &mut gateway, 20_000);
    assert_eq!(node.store().identity().unwrap().device, "kitchen");
    assert_eq!(gateway.taken.len(), 1, "what it measured before it had a name arrives too");
    gateway.adopts = Some("cellar");
    let again = gateway.frame(
        &tidegate_protocol::serial::Adopt {
            hardware: "e6614103e7452c2f",
            device: "cellar",
            secret: "x",
            boot_seen: 0,
        },
        false,
    );
    node.handle_bytes(&again, 20_000);
    assert_eq!(node.store().identity().unwrap().device, "kitchen", "it has a name");
}

#[test]
fn a_board_that_has_lost_its_count_goes_on_above_what_the_gateway_has() {
    let mut gateway = Gateway::new();
    for boot in 1..=3 {
        let mut node = node::<8>(Some(identity()));
        node.handle_reading([Some(boot)], 0);
        talk(&mut node, &mut gateway, 0);
        assert_eq!(gateway.taken.len(), usize::try_from(boot).unwrap());
        assert_eq!(
            gateway.taken.last().map(|taken| (taken.0, taken.3)),
            Some((boot.cast_unsigned(), Some(boot.into())))
        );
    }
}

#[test]
fn commands_are_done_and_answered() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    let commands = [
        (Some(Command::SetPeriod { period_ms: 5_000 }), Outcome::Done),
        (Some(Command::SetPeriod { period_ms: 1 }), Outcome::OutOfRange),
        (Some(Command::Identify { seconds: 9 }), Outcome::Done),
        (Some(Command::Report), Outcome::Done),
        (Some(Command::Reboot), Outcome::Done),
    ];
    for (id, (command, _)) in (1..).zip(commands) {
        let frame = gateway.frame(&CommandBody { id, command }, true);
        node.handle_bytes(&frame, 5);
        talk(&mut node, &mut gateway, 5);
    }
    let later = gateway.raw(9, &[6, 99, 1, 2], true);
    node.handle_bytes(&later, 5);
    talk(&mut node, &mut gateway, 5);
    let outcomes: Vec<_> = gateway.answers.iter().map(|answer| answer.outcome).collect();
    let expected: Vec<_> = commands.iter().map(|(_, outcome)| *outcome).chain([Outcome::Unknown]).collect();
    assert_eq!(outcomes, expected);
    assert_eq!(gateway.answers[3].report.unwrap().uptime_ms, 5);
    let actions: Vec<_> = core::iter::from_fn(|| node.poll_action()).collect();
    assert_eq!(
        actions,
        [Action::SetPeriod { period_ms: 5_000 }, Action::Identify { seconds: 9 }, Action::Reboot]
    );
}

#[test]
fn commands_beyond_the_limit_are_left_to_be_asked_again() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    for id in 0..9 {
        let frame = gateway.frame(&CommandBody { id, command: Some(Command::Report) }, true);
        node.handle_bytes(&frame, 5);
    }
    talk(&mut node, &mut gateway, 5);
    assert_eq!(gateway.answers.len(), super::super::ANSWERS_MAX);
}

#[test]
fn a_body_of_a_later_version_is_refused_politely() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    let frame = gateway.raw(200, b"later", true);
    node.handle_bytes(&frame, 1);
    assert_eq!(sent(&mut node, 1).len(), 1, "a refusal");
    node.handle_reading([Some(1)], 2);
    talk(&mut node, &mut gateway, 2);
    assert_eq!(gateway.taken.len(), 1, "and the link goes on");
}

#[test]
fn what_was_not_sealed_or_comes_twice_changes_nothing() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    let reboot = CommandBody { id: 1, command: Some(Command::Reboot) };
    let forged = gateway.frame(&reboot, false);
    node.handle_bytes(&forged, 1);
    assert_eq!(node.poll_action(), None, "forged");
    let frame = gateway.frame(&reboot, true);
    node.handle_bytes(&frame, 1);
    assert_eq!(node.poll_action(), Some(Action::Reboot));
    node.handle_bytes(&frame, 1);
    assert_eq!(node.poll_action(), None, "an echo");
}

#[test]
fn no_room_at_the_gateway_is_waited_for() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    gateway.refuses = Some((Reason::NoRoom, 30_000));
    node.handle_reading([Some(1)], 0);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(node.signal(), Signal::Waiting);
    assert_eq!(node.poll_timeout(), Some(30_000));
    gateway.refuses = None;
    talk(&mut node, &mut gateway, 29_999);
    assert!(gateway.taken.is_empty());
    talk(&mut node, &mut gateway, 30_000);
    assert_eq!(gateway.taken.len(), 1);
}

#[test]
fn no_refusal_silences_a_board_for_longer_than_the_longest_wait() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    sent(&mut node, 0);
    let refuse = Refuse { reason: Reason::TooMany.code(), frame: 0, boot: 0, sequence: 0, wait_ms: u32::MAX };
    let forged = gateway.frame(&refuse, false);
    node.handle_bytes(&forged, 0);
    assert_eq!(node.poll_timeout(), Some(WAIT_MS_MAX), "before a link");
    talk(&mut node, &mut gateway, WAIT_MS_MAX);
    gateway.refuses = Some((Reason::NoRoom, u32::MAX));
    node.handle_reading([Some(1)], WAIT_MS_MAX);
    talk(&mut node, &mut gateway, WAIT_MS_MAX);
    assert_eq!(node.poll_timeout(), Some(2 * WAIT_MS_MAX), "in a link");
}

#[test]
fn a_time_that_no_reading_has_room_for_is_not_believed() {
    let (mut node, mut gateway) = (node::<16>(Some(identity())), Gateway::new());
    // Numbers, digits and boots are as long as they can be.
    node.link.sequence = u32::MAX - 32;
    gateway.mark = (u32::MAX - 1, 1);
    gateway.wall_ms = u64::MAX;
    talk(&mut node, &mut gateway, 0);
    (1..=16).for_each(|at| node.handle_reading([Some(i32::MIN + at)], 0));
    talk(&mut node, &mut gateway, 0);
    assert_eq!(gateway.taken.iter().map(|taken| taken.2).collect::<Vec<_>>(), [0; 16]);
    let latest = gateway.frame(&Time { wall_ms: WALL_MS_MAX }, true);
    node.handle_bytes(&latest, 0);
    (1..=16).for_each(|at| node.handle_reading([Some(i32::MIN + at)], 0));
    talk(&mut node, &mut gateway, 0);
    assert_eq!(gateway.taken[16..].iter().map(|taken| taken.2).collect::<Vec<_>>(), [WALL_MS_MAX; 16]);
}

#[test]
fn a_board_behind_the_highest_boot_forgets_what_is_acknowledged() {
    let (mut node, mut gateway) = (node::<8>(None), Gateway::new());
    let (hardware, device, secret) = ("e6614103e7452c2f", "kitchen", super::SECRET);
    let adopt = gateway.frame(&Adopt { hardware, device, secret, boot_seen: u32::MAX }, false);
    node.handle_bytes(&adopt, 0);
    node.handle_reading([Some(1)], 0);
    talk(&mut node, &mut gateway, 0);
    assert_eq!(gateway.taken, [(u32::MAX, 1, 0, Some(1))]);
    assert!(node.store().is_empty());
}

#[test]
fn a_gap_is_given_up_for_its_own_refusal_alone() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    (1..=9).for_each(|at| node.handle_reading([Some(at)], 0));
    assert_eq!(sent(&mut node, 0).len(), 1, "the gap, behind the proof");
    for (frame, is_left) in [(1, true), (3, true), (2, false)] {
        let reason = Reason::UnknownKind.code();
        let refuse = gateway.frame(&Refuse { reason, frame, boot: 0, sequence: 0, wait_ms: 0 }, true);
        node.handle_bytes(&refuse, 0);
        assert_eq!(node.store().dropped().is_some(), is_left, "{frame}");
    }
    talk(&mut node, &mut gateway, 0);
    assert!(gateway.gaps.is_empty());
    assert_eq!(gateway.taken.len(), 8, "the readings behind it are as they were");
}
