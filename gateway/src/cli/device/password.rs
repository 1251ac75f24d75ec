//! A person's password: asked for twice without showing it, or read as one line where nobody sits at a terminal.

use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Bytes read at most while looking for the end of the line.
const LINE_BYTES_MAX: u64 = 4_096;

/// Reads a password from standard input.
pub(super) fn ask() -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let first = ask_hidden("Password: ")?;
    if ask_hidden("Once more: ")? != first {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the two are not the same"));
    }
    Ok(first)
}

fn ask_hidden(prompt: &str) -> io::Result<String> {
    let mut terminal = io::stderr().lock();
    write!(terminal, "{prompt}")?;
    terminal.flush()?;
    let answer = {
        let _echo = EchoOff::new()?;
        line()
    };
    writeln!(terminal)?;
    answer
}

fn line() -> io::Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut text)?;
    if read == 0 {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "nothing was typed"));
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The terminal shows nothing of what is typed until this is dropped.
struct EchoOff {
    before: Termios,
}

impl EchoOff {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        // A terminal that went away needs no echo.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before).unwrap_or_default();
    }
}
