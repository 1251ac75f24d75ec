//! JSON lines on this machine.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{Items, line};
use crate::{config::FileConfig, spool::Lost};

/// How far back the start of a torn last line is looked for.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Readings as JSON lines in `readings-00000001.jsonl` and so on.
#[derive(Debug)]
pub struct FileOutput {
    dir: PathBuf,
    rotate_bytes: u64,
    /// Files that stay when a new one is begun.
    files_max: usize,
    file: File,
    number: u64,
    size: u64,
    /// The last write failed, and part of it may stand behind `size`.
    is_torn: bool,
    lines: String,
}

impl FileOutput {
    /// Opens the newest file in the folder that `config` names below `data`, made when missing. A last line that a power cut has torn is cut.
    ///
    /// # Errors
    /// The folder or the file cannot be made, read or written.
    pub fn open(config: &FileConfig, data: &Path) -> io::Result<Self> {
        let dir = data.join(&config.dir);
        fs::create_dir_all(&dir)?;
        sync_folder(&dir)?;
        let number = numbers(&dir)?.last().copied().unwrap_or(1);
        let mut file = open_numbered(&dir, number)?;
        let size = cut_torn_line(&mut file)?;
        let files_max = usize::try_from(config.keep_files).unwrap_or(usize::MAX).saturating_add(1);
        Ok(Self {
            dir,
            rotate_bytes: config.rotate_bytes,
            files_max,
            file,
            number,
            size,
            is_torn: false,
            lines: String::new(),
        })
    }

    /// Writes a line for what is missing, and a line for each reading of each item. Nothing is confirmed yet.
    ///
    /// # Errors
    /// The disk refuses; the file is cut back to what it held before.
    pub fn deliver(&mut self, items: Items<'_>, lost: Option<Lost>) -> io::Result<()> {
        self.lines.clear();
        if let Some(lost) = lost {
            line::push_lost(&mut self.lines, lost);
        }
        let lines = &mut self.lines;
        items.each(|item| line::push(lines, item));
        if self.is_torn {
            // Half a batch must not stay: the whole of it comes again.
            self.file.set_len(self.size)?;
            self.is_torn = false;
        }
        if let Err(error) = self.file.write_all(self.lines.as_bytes()) {
            self.is_torn = true;
            return Err(error);
        }
        self.size = self.size.saturating_add(self.lines.len().try_into().unwrap_or(u64::MAX));
        Ok(())
    }

    /// Confirms all that was delivered: it is on disk when this returns. A file that is full by then is followed by
    /// a new one.
    ///
    /// # Errors
    /// The disk refuses to sync. Nothing since the last confirmation can be trusted then, not even after a later sync
    /// that succeeds: see [`FileOutput::begin_anew`].
    pub fn confirm(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.size >= self.rotate_bytes
            && let Err(error) = self.rotate()
        {
            // What was delivered is safe where it is; the next confirmation tries again.
            tracing::warn!(%error, "cannot begin a new file of the file output; the old one grows on");
        }
        Ok(())
    }

    /// Goes on in a new file, for what is delivered again after a failed confirmation.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin_anew(&mut self) -> io::Result<()> {
        self.rotate()
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = self.number.saturating_add(1);
        self.file = open_numbered(&self.dir, number)?;
        self.number = number;
        self.size = 0;
        self.is_torn = false;
        let numbers = numbers(&self.dir)?;
        let surplus = numbers.len().saturating_sub(self.files_max);
        for number in numbers.iter().take(surplus) {
            match fs::remove_file(path(&self.dir, *number)) {
                // Somebody who collects the files was faster.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("readings-{number:08}.jsonl"))
}

/// Numbers of the files in `dir`, ascending.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix("readings-")?.strip_suffix(".jsonl"));
        numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn open_numbered(dir: &Path, number: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).read(true).open(path(dir, number))?;
    sync_folder(dir)?;
    Ok(file)
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Cuts what stands behind the last line end, and returns the size that is left.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0))?;
    let from = size.saturating_sub(LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = from.saturating_add(whole.try_into().unwrap_or(0));
    if end < size {
        tracing::warn!(bytes = size - end, "cut a torn last line of the file output; it is delivered again");
        file.set_len(end)?;
        file.seek(SeekFrom::End(0))?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{normalise::Routes, spool::LostCause};

    fn none(routes: &Routes) -> Items<'_> {
        Items { lane: crate::spool::Lane::Telemetry, routes, records: &[] }
    }

    fn config() -> FileConfig {
        FileConfig { rotate_bytes: 200, keep_files: 2, ..FileConfig::default() }
    }

    fn lost(from: u64) -> Option<Lost> {
        Some(Lost { from, to: from + 1, cause: LostCause::Damaged })
    }

    fn files(data: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(data.join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_followed_by_a_new_one_and_the_oldest_goes() {
        let data = tempfile::tempdir().unwrap();
        let mut output = FileOutput::open(&config(), data.path()).unwrap();
        for from in 0..40 {
            output.deliver(none(&Routes::default()), lost(from)).unwrap();
            output.confirm().unwrap();
        }
        let names = files(data.path());
        assert_eq!(names.len(), 3, "two closed files and the open one: {names:?}");
        let last = fs::read_to_string(data.path().join("out").join(names.last().unwrap())).unwrap();
        let all = names.iter().map(|name| fs::read_to_string(data.path().join("out").join(name)).unwrap());
        let all: String = all.collect();
        assert!(all.contains("\"from\":39") && !all.contains("\"from\":0,"), "{all}");
        assert!(last.len() < 400, "{last}");
    }

    #[test]
    fn what_comes_after_a_failed_confirmation_stands_in_a_new_file() {
        let data = tempfile::tempdir().unwrap();
        let mut output = FileOutput::open(&config(), data.path()).unwrap();
        output.deliver(none(&Routes::default()), lost(1)).unwrap();
        output.begin_anew().unwrap();
        output.deliver(none(&Routes::default()), lost(1)).unwrap();
        output.confirm().unwrap();
        assert_eq!(files(data.path()), ["readings-00000001.jsonl", "readings-00000002.jsonl"]);
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_rest_stays() {
        let data = tempfile::tempdir().unwrap();
        let mut output = FileOutput::open(&config(), data.path()).unwrap();
        output.deliver(none(&Routes::default()), lost(1)).unwrap();
        drop(output);
        let path = data.path().join("out/readings-00000001.jsonl");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), b"{\"lane\":\"te"].concat()).unwrap();
        let mut output = FileOutput::open(&config(), data.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        output.deliver(none(&Routes::default()), lost(2)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
    }

    #[test]
    fn a_file_of_nothing_but_a_torn_line_is_emptied() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir_all(data.path().join("out")).unwrap();
        let path = data.path().join("out/readings-00000007.jsonl");
        fs::write(&path, "{\"lane\"").unwrap();
        let output = FileOutput::open(&config(), data.path()).unwrap();
        assert_eq!((output.number, output.size), (7, 0));
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
