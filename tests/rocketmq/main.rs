//! The bus: a real RocketMQ, and clients of it that others have written.

mod consumer;
mod server;
