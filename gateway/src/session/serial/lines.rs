//! What an Arduino or a MicroPython program prints: a reading a line.

use super::Limits;

/// Splits bytes into lines.
#[derive(Debug)]
pub struct Lines {
    line: Vec<u8>,
    line_bytes_max: usize,
    is_too_long: bool,
    /// Lines dropped because they were too long or held what is no text.
    pub dropped: u64,
}

/// A line without its end.
pub type Line = Vec<u8>;

impl Lines {
    /// Nothing read yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { line: Vec::new(), line_bytes_max: limits.line_bytes_max, is_too_long: false, dropped: 0 }
    }

    /// Takes bytes from the port; the lines that are whole by them. Empty ones do not count.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for byte in bytes {
            if !matches!(byte, b'\n' | b'\r') {
                if self.line.len() < self.line_bytes_max {
                    self.line.push(*byte);
                } else {
                    self.is_too_long = true;
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let is_whole = !std::mem::take(&mut self.is_too_long);
            let is_text = std::str::from_utf8(&line).is_ok_and(|text| !text.chars().any(char::is_control));
            if line.trim_ascii().is_empty() && is_whole {
                continue;
            }
            if is_whole && is_text {
                lines.push(line);
            } else {
                self.dropped = self.dropped.saturating_add(1);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"23.4\r\nsensor_1,23.4\n\n{\"temperature\":23.4}\nhal";
        for cut in 0..text.len() {
            let mut lines = Lines::new(&Limits::default());
            let mut found = lines.handle_bytes(&text[..cut]);
            found.extend(lines.handle_bytes(&text[cut..]));
            assert_eq!(found, [&b"23.4"[..], b"sensor_1,23.4", b"{\"temperature\":23.4}"], "cut at {cut}");
            assert_eq!(lines.dropped, 0);
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_dropped_and_the_next_is_whole() {
        let limits = Limits { line_bytes_max: 4, ..Limits::default() };
        let mut lines = Lines::new(&limits);
        assert_eq!(lines.handle_bytes(b"1234\n12345\n5\n"), [b"1234".to_vec(), b"5".to_vec()]);
        assert_eq!(lines.dropped, 1);
    }

    #[test]
    fn noise_is_dropped() {
        let mut lines = Lines::new(&Limits::default());
        assert_eq!(lines.handle_bytes(b"\xff\xfe\n2\x00\n7\n"), [b"7".to_vec()]);
        assert_eq!(lines.dropped, 2);
    }
}
