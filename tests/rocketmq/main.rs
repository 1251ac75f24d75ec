//! The bus: a real RocketMQ, and clients of it that others have written.

mod audit;
mod consumer;
mod crossed;
mod faults;
mod names;
mod output;
mod server;
