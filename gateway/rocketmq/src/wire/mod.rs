//! What goes over the wire, as bytes and back. Pure: no socket, no clock, and nothing that a server sends makes it
//! panic or take more memory than the limits here say.

pub mod code;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod hash;
mod inflate;
pub mod json;
pub mod message;
pub mod name;
pub mod property;
pub mod route;
pub mod stored;

pub use frame::{Command, FrameError};
