//! Programs of others that an experiment starts, kills and starts again.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::Error;

/// How long a program may take until it listens.
const START_MAX: Duration = Duration::from_secs(20);

/// Between two looks whether it does.
const LOOK_WAIT: Duration = Duration::from_millis(10);

/// Lines of a log in an error.
const LOG_LINES: usize = 12;

/// Where services are that a user's PATH may not name.
const MORE_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin"];

/// The program `name`, in PATH or where services are.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(MORE_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A port of loopback that was free a moment ago.
pub(super) fn free_port() -> Result<u16, Error> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|error| Error::Baseline(format!("no free port: {error}")))
}

/// Runs a program to its end; what it printed. That it fails is an error.
pub(super) fn run(command: &mut Command) -> Result<String, Error> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|error| cannot(command, &error))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    Err(Error::Baseline(format!("{}: {status}\n{}", shown(command), said.trim_end())))
}

/// A program that listens on a port of loopback. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    port: u16,
    child: Child,
}

impl Process {
    /// Starts it and waits until it listens. Its log goes to `log`.
    pub(super) async fn start(
        program: &Path,
        arguments: &[&str],
        log: PathBuf,
        port: u16,
    ) -> Result<Self, Error> {
        let arguments: Vec<_> = arguments.iter().copied().map(str::to_owned).collect();
        let child = spawn(program, &arguments, &log)?;
        let mut process = Self { program: program.to_owned(), arguments, log, port, child };
        process.wait_until_it_listens().await?;
        Ok(process)
    }

    /// SIGKILL, and a start at once.
    pub(super) async fn kill_and_start(&mut self) -> Result<(), Error> {
        self.check()?;
        self.kill();
        self.child = spawn(&self.program, &self.arguments, &self.log)?;
        self.wait_until_it_listens().await
    }

    /// It runs, and nobody but us has ended it.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("has ended by itself with {status}"))),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    async fn wait_until_it_listens(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        while !listens(self.port) {
            self.check()?;
            if begun.elapsed() >= START_MAX {
                return Err(self.failed(&format!("does not listen on port {} in {START_MAX:?}", self.port)));
            }
            sleep(LOOK_WAIT).await;
        }
        self.check()
    }

    fn kill(&mut self) {
        // Whatever the answer: after waiting there is no such process.
        let _gone = self.child.kill().is_err();
        let _status = self.child.wait().is_err();
    }

    fn failed(&self, what: &str) -> Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(LOG_LINES).collect();
        let last: Vec<_> = lines.into_iter().rev().collect();
        Error::Baseline(format!("{} {what}; its log ends with\n{}", self.program.display(), last.join("\n")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// In a group of its own, so that Ctrl-C on the terminal reaches nobody but the simulator, which ends the others.
fn spawn(program: &Path, arguments: &[String], log: &Path) -> Result<Child, Error> {
    let mut command = Command::new(program);
    let wrong = |error| Error::File { path: log.to_owned(), why: std::io::Error::to_string(&error) };
    let file = File::options().create(true).append(true).open(log).map_err(wrong)?;
    let both = file.try_clone().map_err(wrong)?;
    command.args(arguments).stdin(Stdio::null()).stdout(both).stderr(file).process_group(0);
    command.spawn().map_err(|error| cannot(&command, &error))
}

/// A connection to a free port of the system's own choice may meet itself, so that is looked at.
fn listens(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(ours), Ok(theirs)) if ours != theirs)
}

fn cannot(command: &Command, error: &std::io::Error) -> Error {
    Error::Baseline(format!("cannot run {}: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_are_and_nowhere_else() {
        assert!(find("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find("no-such-program"), None);
    }

    #[tokio::test]
    async fn a_program_that_ends_says_what_it_logged() {
        let dir = tempfile::tempdir().unwrap();
        let (shell, log) = (find("sh").unwrap(), dir.path().join("log"));
        let started =
            Process::start(&shell, &["-c", "echo no such option >&2; exit 3"], log, free_port().unwrap())
                .await;
        let error = started.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such option"), "{error}");
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let error =
            run(Command::new("sh").args(["-c", "echo wrong words >&2; exit 2"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("wrong words"), "{error}");
    }
}
