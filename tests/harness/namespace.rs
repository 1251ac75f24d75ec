//! A network of a test's own, with nothing in it but what the test puts there.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::ran;

/// A network namespace with loopback; gone when this is dropped, and when the test is killed.
pub struct Namespace {
    /// Keeps it open until its input ends.
    holder: Child,
}

impl Namespace {
    pub fn make() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is part of every Debian");
        let mut line = String::new();
        let mut said = BufReader::new(holder.stdout.take().expect("piped"));
        said.read_line(&mut line).expect("it says when it is there");
        assert_eq!(line, "up\n", "a network namespace takes root, and the package iproute2");
        Self { holder }
    }

    /// Runs `work`, and whatever it starts, in there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/proc/{}/ns/net", self.holder.id())).expect("it is there");
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // Only this thread moves.
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes a TAP device, with this machine at `address`, such as `10.77.1.1/24`.
    pub fn tap(&self, name: &str, address: &str) {
        self.run(|| {
            ran(Command::new("ip").args(["tuntap", "add", "dev", name, "mode", "tap"]));
            ran(Command::new("ip").args(["address", "add", address, "dev", name]));
            ran(Command::new("ip").args(["link", "set", name, "up"]));
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ended = self.holder.kill();
        let _status = self.holder.wait();
    }
}
