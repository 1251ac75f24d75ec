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

/// Standard output, for what writes to it piece by piece.
#[must_use]
pub fn out() -> impl Write {
    io::stdout().lock()
}

/// `rows` as lines, each column as wide as its widest cell and two spaces from the next.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line_to(out: &mut impl Write, text: impl Display) -> io::Result<()> {
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let rows = [row(&["lane", "°C", "end"]), row(&["telemetry", "1", "42"]), row(&["event"])];
        assert_eq!(columns(&rows), "lane       °C  end\ntelemetry  1   42\nevent");
        assert_eq!(columns(&[]), "");
    }
}
