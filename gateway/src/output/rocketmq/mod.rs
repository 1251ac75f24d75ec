//! Apache RocketMQ.

pub mod mapping;
