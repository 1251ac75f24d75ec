use std::io;

use thiserror::Error as ThisError;

use super::device::DeviceCliError;
use crate::{auth::OpenError, config::ConfigError, logging::LoggingError};

/// Exit code of a command that failed for no reason below.
pub const EXIT_FAILED: u8 = 1;
/// Exit code for wrong arguments, as clap has it.
pub const EXIT_USAGE: u8 = 2;
/// Exit code for damaged data (`EX_DATAERR` of sysexits.h).
pub const EXIT_DATA: u8 = 65;
/// Exit code when the gateway is not running (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code when a file or folder cannot be made (`EX_CANTCREAT`).
pub const EXIT_CANNOT_CREATE: u8 = 73;
/// Exit code for an error of the disk (`EX_IOERR`).
pub const EXIT_IO: u8 = 74;
/// Exit code for a wrong configuration (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// Why a command failed.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// Standard output.
    #[error("cannot write to standard output ({0})")]
    Output(#[from] io::Error),
    /// The arguments make no sense together; the text says why.
    #[error("{0}")]
    Usage(String),
    /// Something that the command needs cannot be made; the text says what, why, and what to do.
    #[error("{0}")]
    CannotCreate(String),
    /// Data on disk are damaged; the text says which.
    #[error("{0}")]
    Damaged(String),
    /// Files cannot be read or written; the text says which, why, and what to do.
    #[error("{0}")]
    Disk(String),
    /// The gateway is not running; the text says where it was looked for, and what to do.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else; the text says what, why, and what to do.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Logging(_) => EXIT_CONFIG,
            Self::Output(_) if self.is_quiet() => 0,
            Self::Output(_) | Self::Disk(_) => EXIT_IO,
            Self::Usage(_) => EXIT_USAGE,
            Self::CannotCreate(_) => EXIT_CANNOT_CREATE,
            Self::Damaged(_) => EXIT_DATA,
            Self::Unavailable(_) => EXIT_UNAVAILABLE,
            Self::Failed(_) => EXIT_FAILED,
        }
    }

    /// Who read standard output has gone away: the command is done, and nobody wants to hear of it.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { .. } => Self::Damaged(error.to_string()),
            OpenError::Io { .. } => Self::Disk(error.to_string()),
            OpenError::Readable { .. } | OpenError::InUse { .. } | OpenError::Newer { .. } => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl<E: std::error::Error> From<DeviceCliError<E>> for Error {
    fn from(error: DeviceCliError<E>) -> Self {
        match error {
            DeviceCliError::Usage(text) => Self::Usage(text),
            DeviceCliError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Self::Output(source)
            }
            DeviceCliError::Io { what, source } if source.kind() == io::ErrorKind::AlreadyExists => {
                Self::CannotCreate(format!("{what}: {source}"))
            }
            DeviceCliError::Io { what, source } => Self::Disk(format!("{what}: {source}")),
            DeviceCliError::Registry(_) | DeviceCliError::Answer => Self::Failed(error.to_string()),
        }
    }
}
