use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

/// Bytes in the longest line; a longer one counts as unreadable.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Files in the fullest folder.
pub const FILES_MAX: usize = 65_536;

const CHUNK_BYTES: usize = 256 * 1024;

/// So much of what was read last is compared, to see that the file was not cut and written anew.
const REMEMBERED_BYTES: usize = 64;

/// Reads the lines of all files of a folder in the order of their names, each line once, while the files grow.
#[derive(Debug)]
pub(super) struct Tail {
    dir: PathBuf,
    files: BTreeMap<OsString, Place>,
    read_again: u64,
    seen_any: bool,
}

/// How far a file was read: behind its last whole line.
#[derive(Debug, Default)]
struct Place {
    offset: u64,
    remembered: Vec<u8>,
    in_overlong: bool,
}

impl Tail {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir, files: BTreeMap::new(), read_again: 0, seen_any: false }
    }

    /// Was there ever a file?
    pub(super) const fn has_files(&self) -> bool {
        self.seen_any
    }

    /// Files that were cut and therefore read from their beginning again.
    pub(super) const fn read_again(&self) -> u64 {
        self.read_again
    }

    /// Gives each whole line that is new to `take`, without its line end. A last line without one is left for the
    /// next time.
    pub(super) fn poll(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let names = self.names()?;
        self.seen_any |= !names.is_empty();
        self.files.retain(|name, _| names.contains(name));
        for name in names {
            let path = self.dir.join(&name);
            let place = self.files.entry(name).or_default();
            match place.read(&path, take) {
                Ok(cut) => self.read_again += u64::from(cut),
                // Removed since it was listed: rotation does that.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| name.ends_with(".jsonl")) {
                names.push(name);
            }
            if names.len() > FILES_MAX {
                return Err(io::Error::other(format!("more than {FILES_MAX} files")));
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

impl Place {
    /// Reads on; `true` when the file is not the one that was read so far and was read from its beginning.
    fn read(&mut self, path: &std::path::Path, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        if size == self.offset {
            return Ok(false);
        }
        let cut = !self.is_same(&mut file)?;
        if cut {
            *self = Self::default();
            file.seek(SeekFrom::Start(0))?;
        }
        self.read_on(&mut file, take)?;
        Ok(cut)
    }

    /// Is what stands in front of the offset what was read there? Leaves the file at the offset.
    fn is_same(&self, file: &mut File) -> io::Result<bool> {
        let back = u64::try_from(self.remembered.len()).unwrap_or(u64::MAX);
        file.seek(SeekFrom::Start(self.offset.saturating_sub(back)))?;
        let mut there = vec![0; self.remembered.len()];
        match file.read_exact(&mut there) {
            Ok(()) => Ok(there == self.remembered),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_on(&mut self, file: &mut File, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut pending = Vec::with_capacity(CHUNK_BYTES);
        let room = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        while file.by_ref().take(room).read_to_end(&mut pending)? > 0 {
            let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else {
                if pending.len() > LINE_BYTES_MAX {
                    self.in_overlong = true;
                    self.pass(&pending);
                    pending.clear();
                }
                continue;
            };
            let (whole, rest) = pending.split_at(end + 1);
            for line in whole.split_inclusive(|byte| *byte == b'\n') {
                let overlong = std::mem::take(&mut self.in_overlong) || line.len() > LINE_BYTES_MAX;
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                take(if overlong { b"" } else { line });
            }
            self.pass(whole);
            pending = rest.to_vec();
        }
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.offset = self.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.remembered
            .extend_from_slice(bytes.get(bytes.len().saturating_sub(REMEMBERED_BYTES)..).unwrap_or(bytes));
        let surplus = self.remembered.len().saturating_sub(REMEMBERED_BYTES);
        self.remembered.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Folder {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Folder {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let tail = Tail::new(dir.path().to_owned());
            Self { dir, tail }
        }

        fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
            let mut file =
                File::options().create(true).append(true).open(self.dir.path().join(name)).unwrap();
            file.write_all(bytes.as_ref()).unwrap();
        }

        fn poll(&mut self) -> Vec<String> {
            let mut lines = Vec::new();
            self.tail.poll(&mut |line| lines.push(String::from_utf8(line.to_vec()).unwrap())).unwrap();
            lines
        }
    }

    #[test]
    fn lines_are_read_once_while_files_grow_and_rotate() {
        let mut folder = Folder::new();
        assert!(folder.poll().is_empty() && !folder.tail.has_files());
        folder.append("r-1.jsonl", "a\nb\n");
        folder.append("notes.txt", "no\n");
        assert_eq!(folder.poll(), ["a", "b"]);
        assert!(folder.poll().is_empty());
        folder.append("r-2.jsonl", "d\n");
        folder.append("r-1.jsonl", "c\n");
        assert_eq!(folder.poll(), ["c", "d"], "in the order of names");
        fs::remove_file(folder.dir.path().join("r-1.jsonl")).unwrap();
        folder.append("r-2.jsonl", "e\n");
        assert_eq!(folder.poll(), ["e"]);
    }

    #[test]
    fn a_torn_last_line_waits_for_its_end() {
        let mut folder = Folder::new();
        folder.append("r.jsonl", "whole\nto");
        assert_eq!(folder.poll(), ["whole"]);
        assert!(folder.poll().is_empty());
        folder.append("r.jsonl", "rn\n");
        assert_eq!(folder.poll(), ["torn"]);
    }

    #[test]
    fn a_torn_line_that_its_writer_cuts_is_no_line() {
        let mut folder = Folder::new();
        folder.append("r.jsonl", "whole\nto");
        folder.poll();
        File::options().write(true).open(folder.dir.path().join("r.jsonl")).unwrap().set_len(6).unwrap();
        folder.append("r.jsonl", "other\n");
        assert_eq!(folder.poll(), ["other"]);
        assert_eq!(folder.tail.read_again(), 0);
    }

    #[test]
    fn a_file_cut_back_behind_what_was_read_is_read_again() {
        let mut folder = Folder::new();
        folder.append("r.jsonl", "a\nb\n");
        folder.poll();
        File::options().write(true).open(folder.dir.path().join("r.jsonl")).unwrap().set_len(2).unwrap();
        folder.append("r.jsonl", "longer\n");
        assert_eq!(folder.poll(), ["a", "longer"]);
        assert_eq!(folder.tail.read_again(), 1);
    }

    #[test]
    fn line_bytes_max_is_reached() {
        let mut folder = Folder::new();
        let fits = "x".repeat(LINE_BYTES_MAX - 1);
        folder.append("r.jsonl", format!("{fits}\n"));
        assert_eq!(folder.poll(), [fits.as_str()]);
        folder.append("r.jsonl", "y".repeat(3 * LINE_BYTES_MAX));
        assert!(folder.poll().is_empty());
        folder.append("r.jsonl", "y\nnext\n");
        assert_eq!(folder.poll(), ["", "next"], "an overlong line is given out as an empty one");
    }

    #[test]
    fn chunks_do_not_cut_lines() {
        let mut folder = Folder::new();
        let lines: Vec<String> = (0..20_000).map(|n| format!("line number {n} of many")).collect();
        folder.append("r.jsonl", lines.join("\n") + "\n");
        assert_eq!(folder.poll(), lines);
    }
}
