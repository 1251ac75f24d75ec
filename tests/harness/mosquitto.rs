//! The clients of mosquitto.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use crate::{Gateway, Login, SOON_MAX, programs::run};

/// `mosquitto_pub WORDS…` as the device of quickstart.
pub fn publish(gateway: &Gateway, words: &[&str]) -> Output {
    publish_as(gateway, &gateway.device, words)
}

/// `mosquitto_pub WORDS…` as `login`.
pub fn publish_as(gateway: &Gateway, login: &Login, words: &[&str]) -> Output {
    run(client(&["timeout", "30", "mosquitto_pub"], gateway, login).args(["-i", &login.user]).args(words))
}

fn client(program: &[&str], gateway: &Gateway, login: &Login) -> Command {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).args(["-h", "127.0.0.1", "-p", &gateway.port.to_string()]);
    command.args(["-u", &login.user, "-P", &login.password]);
    command
}

/// A running `mosquitto_sub -v -d`, subscribed.
pub struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Subscribes as the application of quickstart; `words` name version, QoS and topics.
    pub fn start(gateway: &Gateway, words: &[&str]) -> Self {
        // Both become mosquitto_sub itself, so that the process id is its own; a pipe gets each line at once.
        let program = ["stdbuf", "-oL", "mosquitto_sub"];
        let mut command = client(&program, gateway, &gateway.application);
        command.args(["-v", "-d"]).args(words);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub is installed");
        let printed = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = mpsc::channel();
        thread::spawn(move || printed.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let subscriber = Self { child, lines };
        subscriber.wait_for(|line| line.starts_with("Subscribed"));
        subscriber
    }

    /// The next `TOPIC PAYLOAD`.
    pub fn next(&self) -> String {
        self.wait_for(is_message)
    }

    /// Whether nothing came for a while.
    pub fn is_silent(&self, time: Duration) -> bool {
        loop {
            match self.lines.recv_timeout(time) {
                Ok(line) if is_message(&line) => return false,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
    }

    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.lines.recv_timeout(SOON_MAX) {
                Ok(line) if wanted(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("mosquitto_sub printed no such line: {error}"),
            }
        }
    }
}

/// `-d` prints what the client does: those lines begin with its name or a known word.
fn is_message(line: &str) -> bool {
    !line.starts_with("Client ") && !line.starts_with("Subscribed") && !line.is_empty()
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
