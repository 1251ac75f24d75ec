//! A disk in memory that fails on purpose.

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails with an I/O error.
    Error,
}

/// A disk in memory that fails on purpose.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {}
