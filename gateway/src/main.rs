//! Arguments, exit code.

use std::process::ExitCode;

use clap::Parser;
use tidegate::{
    cli::{self, Args, Command, Error},
    clock::wall_ms,
};

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Quickstart(args) => cli::quickstart::run(&args, wall_ms()),
        Command::Run(args) => cli::run::run(&args),
        Command::Check(args) => cli::check::run(&args),
        Command::Device(args) => cli::beside::device(&args),
        Command::Tail(args) => cli::beside::tail(&args),
        Command::Status(args) => cli::beside::status(&args),
        Command::Replay(args) => cli::beside::replay(&args),
        Command::Spool(args) => cli::spool::run(&args),
        Command::Demo(args) => cli::demo::run(&args),
        Command::Completions(args) => cli::completions::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &Error) -> ExitCode {
    if !error.is_quiet() {
        cli::print::note(format_args!("tidegate: {error}"));
    }
    ExitCode::from(error.exit_code())
}
