//! One device's protocol state: bytes in, uplinks out, acknowledgements when durable. No I/O, no clock.

pub mod mqtt;
