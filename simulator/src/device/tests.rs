use super::*;

const PLAN: DevicePlan = DevicePlan {
    schedule: Schedule::periodic(100),
    phase_us: 10,
    end_us: 10_000,
    inflight_max: 1,
    backlog_max: 5,
    acknowledged: true,
};

fn connected(plan: DevicePlan) -> Device {
    let mut device = Device::new(plan);
    device.handle_connected(0);
    device
}

/// Sends all that may be sent, under the packet ids from `packet` on.
fn send_all(device: &mut Device, packet: u16, now_us: Micros) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some(sending) = device.poll_send(now_us) {
        let step = u16::try_from(sent.len()).unwrap();
        assert_eq!(device.handle_written(packet + step, now_us), None);
        sent.push(sending.sequence);
    }
    sent
}

#[test]
fn readings_follow_the_schedule_and_one_is_on_its_way() {
    let mut device = connected(PLAN);
    assert_eq!(device.poll_send(9), None);
    assert_eq!(device.poll_timeout(), Some(10));
    assert_eq!(device.poll_send(12), Some(Sending { sequence: 1, planned_us: 10 }));
    device.handle_written(1, 12);
    assert_eq!(device.poll_send(300), None, "the window is closed");
    assert_eq!(device.poll_timeout(), None);
    let settled = device.handle_acknowledged(1, 300).unwrap();
    assert_eq!(settled, Settled { sequence: 1, latency_us: 290, round_trip_us: 288, in_order: true });
    assert_eq!(device.poll_send(300), Some(Sending { sequence: 2, planned_us: 110 }));
    assert_eq!(device.handle_acknowledged(9, 300), None, "nothing is on its way under that id");
}

#[test]
fn latency_counts_from_the_planned_time_so_that_a_stall_shows() {
    let mut device = connected(DevicePlan { backlog_max: 100, ..PLAN });
    device.poll_send(10);
    device.handle_written(1, 10);
    device.handle_acknowledged(1, 1010);
    let mut latencies = Vec::new();
    while let Some(_sending) = device.poll_send(1010) {
        device.handle_written(1, 1010);
        latencies.push(device.handle_acknowledged(1, 1010).unwrap().latency_us);
    }
    assert_eq!(latencies, [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]);
}

#[test]
fn what_was_on_its_way_goes_again_in_order_and_first() {
    let mut device = connected(DevicePlan { inflight_max: 3, ..PLAN });
    assert_eq!(send_all(&mut device, 1, 410), [1, 2, 3]);
    device.handle_acknowledged(1, 420);
    device.handle_disconnected();
    assert_eq!(device.handle_acknowledged(2, 420), None, "an acknowledgement of the old connection");
    device.handle_connected(430);
    assert_eq!(send_all(&mut device, 1, 430), [2, 3, 4]);
    let resent = device.in_flight.front().unwrap();
    assert_eq!(resent.planned_us, 110, "with the time of its own, so with the same content");
    assert_eq!(device.counts().resent, 2);
    assert_eq!(device.counts().sent, 4);
}

#[test]
fn backlog_max_is_reached_and_the_oldest_unsent_are_skipped() {
    let mut device = connected(PLAN);
    assert_eq!(send_all(&mut device, 1, 10), [1]);
    device.handle_disconnected();
    device.handle_connected(1000);
    assert_eq!(send_all(&mut device, 1, 1000), [1], "what was sent is never skipped");
    device.handle_acknowledged(1, 1000);
    assert_eq!(device.counts().skipped, 4, "10 planned, 1 sent, 5 kept");
    assert_eq!(device.poll_send(1000).unwrap().sequence, 6);
    assert_eq!(device.unsettled(), 5);
    assert!(!device.into_acknowledged().contains(2), "a skipped reading is never acknowledged");
}

#[test]
fn a_passing_refusal_is_sent_again_after_a_while() {
    let mut device = connected(PLAN);
    send_all(&mut device, 1, 10);
    device.handle_refused(1, Some(500));
    assert_eq!(device.poll_send(400), None);
    assert_eq!(device.poll_timeout(), Some(500));
    assert_eq!(device.poll_send(500), Some(Sending { sequence: 1, planned_us: 10 }));
    assert_eq!(device.counts().given_up, 0);
}

