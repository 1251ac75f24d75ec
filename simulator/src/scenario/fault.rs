use std::fmt;

/// Something wrong in a scenario, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to write instead.
    pub wrong: String,
}

impl Fault {
    /// The fault at the byte `offset` of `text`.
    pub(super) fn new(text: &str, offset: usize, wrong: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        Self { line: before.matches('\n').count().saturating_add(1), column: column.saturating_add(1), wrong }
    }

    /// What the parser says.
    pub(super) fn of(text: &str, error: &toml::de::Error) -> Self {
        let message: Vec<_> = error.message().split_whitespace().collect();
        Self::new(text, error.span().map_or(0, |span| span.start), message.join(" "))
    }
}

impl fmt::Display for Fault {
    /// `line:column: what is wrong`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.wrong)
    }
}
