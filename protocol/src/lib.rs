//! What sensors and the gateway share: device ids, lanes, readings, topics. `no_std`, no alloc.
#![no_std]

mod device;
mod json;
mod lane;
mod name;
mod reading;
pub mod serial;
pub mod topic;

#[cfg(test)]
mod tests;

pub use device::{DEVICE_ID_LEN_MAX, DeviceId, InvalidDeviceId};
pub use json::{ENVELOPE_WORDS, write_json_string};
pub use lane::Lane;
pub use name::{InvalidName, NAME_LEN_MAX, Name};
pub use reading::{
    DoesNotFit, MEASUREMENTS_MAX, Measurement, Reading, TEXT_LEN_MAX, Text, UNIT_LEN_MAX, Unit, Value,
};
pub use topic::{InvalidTopic, TOPIC_LEN_MAX, Topic};
