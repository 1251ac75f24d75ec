//! A board without a radio: `firmware/tap`, the firmware's core over embassy-net on a TAP device.

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::{Login, programs};

/// A board that runs, ten readings a second. Dropped, its power is off at once.
pub struct TapBoard {
    child: Child,
    stdin: ChildStdin,
    shown: Arc<Mutex<Vec<String>>>,
}

impl TapBoard {
    /// Power on, by `protocol`: `mqtt` or `coap`. From within the namespace that holds the TAP device. `flash` is the
    /// file that stands for its flash.
    pub fn start(
        protocol: &str,
        tap: (&str, Ipv4Addr),
        gateway: (Ipv4Addr, u16),
        login: &Login,
        flash: &Path,
    ) -> Self {
        let (tap, address) = tap;
        let program = programs::program("TIDEGATE_TAP_BIN", "../debug/tidegate-tap", "tests/run firmware");
        let mut child = Command::new(program)
            .args([protocol, tap, &address.to_string(), &format!("{}:{}", gateway.0, gateway.1), &login.user])
            .arg(flash)
            .env("TIDEGATE_SECRET", &login.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let stdin = child.stdin.take().expect("piped");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (out, lines) = (child.stdout.take().expect("piped"), Arc::clone(&shown));
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                lines.lock().expect("nobody panicked").push(line);
            }
        });
        Self { child, stdin, shown }
    }

    /// Makes it so warm.
    pub fn warm(&mut self, hundredths: i32) {
        writeln!(self.stdin, "{hundredths}").expect("it runs");
    }

    /// What its lamp has shown, one after the other.
    pub fn shown(&self) -> Vec<String> {
        self.shown.lock().expect("nobody panicked").clone()
    }
}

impl Drop for TapBoard {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
