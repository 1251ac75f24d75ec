//! `tidegate spool`

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Error, SpoolArgs, SpoolCommand, SpoolDirArgs, print};
use crate::spool::{self, Report};

/// Prints what a spool on disk holds, beside a running gateway too.
///
/// # Errors
/// [`Error::Damaged`] when `verify` finds damage; [`Error::Disk`] when the spool cannot be read.
pub(super) fn run(args: &SpoolArgs) -> Result<(), Error> {
    match &args.command {
        SpoolCommand::Forget(args) => super::beside::forget(args),
        SpoolCommand::Inspect(args) => look(args, spool::inspect).map(drop),
        SpoolCommand::Verify(args) => {
            let found = look(args, spool::verify)?;
            if found.is_sound() {
                return Ok(());
            }
            let dir = args.dir.display();
            Err(Error::Damaged(format!("{dir} is damaged; the gateway starts with it and delivers the rest")))
        }
    }
}

fn look(args: &SpoolDirArgs, look: fn(&Path) -> io::Result<Report>) -> Result<Report, Error> {
    let folder = folder(&args.dir);
    let found = look(&folder).map_err(|error| {
        let folder = folder.display();
        Error::Disk(format!(
            "cannot read {folder} ({error}); name the data folder of a gateway, or its spool"
        ))
    })?;
    if args.json {
        let json = serde_json::to_string(&found).map_err(|error| Error::Failed(error.to_string()))?;
        print::line(json)?;
    } else {
        print::line(found.to_string().trim_end())?;
    }
    Ok(found)
}

/// The spool's folder, where the data folder was named.
fn folder(dir: &Path) -> PathBuf {
    let below = dir.join("spool");
    if below.is_dir() { below } else { dir.to_owned() }
}
