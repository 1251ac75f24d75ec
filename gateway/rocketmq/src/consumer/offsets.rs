//! How far a member came that gets everything: nobody else needs to know, so it is a file of its own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::wire::route::Queue;

/// Bytes of the largest file that is believed to be one of ours.
pub const OFFSETS_BYTES_MAX: u64 = 16 << 20;

/// Offsets by topic, broker and queue. Without a path they are remembered while the program runs.
#[derive(Debug, Default)]
pub struct Offsets {
    path: Option<PathBuf>,
    next: Mutex<BTreeMap<String, u64>>,
}

impl Offsets {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let next = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
            Ok(found) if found.len() > OFFSETS_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
            Ok(_) => serde_json::from_slice(&fs::read(path)?)?,
        };
        Ok(Self { path: Some(path.to_owned()), next: Mutex::new(next) })
    }

    /// The next offset of a queue, if it was there before.
    #[must_use]
    pub fn get(&self, topic: &str, queue: &Queue) -> Option<u64> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).get(&key(topic, queue)).copied()
    }

    /// Remembers the next offset of a queue.
    pub fn set(&self, topic: &str, queue: &Queue, offset: u64) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).insert(key(topic, queue), offset);
    }

    /// Replaces the file; when this returns it is on disk.
    ///
    /// # Errors
    /// The disk refuses; the old file stays.
    pub fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = {
            let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            serde_json::to_vec_pretty(&*next)?
        };
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn key(topic: &str, queue: &Queue) -> String {
    format!("{topic}/{}/{}", queue.broker, queue.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: u32) -> Queue {
        Queue { broker: "broker-a".into(), id }
    }

    #[test]
    fn what_was_saved_is_there_at_the_next_start() {
        let folder = std::env::temp_dir().join(format!("tidegate-offsets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("offsets.json");
        let offsets = Offsets::open(Some(&path)).unwrap();
        assert_eq!(offsets.get("t", &queue(1)), None);
        offsets.set("t", &queue(1), 17);
        offsets.save().unwrap();
        let again = Offsets::open(Some(&path)).unwrap();
        assert_eq!((again.get("t", &queue(1)), again.get("t", &queue(2))), (Some(17), None));
        fs::write(&path, "no JSON").unwrap();
        assert!(Offsets::open(Some(&path)).is_err());
        File::create(&path).unwrap().set_len(OFFSETS_BYTES_MAX + 1).unwrap();
        assert!(Offsets::open(Some(&path)).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn without_a_file_nothing_is_written() {
        let offsets = Offsets::open(None).unwrap();
        offsets.set("t", &queue(0), 5);
        assert_eq!(offsets.get("t", &queue(0)), Some(5));
        offsets.save().unwrap();
    }
}
