//! Sockets and ports: bytes in, bytes out.
//!
//! One [`Worker`](worker::Worker) a core: a thread with a `current_thread` runtime, its own `SO_REUSEPORT`
//! socket and its own connections, which never move to another thread. The pure sessions live in
//! [`crate::session`]; what is here moves their bytes and tells them what became durable.

pub mod mqtt;

mod connection;
mod directory;
mod downlink;
mod login;
mod uplink;
mod worker;

pub use directory::Directory;
pub use mqtt::Config;
pub use worker::{Shared, Workers};
