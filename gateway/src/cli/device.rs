//! `tidegate device …`: logins are added, looked at and revoked.

use std::{io::Write, path::PathBuf};

use crate::auth::{DeviceAnswer, DeviceCommand, Filter, Role};

/// Add devices and applications, look at them, revoke them.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceArgs {
    /// Add a device, an application or a client, or many devices at once
    Add(Box<AddArgs>),
    /// List all logins
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one login, when it was last heard of, and what was last rejected and why
    Show {
        /// Name of the device or login
        id: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `device add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Name of the device or login
    pub id: Option<String>,
}

/// Why a `device` command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeviceCliError<E: std::error::Error> {
    /// The registry, or the way to it, said no.
    #[error(transparent)]
    Registry(E),
    /// The arguments or what was typed make no sense.
    #[error("{0}")]
    Usage(String),
    /// A file or the terminal.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Carries out `args` by way of `executor`, which takes a command to the registry, and prints to `out`.
///
/// # Errors
/// [`DeviceCliError`].
pub fn run<E: std::error::Error>(
    args: &DeviceArgs,
    executor: impl FnMut(DeviceCommand) -> Result<DeviceAnswer, E>,
    out: &mut impl Write,
) -> Result<(), DeviceCliError<E>> {
    let _: (Option<Filter>, Option<Role>, Option<PathBuf>) = (None, None, None);
    unimplemented!()
}
