mod gateway;
mod lost;
mod said;

use std::vec::Vec;

use tidegate_protocol::serial::WIRE_BYTES_MAX;

use self::gateway::Gateway;
use super::{Config, Node};
use crate::{
    Channel,
    store::{Identity, RamStore, Store},
};

const SECRET: &str = "00112233445566778899aabbccddeeff";
const DEVICE: &str = "greenhouse-1";
const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 1 }];

fn identity() -> Identity {
    Identity { device: DEVICE.try_into().unwrap(), secret: SECRET.try_into().unwrap(), boot_base: 0 }
}

fn config(seed: u8) -> Config {
    Config {
        hardware: "e6614103e7452c2f".try_into().unwrap(),
        model: "test".try_into().unwrap(),
        firmware: "0.1.0".try_into().unwrap(),
        address: 9,
        seed: [seed; 32],
        period_ms: 1_000,
    }
}

fn node<const N: usize>(identity: Option<Identity>) -> Node<RamStore<1, N>, 1> {
    Node::new(RamStore::new(identity), CHANNELS, config(1))
}

/// All that `node` has to send at `now_ms`, frame by frame.
fn sent<S: Store<1>>(node: &mut Node<S, 1>, now_ms: u64) -> Vec<Vec<u8>> {
    let mut out = [0; WIRE_BYTES_MAX];
    let mut frames = Vec::new();
    while let Some(bytes) = node.poll_transmit(now_ms, &mut out) {
        frames.push(bytes.to_vec());
    }
    frames
}

/// Lets both talk over a perfect line until nobody has anything to say at `now_ms`.
fn talk<S: Store<1>>(node: &mut Node<S, 1>, gateway: &mut Gateway, now_ms: u64) {
    loop {
        let frames = sent(node, now_ms);
        if frames.is_empty() {
            return;
        }
        for frame in frames {
            for answer in gateway.handle(&frame) {
                node.handle_bytes(&answer, now_ms);
            }
        }
    }
}
