use tidegate_protocol::serial::{Answer, DeviceKey, Nonce, SALT_BYTES};

use super::payload::Taken;

/// One link of one device, from its hello on. Never the same twice on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// Of the device on its port.
    pub address: u16,
    pub(super) number: u64,
}

/// Where a reading stands in what its device sends: boot, then number in it.
pub type Place = (u32, u64);

/// What is owed for one reading or gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// To whom.
    pub link: LinkId,
    /// For which.
    pub place: Place,
    pub(super) frame: u32,
}

/// What a port asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Uplink {
    /// A device says who it is: answer with [`super::Port::handle_offer`] or [`super::Port::handle_turned_away`].
    Hello(Greeting),
    /// A board has no name yet: answer with [`super::Port::handle_turned_away`], or with
    /// [`super::Port::handle_adopted`] once its owner has agreed.
    Announce(Greeting),
    /// The device has proven who it is: answer with [`super::Port::handle_login`].
    Proven(LinkId),
    /// The device was asked to prove who it is and has not.
    Unproven(LinkId),
    /// Readings, in order: answer each with [`super::Port::handle_stored`], up to the first that is refused for a
    /// passing reason.
    Readings(Batch),
    /// Readings that the device had to give up: answer with [`super::Port::handle_stored`].
    Gap(Gone),
    /// The answer to a command.
    Answer(LinkId, Answer),
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The link that begins.
    pub link: LinkId,
    /// The id; empty for a board without one.
    pub device: String,
    /// What the maker calls the board.
    pub hardware: String,
    /// Which kind of board.
    pub model: String,
    /// Version of its firmware.
    pub firmware: String,
}

/// What the registry knows of a device, for its challenge.
#[derive(Debug)]
pub struct Offer {
    /// What its secret is kept under.
    pub salt: [u8; SALT_BYTES],
    /// What is kept.
    pub key: DeviceKey,
    /// Drawn for this link.
    pub nonce: Nonce,
}

/// Readings of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Whose.
    pub link: LinkId,
    /// Each with what is owed for it.
    pub readings: Vec<(Receipt, Taken)>,
}

/// Readings that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// What is owed for it; its place is the last of them.
    pub receipt: Receipt,
    /// The boot they were taken in.
    pub boot: u32,
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}
