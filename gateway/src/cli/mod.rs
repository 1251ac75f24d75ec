//! The command line: one file a command.
//!
//! `main` parses [`Args`] and matches on [`Command`]. A command returns [`Error`], which knows its exit code and
//! says what to do; `main` prints it.

mod args;
pub mod check;
pub mod completions;
pub mod device;
mod error;
mod help;
pub mod print;
pub mod quickstart;
pub mod when;

pub use self::{
    args::{
        Args, Begin, CheckArgs, Command, CompletionsArgs, ConfigArgs, DEMO_DEVICES_MAX, DemoArgs,
        DeviceCommandArgs, LaneWord, LogArgs, QuickstartArgs, ReplayArgs, RunArgs, SpoolArgs, SpoolCommand,
        SpoolDirArgs, StatusArgs, TailArgs,
    },
    error::{
        EXIT_CANNOT_CREATE, EXIT_CONFIG, EXIT_DATA, EXIT_FAILED, EXIT_IO, EXIT_UNAVAILABLE, EXIT_USAGE, Error,
    },
};

#[cfg(test)]
mod tests;
