//! One value for each lane.

use serde::Serialize;
use tidegate_protocol::Lane;

/// One value for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PerLane<T> {
    /// The event lane's.
    pub event: T,
    /// The telemetry lane's.
    pub telemetry: T,
}

impl<T> PerLane<T> {
    /// Makes each lane's value.
    pub fn new(mut make: impl FnMut(Lane) -> T) -> Self {
        Self { event: make(Lane::Event), telemetry: make(Lane::Telemetry) }
    }

    /// The lane's value.
    pub fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Event => &self.event,
            Lane::Telemetry => &self.telemetry,
        }
    }

    /// The lane's value, to be changed.
    pub fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Event => &mut self.event,
            Lane::Telemetry => &mut self.telemetry,
        }
    }

    /// Both values, the event lane's first.
    pub fn iter(&self) -> impl Iterator<Item = (Lane, &T)> {
        Lane::ALL.into_iter().map(|lane| (lane, self.of(lane)))
    }
}

/// The lane that `byte` stands for on disk.
pub(super) fn from_byte(byte: u8) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| *lane as u8 == byte)
}
