//! session

pub mod mqtt;
