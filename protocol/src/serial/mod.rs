//! The serial line between a board and the gateway: frames, bodies and the key that vouches for them.
//!
//! ```text
//! bytes -> Decoder -> Frame: version, kind, address, sequence, body, tag -> LinkKey::vouches -> FromDevice or FromGateway
//! ```
//!
//! The tables of bytes are in `protocol/README.md`, examples of every frame in `tests/vectors/serial`.

mod body;
mod decimal;
mod decoder;
mod frame;
mod key;
mod message;

#[cfg(test)]
mod tests;

pub use body::{
    Acknowledge, Adopt, Answer, CHANNELS_MAX, Challenge, Channel, Command, CommandBody, Entry, Gap,
    HARDWARE_LEN_MAX, Hello, Kind, MODEL_LEN_MAX, Outcome, READINGS_MAX, Readings, Ready, Reason, Refuse,
    Report, Sample, Time, VALUE_TEXT_LEN_MAX, Welcome,
};
pub use decimal::{DECIMAL_PLACES_MAX, Decimal};
pub use decoder::Decoder;
pub use frame::{
    BODY_BYTES_MAX, FRAME_BYTES_MAX, Frame, FrameError, Header, Seal, TooLong, VERSION, WIRE_BYTES_MAX,
    encode,
};
pub use key::{
    DeviceKey, Direction, KEY_BYTES, LinkKey, NONCE_BYTES, Nonce, SALT_BYTES, SECRET_LEN_MAX, TAG_BYTES,
};
pub use message::{BodyError, FromDevice, FromGateway, Message, ReadingsWriter};
