//! How a command finds the configuration.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Config, ConfigError};

/// The configuration's name in the folder a command runs in.
pub const FILE_NAME: &str = "tidegate.toml";
/// Where an installed gateway's configuration stands.
pub const SYSTEM_FILE: &str = "/etc/tidegate/tidegate.toml";

/// A configuration's file, and whether it had to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// [`find_or_create`] has written it just now, from [`Config::example`].
    pub created: bool,
}

/// The file of `-c`; else [`FILE_NAME`] in `folder`, where the command runs; else [`SYSTEM_FILE`].
///
/// # Errors
/// [`ConfigError`] with what to do when there is none. The file of `-c` is taken as it is: reading it will tell.
pub fn find(named: Option<&Path>, folder: &Path) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let looked_in = vec![folder.join(FILE_NAME), PathBuf::from(SYSTEM_FILE)];
    let there = looked_in.iter().find(|path| path.exists()).cloned();
    there.ok_or_else(|| ConfigError::not_found(looked_in))
}

/// As [`find`]; when nothing is named and nothing found, makes [`FILE_NAME`] in `folder`.
///
/// # Errors
/// [`ConfigError`] when the file cannot be made.
pub fn find_or_create(named: Option<&Path>, folder: &Path) -> Result<Found, ConfigError> {
    if let Ok(path) = find(named, folder) {
        return Ok(Found { path, created: false });
    }
    let path = folder.join(FILE_NAME);
    create(&path, &Config::example()).map_err(|error| ConfigError::unwritable(&path, error))?;
    Ok(Found { path, created: true })
}

/// Writes a file that was not there before.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
