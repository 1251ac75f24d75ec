//! Arguments, exit code.

use std::process::ExitCode;

use clap::Parser;
use tidegate::{
    cli::{self, Args},
    clock::wall_ms,
};

fn main() -> ExitCode {
    match cli::dispatch(&Args::parse().command, wall_ms()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_quiet() {
                cli::print::note(format_args!("tidegate: {error}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
