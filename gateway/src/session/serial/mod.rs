//! A serial port's protocol state: bytes in, uplinks out, acknowledgements when durable. No I/O, no clock.
//!
//! Several devices may stand behind one port; each has its address, and a link of its own here. The frames are those
//! of [`tidegate_protocol::serial`].

mod limits;
mod lines;
mod link;
mod marks;
mod payload;
mod port;
mod reason;
mod uplink;

#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use lines::{Line, Lines};
pub use link::Counts;
pub use marks::Marks;
pub use payload::{Taken, gap_payload};
pub use port::Port;
pub use uplink::{Batch, Gone, Greeting, LinkId, Offer, Place, Receipt, Uplink};
