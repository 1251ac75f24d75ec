//! `state.db`: logins and what is noted about devices, in SQLite. The only file that names the database.

use std::path::PathBuf;

/// Why `state.db` cannot be opened. All are fatal at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Group or others may read or write secrets.
    #[error("{path} holds secrets and its permissions are {mode:04o}: run chmod 600 {path}", path = path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process (a running gateway?)", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error("{path} has schema {found}, this program knows up to {known}: use the newer program", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The highest this program knows.
        known: u32,
    },
    /// Not a state.db, or a broken one.
    #[error("{path} is damaged or no state.db: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file system or the random source refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// A write or sync of `state.db` failed, in this call or an earlier one. Fatal: the process ends with exit code 74.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state.db cannot be written: {what}")]
pub struct StoreError {
    /// What the database said.
    pub what: String,
}
