use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    str,
};

use base64::Engine as _;

use super::json;

/// Folder of the dead-letter files, in the data folder.
pub(super) const FOLDER: &str = "dead-letters";

/// Bytes of a file that is followed by a new one.
pub(super) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Files of one output that stay; with one more the oldest goes, and the log says so.
pub(super) const FILES_MAX: usize = 16;

/// A message that the destination will never take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter<'m> {
    /// Why not.
    pub(super) why: &'m str,
    /// Where it was to go and what it is called there.
    pub(super) head: &'m [(&'m str, &'m str)],
    pub(super) body: &'m [u8],
}

/// Messages that the destination will never take, as JSON lines with the reason, in `NAME-00000001.jsonl` and so on.
///
/// A letter is on disk before the cursor passes its record.
#[derive(Debug)]
pub(super) struct DeadLetters {
    dir: PathBuf,
    name: String,
    file: Option<(File, u64, u64)>,
    is_dirty: bool,
    bytes_max: u64,
    count: u64,
}

impl DeadLetters {
    /// Those of the output `name`, below the data folder. Nothing is made before there is a letter.
    pub(super) fn new(data: &Path, name: &str) -> Self {
        Self {
            dir: data.join(FOLDER),
            name: name.to_owned(),
            file: None,
            is_dirty: false,
            bytes_max: FILE_BYTES_MAX,
            count: 0,
        }
    }

    /// Letters since the start.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Writes a letter down.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn bury<'m>(
        &mut self,
        letter: &Letter<'m>,
        properties: impl Iterator<Item = (&'m str, &'m str)>,
        wall_ms: u64,
    ) -> io::Result<()> {
        self.write(&line(wall_ms, letter, properties))
    }

    /// Returns when every letter is on disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty
            && let Some((file, _, _)) = &self.file
        {
            file.sync_data()?;
            self.is_dirty = false;
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let bytes_max = self.bytes_max;
        if self.file.as_ref().is_none_or(|(_, _, size)| *size >= bytes_max) {
            self.sync()?;
            self.begin_file()?;
        }
        let Some((file, _, size)) = &mut self.file else { return Ok(()) };
        if let Err(error) = file.write_all(line.as_bytes()) {
            // Half a line must not stay in front of the next.
            file.set_len(*size)?;
            return Err(error);
        }
        *size = size.saturating_add(line.len().try_into().unwrap_or(u64::MAX));
        self.is_dirty = true;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    fn begin_file(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let numbers = self.numbers()?;
        let newest = numbers.last().copied().unwrap_or(0);
        let open = |number: u64| {
            let file = OpenOptions::new().create(true).append(true).open(self.path(number))?;
            let size = file.metadata()?.len();
            io::Result::Ok((file, number, size))
        };
        let newest = open(newest.max(1))?;
        let begun = if newest.2 < self.bytes_max { newest } else { open(newest.1.saturating_add(1))? };
        let surplus = self.numbers()?;
        let surplus = surplus.iter().take(surplus.len().saturating_sub(FILES_MAX));
        for number in surplus {
            tracing::error!(output = %self.name, number, "the oldest file of dead letters is deleted to make room");
            fs::remove_file(self.path(*number))?;
        }
        // The file's name must be on disk too.
        File::open(&self.dir)?.sync_all()?;
        self.file = Some(begun);
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{}-{number:08}.jsonl", self.name))
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let digits = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.name)?.strip_prefix('-')?.strip_suffix(".jsonl"));
            numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn line<'m>(
    wall_ms: u64,
    letter: &Letter<'m>,
    properties: impl Iterator<Item = (&'m str, &'m str)>,
) -> String {
    let mut line = String::from("{");
    json::push_number(&mut line, "ts", wall_ms);
    json::push_text(&mut line, "reason", letter.why);
    letter.head.iter().for_each(|(name, value)| json::push_text(&mut line, name, value));
    json::push_name(&mut line, "properties");
    line.push('{');
    properties.for_each(|(name, value)| json::push_text(&mut line, name, value));
    line.push('}');
    match str::from_utf8(letter.body) {
        Ok(text) => json::push_text(&mut line, "body", text),
        Err(_) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(letter.body);
            json::push_text(&mut line, "body_base64", &encoded);
        }
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bury(letters: &mut DeadLetters, why: &str, body: &[u8], wall_ms: u64) {
        let head = [("topic", "iot-topic"), ("id", "id")];
        let properties = [("tg_seq", "42")].into_iter();
        letters.bury(&Letter { why, head: &head, body }, properties, wall_ms).unwrap();
    }

    fn files(data: &Path) -> Vec<String> {
        let entries = fs::read_dir(data.join(FOLDER)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_letter_says_why_and_all_that_was_to_be_sent() {
        let data = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::new(data.path(), "rocketmq");
        assert!(!data.path().join(FOLDER).exists(), "nothing is made before there is one");
        bury(&mut letters, "no topic may be called \"a/b\"", b"36.5", 7);
        bury(&mut letters, "no", &[0xFF], 8);
        letters.sync().unwrap();
        let text = fs::read_to_string(data.path().join(FOLDER).join("rocketmq-00000001.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines[0]["reason"], "no topic may be called \"a/b\"");
        assert_eq!((&lines[0]["topic"], &lines[0]["id"]), (&"iot-topic".into(), &"id".into()));
        assert_eq!((&lines[0]["properties"]["tg_seq"], &lines[0]["body"]), (&"42".into(), &"36.5".into()));
        assert_eq!((&lines[1]["body_base64"], &lines[1]["ts"]), (&"/w==".into(), &8.into()));
        assert_eq!(letters.count(), 2);
    }

    #[test]
    fn a_full_file_is_followed_by_a_new_one_and_no_more_stay_than_the_limit() {
        let data = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters { bytes_max: 1, ..DeadLetters::new(data.path(), "bus") };
        let mut other = DeadLetters::new(data.path(), "bus-2");
        bury(&mut other, "no", b"x", 0);
        for _ in 0..FILES_MAX + 3 {
            bury(&mut letters, "no", b"x", 0);
        }
        let names: Vec<_> =
            files(data.path()).into_iter().filter(|name| !name.starts_with("bus-2")).collect();
        assert_eq!(names.len(), FILES_MAX);
        assert_eq!(names.last().unwrap(), "bus-00000019.jsonl");
        let mut again = DeadLetters::new(data.path(), "bus");
        bury(&mut again, "no", b"x", 0);
        assert_eq!(files(data.path()).len(), FILES_MAX + 1, "a new start goes on in the newest file");
    }
}
