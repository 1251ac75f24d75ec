use std::{string::String, vec::Vec};

use core::{
    cell::Cell,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use tidegate_protocol::Lane;

use super::{Letter, Outbox, PAYLOAD_BYTES_MAX, Verdict};
use crate::{
    Channel, Clock, Signal,
    store::{Identity, RamStore},
};

const CHANNELS: [Channel; 2] =
    [Channel { name: "temperature", unit: "°C", places: 2 }, Channel { name: "door", unit: "", places: 0 }];

/// A clock that stands where it was put.
struct Stopped(Cell<u64>);

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        self.0.get()
    }

    async fn wait_until(&self, ms: u64) {
        self.0.set(self.0.get().max(ms));
    }
}

fn identity() -> Identity {
    let text = |text: &str| text.try_into().expect("short");
    Identity { device: text("greenhouse-1"), secret: "s".try_into().expect("short"), boot_base: 6 }
}

fn outbox<const N: usize>() -> Outbox<RamStore<2, N>, 2> {
    Outbox::new(RamStore::new(Some(identity())), CHANNELS, [7; 32])
}

/// What would be sent at `now_ms`.
fn next<const N: usize>(outbox: &Outbox<RamStore<2, N>, 2>, now_ms: u64) -> Option<(Letter, String)> {
    let clock = Stopped(Cell::new(now_ms));
    let mut out = [0; PAYLOAD_BYTES_MAX];
    let polled = pin!(outbox.next(&clock, &mut out)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(letter) = polled else { return None };
    let payload = out.get(..letter.len).expect("it says how much it wrote");
    Some((letter, String::from_utf8(payload.to_vec()).expect("JSON")))
}

#[test]
fn a_reading_is_the_json_that_the_gateway_takes_and_stays_until_it_is_kept() {
    let outbox = outbox::<8>();
    assert_eq!((next(&outbox, 0), outbox.signal()), (None, Signal::Searching));
    outbox.push([Some(3_660), Some(1)], 1_000);
    let expected =
        r#"{"boot":7,"seq":1,"values":{"temperature":36.60,"door":1},"units":{"temperature":"°C"}}"#;
    let (letter, payload) = next(&outbox, 1_000).expect("one waits");
    assert_eq!((letter.lane, payload.as_str()), (Lane::Telemetry, expected));
    assert!(outbox.settle(letter, Verdict::Later { wait_ms: 0 }) > 0);
    assert_eq!(outbox.settle(letter, Verdict::Later { wait_ms: 30_000 }), 30_000);
    assert_eq!(next(&outbox, 2_000), Some((letter, expected.into())));
    outbox.note_linked();
    assert_eq!(outbox.signal(), Signal::Waiting);
    assert_eq!(outbox.settle(letter, Verdict::Kept), 0);
    assert_eq!((next(&outbox, 2_000), outbox.waiting(), outbox.signal()), (None, 0, Signal::Linked));
}

#[test]
fn values_below_zero_and_absent_ones_are_written_as_they_are() {
    let outbox = outbox::<8>();
    for (value, text) in [(-5, "-0.05"), (-150, "-1.50"), (0, "0.00"), (i32::MIN, "-21474836.48")] {
        outbox.push([Some(value), None], 1_000);
        let (letter, payload) = next(&outbox, 1_000).expect("one waits");
        assert!(payload.contains(&std::format!(r#""values":{{"temperature":{text}}}"#)), "{payload}");
        outbox.settle(letter, Verdict::Kept);
    }
    outbox.push([None, Some(1)], 1_000);
    let (letter, payload) = next(&outbox, 1_000).expect("one waits");
    assert_eq!(payload, r#"{"boot":7,"seq":5,"values":{"door":1}}"#);
    outbox.settle(letter, Verdict::Kept);
    // A sensor that does not answer has nothing to say, and is counted.
    outbox.push([None, None], 1_000);
    assert_eq!((next(&outbox, 1_000), outbox.refused_count(), outbox.waiting()), (None, 1, 0));
}

#[test]
fn readings_carry_the_time_once_somebody_has_told_it() {
    let outbox = outbox::<8>();
    outbox.push([Some(0), None], 1_000);
    outbox.set_time(1_700_000_005_000, 5_000);
    outbox.push([Some(0), None], 6_000);
    for ts in ["\"ts\":1700000001000", "\"ts\":1700000006000"] {
        let (letter, payload) = next(&outbox, 7_000).expect("one waits");
        assert!(payload.contains(ts), "{payload}");
        outbox.settle(letter, Verdict::Kept);
    }
}

#[test]
fn what_the_gateway_will_never_take_is_counted_and_what_follows_goes_on() {
    let outbox = outbox::<8>();
    outbox.push([Some(1), None], 0);
    outbox.push([Some(2), None], 0);
    let (letter, _) = next(&outbox, 0).expect("one waits");
    outbox.settle(letter, Verdict::Never);
    assert_eq!((outbox.refused_count(), outbox.waiting()), (1, 1));
    assert!(next(&outbox, 0).is_some_and(|(_, payload)| payload.contains("\"seq\":2")));
}

#[test]
fn what_a_full_store_gave_up_goes_out_as_an_event_in_its_place() {
    let outbox = outbox::<3>();
    for value in 0..5 {
        outbox.push([Some(value), None], 0);
    }
    let (letter, payload) = next(&outbox, 0).expect("a gap");
    let expected = r#"{"from":"greenhouse-1/7/1","to":"greenhouse-1/7/2","count":2,"reason":"device-full"}"#;
    assert_eq!((letter.lane, payload.as_str()), (Lane::Event, expected));
    // The gap grows while it is under way: the rest of it is told after it.
    outbox.push([Some(5), None], 0);
    outbox.settle(letter, Verdict::Kept);
    let mut said = Vec::new();
    while let Some((letter, payload)) = next(&outbox, 0) {
        outbox.settle(letter, Verdict::Kept);
        said.push(payload);
    }
    assert!(said.first().is_some_and(|gap| gap.contains(r#""from":"greenhouse-1/7/3""#)), "{said:?}");
    assert_eq!(said.len(), 4, "{said:?}");
}
