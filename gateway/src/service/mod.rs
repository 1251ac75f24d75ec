//! Small programs on the stream of durable records, each on a thread of its own.

pub mod alarm;
