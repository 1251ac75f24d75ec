//! A service manager's end of sd_notify(3): a datagram socket that keeps what it is told.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The socket that NOTIFY_SOCKET names.
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: TempDir,
}

impl NotifySocket {
    pub fn bind() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket in a folder of our own");
        Self { socket, path, _folder: folder }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("a plain path")
    }

    /// The next datagram's lines; none when nothing comes within `time_max`.
    pub fn next(&self, time_max: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(time_max.max(Duration::from_millis(1)))).expect("a socket");
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        Some(text.lines().map(str::to_owned).collect())
    }

    /// Reads on until a datagram has a line that begins with `word`; the datagram.
    pub fn wait_for(&self, word: &str, time_max: Duration) -> Vec<String> {
        let end = Instant::now() + time_max;
        let mut others = Vec::new();
        while let Some(lines) = self.next(end.saturating_duration_since(Instant::now())) {
            if lines.iter().any(|line| line.starts_with(word)) {
                return lines;
            }
            others.push(lines);
        }
        panic!("no {word} within {time_max:?}; there came {others:?}")
    }

    /// Datagrams with `word` within `time`.
    pub fn count(&self, word: &str, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut count = 0;
        while let Some(lines) = self.next(end.saturating_duration_since(Instant::now())) {
            count += usize::from(lines.iter().any(|line| line == word));
        }
        count
    }
}