#[test]
fn a_lasting_refusal_is_given_up() {
    let mut device = connected(PLAN);
    send_all(&mut device, 1, 10);
    device.handle_refused(1, None);
    assert_eq!(device.counts().given_up, 1);
    assert_eq!(device.poll_send(110).unwrap().sequence, 2);
}

#[test]
fn a_refused_reading_never_overtakes_a_later_one_that_was_stored() {
    let mut device = connected(DevicePlan { inflight_max: 3, ..PLAN });
    assert_eq!(send_all(&mut device, 1, 210), [1, 2, 3]);
    device.handle_refused(1, Some(250));
    assert_eq!(device.poll_send(260), None, "waits until what is on its way is settled");
    device.handle_acknowledged(2, 270);
    device.handle_refused(3, Some(300));
    assert_eq!(device.poll_send(300).unwrap().sequence, 3, "1 would come after 2");
    assert_eq!(device.counts().given_up, 1);
}

#[test]
fn a_refused_reading_is_given_up_when_the_fate_of_a_later_one_is_unknown() {
    let mut device = connected(DevicePlan { inflight_max: 3, ..PLAN });
    assert_eq!(send_all(&mut device, 1, 210), [1, 2, 3]);
    device.handle_refused(1, Some(250));
    device.handle_refused(3, Some(250));
    device.handle_disconnected();
    assert_eq!(send_all(&mut device, 1, 260), [2, 3,]);
    assert_eq!(device.counts().given_up, 1);
}

#[test]
fn acknowledgements_out_of_order_are_seen() {
    let mut device = connected(DevicePlan { inflight_max: 3, ..PLAN });
    assert_eq!(send_all(&mut device, 1, 210), [1, 2, 3]);
    assert!(!device.handle_acknowledged(2, 220).unwrap().in_order);
    assert!(device.handle_acknowledged(1, 220).unwrap().in_order);
}

#[test]
fn the_end_stops_planning_and_what_is_owed_is_still_sent() {
    let mut device = connected(PLAN);
    device.handle_stop(150);
    assert_eq!(send_all(&mut device, 1, 9000), [1]);
    assert!(!device.is_done(9000));
    device.handle_acknowledged(1, 9000);
    assert_eq!(send_all(&mut device, 1, 9000), [2]);
    device.handle_acknowledged(1, 9000);
    assert_eq!(device.planned(), 2);
    assert!(device.is_done(9000) && device.poll_timeout().is_none());
}

#[test]
fn without_an_interval_the_next_reading_follows_the_acknowledgement() {
    let mut device =
        connected(DevicePlan { schedule: Schedule::periodic(0), phase_us: 0, inflight_max: 2, ..PLAN });
    assert_eq!(send_all(&mut device, 1, 50), [1, 2]);
    assert_eq!(device.handle_acknowledged(1, 75).unwrap().latency_us, 25);
    assert_eq!(device.poll_send(75), Some(Sending { sequence: 3, planned_us: 75 }));
    device.handle_acknowledged(2, 80);
    assert_eq!(device.poll_send(10_000), None, "past the end");
}

#[test]
fn at_qos_0_a_reading_is_settled_when_written_and_never_acknowledged() {
    let mut device = connected(DevicePlan { acknowledged: false, ..PLAN });
    device.poll_send(10);
    assert_eq!(device.handle_written(0, 20).unwrap().sequence, 1);
    assert_eq!(device.unsettled(), 0);
    assert!(device.into_acknowledged().is_empty());
}

#[test]
fn a_burst_is_planned_and_sent_reading_by_reading() {
    let timing = crate::profile::Timing::Bursts { readings: 3, gap_us: 5 };
    let schedule = Schedule { timing, ..Schedule::periodic(100) };
    let mut device = connected(DevicePlan { schedule, phase_us: 0, inflight_max: 9, ..PLAN });
    assert_eq!(send_all(&mut device, 1, 4), [1]);
    assert_eq!(device.poll_timeout(), Some(5));
    assert_eq!(send_all(&mut device, 2, 299), [2, 3]);
    assert_eq!(device.poll_timeout(), Some(300));
    assert_eq!(send_all(&mut device, 4, 310), [4, 5, 6]);
}
