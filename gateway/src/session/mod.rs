//! One device's protocol state, one folder a protocol. No I/O and no clock: bytes, times and answers are handed in.

pub mod mqtt;
