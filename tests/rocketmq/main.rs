//! The bus: a real RocketMQ, and clients of it that others have written.

mod audit;
mod consumer;
mod crossed;
mod faults;
mod names;
mod output;
mod server;
mod services;

/// A bus that speaks TLS alone, asks who comes in, and confirms from disk.
const SECURE: [&str; 3] = ["--tls", "--acl", "--sync-flush"];
