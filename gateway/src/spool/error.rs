//! What can go wrong, in three kinds: refused for the moment, refused to open, poisoned.

use std::{io, path::PathBuf};

use super::config::ConfigError;

/// An append is refused; the device keeps its payload and tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No room on disk until an output catches up.
    #[error("the spool is full")]
    Full,
    /// Reject records have reached their share of the disk.
    #[error("the spool holds as many reject records as it may")]
    RejectsFull,
    /// As many bytes wait for the disk as may; passes within a commit or two.
    #[error("the spool is busy")]
    Busy,
    /// A write or sync failed; nothing is acknowledged until the process has started again.
    #[error("the spool has failed")]
    Poisoned,
    /// The spool is being closed.
    #[error("the spool is closed")]
    Closed,
    /// The record does not fit into one commit, or one of its parts into the format. It never will.
    #[error("the record is too large for the spool")]
    TooLarge,
}

/// The write or sync error that poisoned the spool. The process must end (exit 74) and start again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {error}")]
pub struct Failure {
    /// What was being done, and to which file.
    pub what: String,
    /// What the operating system said.
    pub error: String,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>, error: &io::Error) -> Self {
        Self { what: what.into(), error: error.to_string() }
    }
}

/// The spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("{} is in use by another process", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// A value of the configuration cannot be.
    #[error("[spool] {0}")]
    Config(#[from] ConfigError),
    /// There is no room for the first segments.
    #[error("{} has no room for the first segments of the spool", directory.display())]
    NoRoom {
        /// The directory.
        directory: PathBuf,
    },
    /// The disk failed.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        #[source]
        error: io::Error,
    },
}

/// A reader cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("reading {file} of the spool: {error}")]
    Io {
        /// The file.
        file: String,
        /// What the operating system said.
        #[source]
        error: io::Error,
    },
}

/// A cursor cannot be registered or moved.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// The consumer's name is not 1 to 64 of `[A-Za-z0-9_-]`.
    #[error("a consumer is named by 1 to 64 of A-Z, a-z, 0-9, _ and -")]
    Name,
    /// As many consumers as may hold retention do so already.
    #[error("the spool has as many consumers as it may")]
    TooMany,
    /// The offset is past the lane's durable end.
    #[error("a cursor cannot be ahead of what is durable")]
    Ahead,
    /// A write or sync failed earlier, or just now.
    #[error("the spool has failed")]
    Poisoned,
    /// The cursor's file could not be made.
    #[error("making the cursor's file: {0}")]
    Io(#[source] io::Error),
}
