//! A thin client of Apache RocketMQ's remoting protocol, for servers 4.9 and 5.x.
//!
//! ```text
//! wire        bytes: frames, messages, routes, the hash that chooses a queue; no socket, no clock
//! connection  one pipelined connection: many requests on their way, each answer finds its own
//! client      connections by address, made when they are needed
//! route       which brokers have which queues, asked of the name servers
//! producer    one message or a batch into one queue
//! filter      SQL-92 filters, checked and rewritten
//! consumer    a member of a group: which queues are ours, what is in them, how far we came
//! dedup       which messages were seen before
//! ```
//!
//! Nothing is tried again here: each call answers once, and who calls knows how long to wait before the next.

pub mod wire;

pub mod connection;

pub mod tls;

pub mod client;

pub mod route;

pub mod producer;

pub mod filter;

pub mod consumer;

pub mod dedup;

pub mod admin;

mod sign;

pub use client::{Client, Options};
pub use connection::{Connection, RequestError};
pub use consumer::Consumer;
pub use dedup::Seen;
pub use filter::{Filter, FilterError};
pub use producer::{Producer, SendError, Sent};
pub use route::{NameServers, RouteError};
pub use sign::Credentials;
pub use wire::{
    Command,
    message::{Encoded, Illegal, View},
    route::{Queue, Route},
};
