//! Whole bad days: frames lost, doubled and broken, boards and gateways that start again at any moment.

use proptest::prelude::*;
use tidegate_firmware::Node;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Measure,
    /// The board sends what it has, over a line on which this happens to each frame.
    Pass {
        ms: u64,
        fates: Vec<Fate>,
    },
    /// The disk confirms.
    Commit,
    /// Killed between two commits, perhaps.
    GatewayRestarts,
    /// Power goes. What it keeps here is in memory that survives, as on flash.
    BoardRestarts,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Doubled,
    Broken,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        4 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Doubled),
        1 => Just(Fate::Broken),
    ];
    prop_oneof![
        6 => Just(Step::Measure),
        8 => (1_u64..40_000, prop::collection::vec(fate, 0..12)).prop_map(|(ms, fates)| Step::Pass { ms, fates }),
        4 => Just(Step::Commit),
        1 => Just(Step::GatewayRestarts),
        1 => Just(Step::BoardRestarts),
    ]
}

/// A store that counts boots over restarts.
#[derive(Debug)]
struct Kept {
    ram: RamStore<1, 64>,
    boot: u32,
}

impl Store<1> for Kept {
    fn identity(&self) -> Option<&Identity> {
        self.ram.identity()
    }
    fn set_identity(&mut self, identity: Identity) -> bool {
        self.ram.set_identity(identity)
    }
    fn boot(&self) -> u32 {
        self.boot
    }
    fn push(&mut self, reading: tidegate_firmware::store::Stored<1>) {
        self.ram.push(reading);
    }
    fn len(&self) -> usize {
        self.ram.len()
    }
    fn get(&mut self, index: usize) -> Option<tidegate_firmware::store::Stored<1>> {
        self.ram.get(index)
    }
    fn forget(&mut self, place: tidegate_firmware::store::Place) {
        self.ram.forget(place);
    }
    fn dropped(&self) -> Option<tidegate_firmware::store::Dropped> {
        self.ram.dropped()
    }
    fn dropped_count(&self) -> u64 {
        self.ram.dropped_count()
    }
}

fn carry(frame: &[u8], fate: Fate) -> Vec<u8> {
    match fate {
        Fate::Lost => Vec::new(),
        Fate::Arrives => frame.to_vec(),
        Fate::Doubled => [frame, frame].concat(),
        Fate::Broken => {
            let mut broken = frame.to_vec();
            if let Some(byte) = broken.get_mut(frame.len() / 2) {
                *byte ^= 0x5a;
            }
            broken
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_reading_is_in_the_spool_once_and_in_order(steps in prop::collection::vec(step(), 1..80)) {
        let mut seed = 0;
        let kept = Kept { ram: RamStore::new(Some(identity("d"))), boot: 1 };
        let mut node = Node::new(kept, CHANNELS, config(ADDRESS, seed));
        let mut gateway = Gateway::new();
        let (mut now_ms, mut measured) = (0_u64, 0);
        let good = (0..12).flat_map(|_| [Step::Pass { ms: 60_000, fates: Vec::new() }, Step::Commit]);
        for step in steps.into_iter().chain(good) {
            match step {
                Step::Measure => {
                    measured += 1;
                    node.handle_reading([Some(measured)], now_ms);
                }
                Step::Pass { ms, mut fates } => {
                    now_ms += ms;
                    for _ in 0..30 {
                        let bytes = sent(&mut node, now_ms);
                        if bytes.is_empty() {
                            break;
                        }
                        let arrived = carry(&bytes, fates.pop().unwrap_or(Fate::Arrives));
                        let answer = gateway.handle(&arrived, now_ms);
                        node.handle_bytes(&carry(&answer, fates.pop().unwrap_or(Fate::Arrives)), now_ms);
                    }
                }
                Step::Commit => {
                    let said = gateway.commit();
                    node.handle_bytes(&said, now_ms);
                }
                Step::GatewayRestarts => gateway.restart(),
                Step::BoardRestarts => {
                    seed += 1;
                    now_ms = 0;
                    let mut kept = node.into_store();
                    kept.boot += 1;
                    node = Node::new(kept, CHANNELS, config(ADDRESS, seed));
                }
            }
        }
        let numbers: Vec<f64> = gateway.spool.iter().map(|(_, _, payload)| {
            let value: serde_json::Value = serde_json::from_str(payload).unwrap();
            value["values"]["temperature"].as_f64().unwrap() * 10.0
        }).collect();
        let expected: Vec<f64> = (1..=measured).map(f64::from).collect();
        prop_assert_eq!(numbers.len(), expected.len());
        for (number, expected) in numbers.iter().zip(&expected) {
            prop_assert!((number - expected).abs() < 1e-6);
        }
        prop_assert!(node.store().is_empty());
    }
}
