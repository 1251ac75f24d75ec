//! Sockets and ports: bytes in, bytes out.
//!
//! One worker a core: a thread with a `current_thread` runtime, its own `SO_REUSEPORT`
//! socket and its own connections, which never move to another thread. The pure sessions live in
//! [`crate::session`]; what is here moves their bytes and tells them what became durable.

mod worker;

mod workers;

mod counters;

mod mqtt;

pub mod coap;

pub mod serial;

mod datagrams;

mod connection;

mod login;

mod directory;

mod uplink;

mod downlink;

pub use counters::Counters;
pub use directory::Directory;
pub use mqtt::Config;
pub use worker::Shared;
pub use workers::{ListenError, Workers};
