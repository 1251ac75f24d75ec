//! What a sensor board does between its sensor and the gateway. `no_std`, no alloc, no board: everything that a board
//! has of its own comes in through four traits, so that all of it is tested on the host.
//!
//! ```text
//! Sensor -> Sampler -> Store -> Node: frames -> Link -> gateway
//!                        ^         |
//!                        +-- acknowledged: may be forgotten
//! ```
//!
//! **Invariant:** a reading leaves the store only when the gateway has acknowledged it, or when the store is full; then
//! a gap goes to the gateway in its place.
#![no_std]

#[cfg(test)]
extern crate std;

mod sampling;
mod sensor;

pub mod store;

mod backoff;
mod node;

mod board;

mod lamp;

pub mod uplink;

use board::WATCH_MS;
pub use board::{Board, Clock, Link, run};
pub use lamp::Lamp;
pub use node::{Action, Config, FRAME_WAIT_MS, Node, Signal, fuzz};
pub use sampling::{AVERAGE_MAX, PERIOD_MS_MAX, PERIOD_MS_MIN, Sampler, Sampling};
pub use sensor::{Channel, Sensor, Values};
