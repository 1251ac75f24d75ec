use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::Utf8Error,
};

/// A configuration that cannot be used. Shown as one line a fault, `file:line:column: what is wrong; what to write
/// instead`; a command that meets it ends with exit code 78 (`EX_CONFIG`).
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    Unreadable(io::Error),
    TooLarge,
    NotFound { looked_in: Vec<PathBuf> },
    Unwritable(io::Error),
    Faulty(Vec<Fault>),
}

/// One thing wrong in a configuration, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub instead: String,
}

/// Characters of a [`Fault`]'s `wrong` and of its `instead`: what stands in a file may be of any length.
pub const FAULT_CHARS_MAX: usize = 300;

impl Fault {
    /// The fault at the byte `offset` of `text`.
    pub(super) fn new(text: &str, offset: usize, wrong: &str, instead: &str) -> Self {
        let (line, column) = place(text, offset);
        Self { line, column, wrong: shortened(wrong), instead: shortened(instead) }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FAULT_CHARS_MAX - 1) {
        Some((end, last)) if end + last.len_utf8() < text.len() => {
            text.get(..end).unwrap_or(text).to_owned() + "…"
        }
        _ => text.to_owned(),
    }
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), what: What::Unreadable(source) }
    }

    pub(super) fn too_large(path: &Path) -> Self {
        Self { path: path.to_owned(), what: What::TooLarge }
    }

    pub(super) fn not_found(looked_in: Vec<PathBuf>) -> Self {
        Self { path: PathBuf::new(), what: What::NotFound { looked_in } }
    }

    pub(super) fn unwritable(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), what: What::Unwritable(source) }
    }

    pub(super) fn faulty(path: &Path, faults: Vec<Fault>) -> Self {
        Self { path: path.to_owned(), what: What::Faulty(faults) }
    }

    pub(super) fn not_utf8(path: &Path, bytes: &[u8], error: Utf8Error) -> Self {
        let before = bytes.get(..error.valid_up_to()).unwrap_or(bytes);
        let text = String::from_utf8_lossy(before);
        let fault = Fault::new(&text, text.len(), "a byte here is not UTF-8", "save the file as UTF-8");
        Self::faulty(path, vec![fault])
    }

    /// What is wrong inside the file, in the order of the text; empty when the file itself is the trouble.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        match &self.what {
            What::Faulty(faults) => faults,
            _ => &[],
        }
    }
}

/// Line and column, both from 1, of the byte `offset` of `text`.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let line_text = before.rsplit('\n').next().unwrap_or(before);
    (line, line_text.chars().count() + 1)
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.what {
            What::Unreadable(source) => {
                write!(f, "{path}: cannot be read ({source}); name another file with -c FILE")
            }
            What::TooLarge => {
                write!(f, "{path}: longer than 1 MiB; name a configuration file with -c FILE")
            }
            What::NotFound { looked_in } => {
                let looked_in: Vec<_> = looked_in.iter().map(|path| path.display().to_string()).collect();
                write!(
                    f,
                    "no configuration in {}; name one with -c FILE, or make one with `tidegate quickstart DIR`",
                    looked_in.join(" or ")
                )
            }
            What::Unwritable(source) => {
                write!(f, "{path}: cannot be written ({source}); name a file with -c FILE")
            }
            What::Faulty(faults) => {
                for (i, fault) in faults.iter().enumerate() {
                    let end = if i == 0 { "" } else { "\n" };
                    write!(f, "{end}{path}:{fault}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.line, self.column, self.wrong, self.instead)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            What::Unreadable(source) | What::Unwritable(source) => Some(source),
            _ => None,
        }
    }
}
