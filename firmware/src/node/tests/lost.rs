//! What is lost, doubled and late on the line, and who starts again.

use std::vec::Vec;

use proptest::prelude::*;

use super::{Gateway, config, identity, node, sent, talk};
use crate::{
    node::{FRAME_WAIT_MS, Node, tests::CHANNELS},
    store::{FlashStore, Store},
};

#[test]
fn a_frame_that_is_lost_is_sent_again_later_and_later() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    node.handle_reading([Some(1)], 0);
    assert_eq!(sent(&mut node, 0).len(), 1);
    assert_eq!(sent(&mut node, FRAME_WAIT_MS - 1).len(), 0);
    let mut due_ms = FRAME_WAIT_MS;
    for wait_ms in [2, 4, 8, 8].map(|times| times * FRAME_WAIT_MS) {
        assert_eq!(node.poll_timeout(), Some(due_ms));
        assert_eq!(sent(&mut node, due_ms).len(), 1);
        due_ms += wait_ms;
    }
    assert_eq!(sent(&mut node, due_ms).len(), 0, "the link is given up");
    talk(&mut node, &mut gateway, due_ms + 60_000);
    assert_eq!(gateway.taken.len(), 1);
}

#[test]
fn a_gateway_that_starts_again_gets_what_it_did_not_acknowledge() {
    let (mut node, mut gateway) = (node::<8>(Some(identity())), Gateway::new());
    talk(&mut node, &mut gateway, 0);
    node.handle_reading([Some(1)], 0);
    for frame in sent(&mut node, 0) {
        // Stored, and the acknowledgement is lost with the gateway.
        gateway.handle(&frame);
    }
    gateway.restart();
    node.handle_reading([Some(2)], 100);
    talk(&mut node, &mut gateway, FRAME_WAIT_MS);
    talk(&mut node, &mut gateway, FRAME_WAIT_MS + 5_000);
    let numbers: Vec<_> = gateway.taken.iter().map(|taken| (taken.0, taken.1)).collect();
    assert_eq!(numbers, [(1, 1), (1, 2)]);
    assert!(node.store().is_empty());
}

/// What happens in one step of a bad day.
#[derive(Clone, Debug)]
enum Step {
    Measure,
    /// Time passes, and so many of the frames that are then on their way are lost, doubled or broken.
    Pass {
        ms: u64,
        fates: Vec<Fate>,
    },
    GatewayRestarts,
    /// The power goes; what is not on flash is gone.
    BoardRestarts,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Doubled,
    Broken,
    /// Behind the next one.
    Late,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        4 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Doubled),
        1 => Just(Fate::Broken),
        1 => Just(Fate::Late),
    ];
    prop_oneof![
        6 => Just(Step::Measure),
        6 => (1_u64..40_000, prop::collection::vec(fate, 0..12)).prop_map(|(ms, fates)| Step::Pass { ms, fates }),
        1 => Just(Step::GatewayRestarts),
        1 => Just(Step::BoardRestarts),
    ]
}

struct Line {
    fates: Vec<Fate>,
    late: Option<Vec<u8>>,
}

impl Line {
    fn carry(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        match self.fates.pop().unwrap_or(Fate::Arrives) {
            Fate::Lost => {}
            Fate::Arrives => out.push(frame.to_vec()),
            Fate::Doubled => out.extend([frame.to_vec(), frame.to_vec()]),
            Fate::Broken => {
                let mut broken = frame.to_vec();
                let middle = broken.len() / 2;
                broken[middle] ^= 0x5a;
                out.push(broken);
            }
            Fate::Late => return self.late.replace(frame.to_vec()).into_iter().collect(),
        }
        out.extend(self.late.take());
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_reading_arrives_once_and_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let flash = crate::store::simulated_flash(12);
        let mut store = FlashStore::<_, 1>::open(flash).unwrap();
        prop_assert!(store.set_identity(identity()));
        let mut seed = 0;
        let mut node = Node::new(store, CHANNELS, config(seed));
        let (mut gateway, mut line) = (Gateway::new(), Line { fates: Vec::new(), late: None });
        let (mut now_ms, mut measured) = (0_u64, 0);
        // In the end the line is good and there is time.
        let good = (0..12).map(|_| Step::Pass { ms: 60_000, fates: Vec::new() });
        for step in steps.into_iter().chain(good) {
            match step {
                Step::Measure => {
                    measured += 1;
                    node.handle_reading([Some(measured)], now_ms);
                }
                Step::Pass { ms, fates } => {
                    now_ms += ms;
                    line.fates = fates;
                    for _ in 0..40 {
                        let frames = sent(&mut node, now_ms);
                        if frames.is_empty() {
                            break;
                        }
                        let arrived: Vec<_> = frames.iter().flat_map(|frame| line.carry(frame)).collect();
                        for frame in arrived {
                            let answers = gateway.handle(&frame);
                            for answer in answers.iter().flat_map(|answer| line.carry(answer)) {
                                node.handle_bytes(&answer, now_ms);
                            }
                        }
                    }
                }
                Step::GatewayRestarts => gateway.restart(),
                Step::BoardRestarts => {
                    seed += 1;
                    now_ms = 0;
                    let store = FlashStore::open(node.into_store().into_flash()).unwrap();
                    node = Node::new(store, CHANNELS, config(seed));
                }
            }
        }
        let digits: Vec<_> = gateway.taken.iter().filter_map(|taken| taken.3).collect();
        prop_assert_eq!(digits, (1..=i64::from(measured)).collect::<Vec<_>>());
        prop_assert!(gateway.gaps.is_empty());
        prop_assert!(node.store().is_empty());
    }
}
