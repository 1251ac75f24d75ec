//! Files with secrets that others on this machine could read.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{
    STATE_FILE,
    document::{Finding, Step::Key},
};

/// Bits of a file's mode that let the group or others in.
const OTHERS: u32 = 0o077;

/// Looks at the secrets under the data folder `data`; files that are not there yet are made with mode 0600.
pub(super) fn check(data: &Path) -> Result<(), Finding> {
    for suffix in ["", "-wal", "-shm"] {
        let path = data.join(format!("{STATE_FILE}{suffix}"));
        let Ok(found) = fs::metadata(&path) else { continue };
        let mode = found.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            let path = path.display();
            return Err(Finding::new(
                &[Key("data")],
                format!("others on this machine can read the logins in {path} (mode {mode:03o})"),
                format!("run `chmod 600 {path}`"),
            ));
        }
    }
    Ok(())
}
