//! A person's password: asked for twice without showing it, or read as one line where nobody sits at a
//! terminal.

use std::io::{self, BufRead, ErrorKind, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Bytes read at most while looking for the end of the line.
const LINE_BYTES_MAX: u64 = 4_096;

/// Reads a password from standard input.
pub(super) fn ask() -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return line(io::stdin().lock());
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
        line(io::stdin().lock())
    };
    writeln!(terminal)?;
    answer
}

fn line(input: impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    let read = input.take(LINE_BYTES_MAX).read_line(&mut text)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_without_its_end() {
        for (typed, password) in
            [("a b \nrest", "a b "), ("grün\r\n", "grün"), ("no end", "no end"), ("\n", "")]
        {
            assert_eq!(line(typed.as_bytes()).unwrap(), password);
        }
        assert_eq!(line(&b""[..]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(line(&b"\xff\xfe\n"[..]).unwrap_err().kind(), ErrorKind::InvalidData);
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(line(endless).unwrap().len(), usize::try_from(LINE_BYTES_MAX).unwrap());
    }
}
