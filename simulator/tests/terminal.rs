//! The dashboard on a real terminal, which `script` of util-linux makes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it is surprised"
)]

mod fake;

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fake::{Faults, Server};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A shell on a terminal of 80 columns and 24 rows. What it says behind the simulator's end is about the terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    written: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Runs `before; simulator run WORDS`, then asks the terminal for its settings.
    fn run(before: &str, words: &str) -> Self {
        let simulator = env!("CARGO_BIN_EXE_simulator");
        let line = format!("stty cols 80 rows 24; {before} '{simulator}' run {words}; echo code $?; stty -a");
        let mut command = Command::new("script");
        command.args(["-qfc", &line, "/dev/null"]).env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("`script` is installed: apt-get install -y bsdutils");
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let written = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&written);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, keys, written, reader }
    }

    fn wait_for(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.written.lock().unwrap().contains(what) {
            assert!(Instant::now() < deadline, "no {what:?} in {:?}", self.written.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for its end. The picture was there and is gone, the terminal is as it was before; what stands on it.
    fn end(mut self) -> String {
        self.wait_for("code ");
        assert!(self.child.wait().unwrap().success());
        drop(self.keys);
        self.reader.join().unwrap();
        let written = self.written.lock().unwrap().clone();
        assert_eq!(written.matches(ENTER).count(), 1, "{written:?}");
        let (picture, after) = written.split_once(LEAVE).unwrap_or_else(|| panic!("never left: {written:?}"));
        assert!(picture.contains("simulator mqtt") || picture.contains("connecting"), "{picture:?}");
        assert!(after.contains("\x1b[?25h") && !after.contains("\x1b[?25l"), "the cursor is back: {after:?}");
        for setting in ["icanon", "echo", "isig", "icrnl", "opost"] {
            let is_on = after.split_whitespace().any(|word| word == setting);
            assert!(is_on, "{setting} is off: {after}");
        }
        after.to_owned()
    }
}

fn words(server: &Server, more: &str) -> String {
    format!("--port {} -c 20 -I 20ms --audit file:{} {more}", server.address.port(), server.out().display())
}

#[test]
fn q_ends_with_the_report_behind_the_picture() {
    let server = Server::start(Faults::default());
    let mut terminal = Terminal::run("", &words(&server, ""));
    terminal.wait_for("20 of 20 connected");
    terminal.press("q");
    let after = terminal.end();
    assert!(after.contains("lost 0, duplicated 0, out of order 0") && after.contains("code 0"), "{after}");
}

#[test]
fn a_second_control_c_leaves_at_once() {
    // What was sent last is not acknowledged for a minute.
    let server = Server::start(Faults { stall: (50, Duration::from_secs(60)), ..Faults::default() });
    let mut terminal = Terminal::run("", &words(&server, ""));
    terminal.wait_for("20 of 20 connected");
    thread::sleep(Duration::from_secs(1));
    terminal.press("\x03");
    terminal.wait_for("once more");
    terminal.press("\x03");
    let after = terminal.end();
    assert!(after.contains("code 130") && !after.contains("lost"), "{after}");
}

#[test]
fn a_run_that_fails_gives_the_terminal_back_before_it_says_why() {
    let server = Server::start(Faults { refuse_login: true, ..Faults::default() });
    let after = Terminal::run("", &words(&server, "-u me -P wrong")).end();
    assert!(after.contains("refuses the login") && after.contains("code 77"), "{after}");
}

#[test]
fn another_size_is_another_picture() {
    let server = Server::start(Faults::default());
    let before = "(sleep 2; stty -F /dev/tty cols 100 rows 33) & ";
    let terminal = Terminal::run(before, &words(&server, "--duration 4s"));
    // The last line of the smaller picture, then of the larger.
    terminal.wait_for("\x1b[24;1H");
    terminal.wait_for("\x1b[33;1H");
    assert!(terminal.end().contains("code 0"));
}

#[test]
fn a_terminal_that_takes_lines_only_gets_lines() {
    let server = Server::start(Faults::default());
    let mut command = Command::new("script");
    let line = format!("'{}' run {}", env!("CARGO_BIN_EXE_simulator"), words(&server, "--duration 6s"));
    let output = command.args(["-qec", &line, "/dev/null"]).env("TERM", "dumb").stdin(Stdio::null()).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(!text.contains('\x1b') && text.contains("connected 20/20"), "{text:?}");
}
