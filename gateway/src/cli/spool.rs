//! `tidegate spool`

use std::path::{Path, PathBuf};

use super::{Error, SpoolArgs, SpoolCommand, print};
use crate::spool::{self, Report};

/// Prints what a spool on disk holds; reads it beside a running gateway too.
///
/// # Errors
/// [`Error::Damaged`] when `verify` finds damage; [`Error::Disk`] when it cannot be read.
pub fn run(args: &SpoolArgs) -> Result<(), Error> {
    match &args.command {
        SpoolCommand::Inspect(args) => {
            show(&spool::inspect(&folder(&args.dir)), args.json).map(drop)
        }
        SpoolCommand::Verify(args) => {
            let report = show(&spool::verify(&folder(&args.dir)), args.json)?;
            if report.is_sound() {
                return Ok(());
            }
            Err(Error::Damaged(format!("{} is damaged; what can be read is read on", args.dir.display())))
        }
    }
}

/// The spool's folder, where the data folder was named.
fn folder(dir: &Path) -> PathBuf {
    let below = dir.join("spool");
    if below.is_dir() { below } else { dir.to_owned() }
}
