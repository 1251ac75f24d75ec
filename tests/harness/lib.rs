//! Starts real parts for the tests and talks to them from outside: the gateway, the simulator, the clients of
//! mosquitto, bytes of our own, disks that are cut off.
//!
//! Everything is on loopback and in temporary folders. What a test starts is stopped, by its process id, when the
//! value that stands for it is dropped.

mod board;
mod bus_pool;
mod bus_service;
pub mod coap;
mod coap_load;
mod coap_programs;
mod disk;
mod emulator;
mod faults;
mod foreign;
mod gate;
mod gateway;
mod http;
mod hurt;
mod load;
mod mosquitto;
mod mqtt;
mod namespace;
mod notify;
mod output;
mod programs;
mod proxy;
mod readings;
mod rocketmq;
mod rocketmq_clients;
mod root;
mod simulator;
mod sync_times;
mod tap;

pub use board::{Board, Flash, Line};
pub use bus_pool::Lent;
pub use bus_service::BusService;
pub use coap::CoapClient;
pub use coap_load::{CoapLoad, Seen};
pub use coap_programs::{Outcome, aiocoap_client, coap_client};
pub use emulator::Pico;
pub use faults::{Fault, inject, open_segment};
pub use foreign::Foreign;
mod prometheus;

pub use disk::{LoopDisk, PlainDisk, SmallDisk};
pub use gate::Gate;
pub use gateway::{APPLICATION, DEVICE, Gateway, Login, StartFailure, read_credentials};
pub use http::{HttpAnswer, http, http_get};
pub use hurt::Hurt;
pub use load::{Acknowledged, Load, missing, missing_at_last, out_of_order};
pub use mosquitto::{Subscriber, publish, publish_as};
pub use mqtt::{Answer, Client, Connect, Publish, Version, frame, remaining_length, text};
pub use namespace::Namespace;
pub use notify::NotifySocket;
pub use output::{Delivered, delivered};
pub use programs::{ran, riscv32_image, run, simulator, tidegate, tidegate_without_sync};
pub use prometheus::Metrics;
pub use proxy::{Counts, Dice, Proxy, Traffic, Weather};
pub use readings::{assert_whole, at_least, readings, written};
pub use rocketmq::{Part, RocketMq, bus_admin_elsewhere};
pub use rocketmq_clients::{BusClient, BusConsumer, BusLogin, check_recipes, send_by_java, send_by_python};
pub use root::{Booted, ThrowAwayRoot};
pub use simulator::{Report, Simulator};
pub use sync_times::print_sync_times;
pub use tap::TapBoard;

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

/// How long something that should happen at once may take on a busy machine.
pub const SOON_MAX: Duration = Duration::from_secs(10);

/// `N` TCP ports of loopback that were free a moment ago, all different.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
    listeners.each_ref().map(|listener| listener.local_addr().expect("a bound socket").port())
}

/// Looks every 20 ms until `look` gives something, for `SOON_MAX`.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(SOON_MAX, look).unwrap_or_else(|| panic!("not within {SOON_MAX:?}: {what}"))
}

/// Looks every 20 ms until `look` gives something or `time_max` is over.
pub fn within<T>(time_max: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time_max;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A number from the environment, for `tests/run full`.
pub fn count_from(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}
