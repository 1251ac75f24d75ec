//! The files of the database: made private, and refused if they are not.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::OpenError;

/// Makes an empty file with mode 0600 if there is none; SQLite gives its own files the mode of the first.
pub(super) fn prepare(path: &Path) -> Result<(), OpenError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    match made {
        Ok(file) => {
            file.sync_all().map_err(io)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all()).map_err(io)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_permissions(path),
        Err(error) => Err(io(error)),
    }
}

/// Looks at `path` and what SQLite keeps beside it. Never opens them: closing any handle of the file would
/// drop SQLite's locks on it.
pub(super) fn check_permissions(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                let mode = metadata.permissions().mode() & 0o7777;
                return Err(OpenError::Readable { path, mode });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::Io { path, source }),
        }
    }
    Ok(())
}
