use core::{
    cell::RefCell,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use tidegate_firmware::{
    Channel, Clock, Config, Node, Sampler, Sampling, Signal,
    store::{FlashStore, Identity, RamStore, Store, Stored, Taken},
    uplink::{Outbox, PAYLOAD_BYTES_MAX, Verdict},
};
use tidegate_protocol::serial::WIRE_BYTES_MAX;

use crate::{
    flash::{Flash, SECTOR_BYTES, SECTORS},
    gateway::Gateway,
};

const SECRET: &str = "00112233445566778899aabbccddeeff";
const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 1 }];

fn identity() -> Identity {
    let device = "greenhouse-1".try_into().expect("short");
    Identity { device, secret: SECRET.try_into().expect("short"), boot_base: 0 }
}

fn config() -> Config {
    Config {
        hardware: "e6614103e7452c2f".try_into().expect("short"),
        model: "virt".try_into().expect("short"),
        firmware: "0.1.0".try_into().expect("short"),
        address: 9,
        seed: [3; 32],
        period_ms: 1_000,
    }
}

/// A board and a gateway on a perfect line for a minute and a half.
pub(crate) fn sends_until_it_is_acknowledged() -> usize {
    const READINGS: u64 = 90;
    let mut node = Node::new(RamStore::<1, 64>::new(Some(identity())), CHANNELS, config());
    let mut sampler = Sampler::<1>::new(Sampling { average: 1, ..Sampling::default() });
    let mut gateway = Gateway::new(SECRET);
    let (mut frame, mut answer) = ([0; WIRE_BYTES_MAX], [0; WIRE_BYTES_MAX]);
    let mut now_ms = 0;
    for _ in 0..READINGS {
        now_ms = sampler.due_ms().max(now_ms);
        if let Some(reading) = sampler.handle_measured([Some(366)], now_ms) {
            node.handle_reading(reading, now_ms);
        }
        while let Some(sent) = node.poll_transmit(now_ms, &mut frame) {
            if let Some(answered) = gateway.handle(sent, &mut answer) {
                node.handle_bytes(answered, now_ms);
            }
        }
    }
    assert_eq!(node.signal(), Signal::Linked);
    assert!(
        gateway.taken.iter().copied().eq((1..=READINGS).map(|number| (1, number))),
        "{:?}",
        gateway.taken
    );
    gateway.taken.len()
}

/// The power goes again and again, each time after some more bytes: what was written stays, in order.
pub(crate) fn keeps_its_readings_without_power() -> usize {
    let flash = Flash { bytes: RefCell::new([0xff; SECTOR_BYTES * SECTORS]), power: RefCell::new(None) };
    let mut kept = 0;
    let mut last = (0, 0);
    for round in 0..60 {
        flash.power.replace(None);
        let mut store = FlashStore::<_, 1>::open(&flash).expect("large enough");
        let boot = store.boot();
        assert!(boot > last.0, "boot {boot} after {last:?}");
        // All that is left of before is in order, and older than this start.
        let mut before = (0, 0);
        for index in 0..store.len() {
            let place = store.get(index).expect("it waits").place();
            assert!(before < place && place.0 < boot, "{place:?} behind {before:?}");
            before = place;
        }
        kept += store.len();
        store.forget(before);
        flash.power.replace(Some(40 + 37 * round));
        for sequence in 1..=8 {
            let values = [Some(round as i32)];
            store.push(Stored { boot, sequence, taken: Taken::Wall(1_700_000_000_000), values });
        }
        last = (boot, 8);
    }
    assert!(kept > 100, "{kept}");
    kept
}

struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        60_000
    }

    async fn wait_until(&self, _ms: u64) {}
}

pub(crate) fn writes_what_the_gateway_reads() -> usize {
    let outbox = Outbox::new(RamStore::<1, 8>::new(Some(identity())), CHANNELS, [3; 32]);
    let expected: [(i32, &[u8]); 3] = [
        (366, r#"{"boot":1,"seq":1,"values":{"temperature":36.6},"units":{"temperature":"°C"}}"#.as_bytes()),
        (-5, r#"{"boot":1,"seq":2,"values":{"temperature":-0.5},"units":{"temperature":"°C"}}"#.as_bytes()),
        (0, r#"{"boot":1,"seq":3,"values":{"temperature":0.0},"units":{"temperature":"°C"}}"#.as_bytes()),
    ];
    for (value, _) in expected {
        outbox.push([Some(value)], 0);
    }
    let mut out = [0; PAYLOAD_BYTES_MAX];
    for (value, expected) in expected {
        let next = pin!(outbox.next(&Stopped, &mut out)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(letter) = next else { panic!("{value} waits") };
        assert_eq!(&out[..letter.len], expected, "{value}");
        outbox.settle(letter, Verdict::Kept);
    }
    expected.len()
}
