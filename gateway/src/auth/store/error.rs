//! What can go wrong with `state.db`.

use std::{io, path::PathBuf};

/// Why `state.db` cannot be opened. All are fatal at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Group or others may read or write secrets.
    #[error("{path} holds secrets but its permissions are {mode:04o}: run chmod 600 {path}", path = path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process: is a gateway running on it?", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "{path} has schema {found} and this program knows up to {known}: use the newer program",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The highest this program knows.
        known: u32,
    },
    /// Not a state.db, or a broken one.
    #[error("{path} is no state.db or is damaged: {what}", path = path.display())]
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
        source: io::Error,
    },
}

/// `state.db` was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; the change was undone whole and may be tried again. Unavailable, not fatal.
    #[error("state.db cannot grow: the disk is full")]
    Full,
    /// A write or sync failed, in this call or an earlier one. Fatal: the process ends with exit code 74.
    #[error("state.db cannot be written: {0}")]
    Failed(String),
}
