//! What sensors and the gateway share: device ids, lanes, readings, topics. `no_std`, no alloc.
#![no_std]

mod device;
mod lane;

pub use device::{DEVICE_ID_LEN_MAX, DeviceId, InvalidDeviceId};
pub use lane::Lane;
