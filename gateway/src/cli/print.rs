//! The one place that writes to standard output and standard error.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Writes `text` and a line's end to standard output.
///
/// # Errors
/// What standard output says. A reader that has gone away (`tidegate tail | head`) is
/// [`io::ErrorKind::BrokenPipe`], which ends a command quietly: see [`super::Error`].
pub fn line(text: impl Display) -> io::Result<()> {
    line_to(&mut io::stdout().lock(), text)
}

/// Writes `text` and a line's end to standard error. That nobody reads it is no reason to fail.
pub fn note(text: impl Display) {
    drop(line_to(&mut io::stderr().lock(), text));
}

/// Writes bytes as they are to standard output.
///
/// # Errors
/// As [`line`].
pub fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn line_to(out: &mut impl Write, text: impl Display) -> io::Result<()> {
    writeln!(out, "{text}")?;
    out.flush()
}
