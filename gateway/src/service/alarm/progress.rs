//! How far the alarms have looked, on disk.
//!
//! One small file, replaced as a whole. It is not a cursor of the spool: alarms hold back nothing.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::spool::Offset;

/// The file's name in the data folder.
pub const FILE: &str = "alarms.json";

/// Bytes of the largest file that is believed to be one.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What was looked at, and what was raised then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The first record of `event` that was not looked at.
    pub(super) event: Offset,
    /// The first record of `telemetry` that was not looked at.
    pub(super) telemetry: Offset,
    /// Device and alarm.
    pub(super) raised: Vec<(String, String)>,
}

impl Progress {
    /// None when there is no such file yet.
    ///
    /// # Errors
    /// The file cannot be read or is none of ours.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(file) if file.len() > FILE_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
            Ok(_) => {}
        }
        Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
    }

    /// Replaces the file; when this returns it is on disk.
    ///
    /// # Errors
    /// The disk refuses; the old file stays.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_what_is_none_of_ours_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(Progress::load(&path).unwrap(), None);
        let saved = Progress { event: 1, telemetry: 2, raised: vec![("a".into(), "b".into())] };
        saved.save(&path).unwrap();
        assert_eq!(Progress::load(&path).unwrap(), Some(saved));
        fs::write(&path, "{\"event\":").unwrap();
        assert!(Progress::load(&path).is_err());
        File::create(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(Progress::load(&path).is_err());
    }
}
