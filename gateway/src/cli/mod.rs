//! The command line: one file a command.
//!
//! `main` parses [`Args`] and matches on [`Command`]. A command returns [`Error`], which knows its exit code and
//! says what to do; `main` prints it.

mod adopt;
mod args;
mod beside;
mod board;
pub mod check;
pub mod completions;
pub mod config;
#[cfg(feature = "demo")]
mod demo;
pub mod device;
mod error;
mod help;
pub mod man;
mod output;
pub mod print;
pub mod quickstart;
mod run;
pub mod service;
mod size;
mod spool;
pub mod when;

pub use self::{
    args::{
        AdoptArgs, Args, Begin, BoardArgs, CheckArgs, Command, CompletionsArgs, ConfigArgs, ConfigPage,
        ConfigPageArgs, DEMO_DEVICES_MAX, DemoArgs, DeviceCommandArgs, LaneWord, LogArgs, LogCommandArgs,
        ManArgs, OutputArgs, OutputCheckArgs, OutputCommand, QuickstartArgs, ReplayArgs, RunArgs, SizeArgs,
        SpoolArgs, SpoolCommand, SpoolDirArgs, SpoolForgetArgs, StatusArgs, TailArgs,
    },
    error::{
        EXIT_CANNOT_CREATE, EXIT_CONFIG, EXIT_DATA, EXIT_FAILED, EXIT_IO, EXIT_UNAVAILABLE, EXIT_USAGE, Error,
    },
};

/// Carries out `command` at the time `wall_ms` (Unix milliseconds).
///
/// # Errors
/// [`Error`], to be printed unless it is quiet, with the exit code of the process.
pub fn dispatch(command: &Command, wall_ms: u64) -> Result<(), Error> {
    match command {
        Command::Quickstart(args) => quickstart::run(args, wall_ms),
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Device(args) => beside::device(args),
        Command::Adopt(args) => adopt::run(args),
        Command::Board(args) => board::run(args),
        Command::Tail(args) => beside::tail(args),
        Command::Status(args) => beside::status(args),
        Command::Log(args) => beside::log(args),
        Command::Replay(args) => beside::replay(args),
        Command::Service(args) => service::run(args),
        Command::Output(args) => output::run(args, wall_ms),
        Command::Spool(args) => spool::run(args),
        Command::Size(args) => size::run(args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
        Command::Config(args) => config::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

#[cfg(test)]
mod tests;
