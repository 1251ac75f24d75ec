//! The file that `device add --out` makes: private, whole or not there, never in place of another.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::auth::AddedDevice;

use super::report;

/// A file under way beside its final name. Dropped unfinished, it leaves nothing behind.
pub(super) struct CredentialsFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
}

impl CredentialsFile {
    /// Begins a file that will be `path`, before anything is added, so that a wrong folder or a taken name is
    /// found in time.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "the file exists and is not overwritten"));
        }
        let name =
            path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
        let mut partial_name = std::ffi::OsString::from(".");
        partial_name.push(name);
        partial_name.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(partial_name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// Writes one line a login and gives the file its name, unless somebody took it meanwhile.
    pub(super) fn finish(self, added: &[AddedDevice]) -> io::Result<()> {
        let mut writer = BufWriter::new(&self.file);
        report::lines(&mut writer, added)?;
        writer.flush()?;
        drop(writer);
        self.file.sync_all()?;
        renameat_with(CWD, &self.partial, CWD, &self.path, RenameFlags::NOREPLACE)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for CredentialsFile {
    fn drop(&mut self) {
        // Gone already where it was finished; otherwise there is nobody to tell.
        drop(fs::remove_file(&self.partial));
    }
}
