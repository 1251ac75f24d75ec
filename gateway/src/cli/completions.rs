//! `tidegate completions`

use std::io::Write;

use clap::CommandFactory;

use super::{Args, CompletionsArgs, Error, print};

/// Prints the script.
///
/// # Errors
/// [`Error::Output`] when it cannot be printed.
pub fn run(args: &CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "tidegate", &mut script);
    print::out().write_all(&script)?;
    Ok(())
}
