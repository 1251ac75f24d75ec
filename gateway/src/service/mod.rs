//! Small programs on the stream of readings: inside the gateway, each on a thread of its own, or anywhere as consumers
//! of a bus.

pub mod alarm;
pub mod bus;
