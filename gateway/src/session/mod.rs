//! One device's protocol state: bytes in, uplinks out, acknowledgements when durable. No I/O, no clock.

mod refusal;

pub mod coap;
pub mod mqtt;
pub mod serial;

pub use refusal::Refusal;

#[cfg(test)]
mod tests;
