use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use super::{
    PREFIX,
    arm::{Arm, Behind},
    collector::Collector,
    process::{self, Process},
    uplink::Uplink,
};
use crate::{Error, Plan, Target, plan::AuditPlan};

const PROGRAM: &str = "mosquitto";
const INSTALL: &str = "mosquitto is neither in PATH nor where services are; install it: `sudo apt-get install mosquitto`, \
                       `sudo dnf install mosquitto` or `brew install mosquitto`. It need not run: the simulator starts \
                       two of its own";

/// How the mosquitto is set that the sensors speak to. In all of them its bridge publishes at QoS 1 in a session that
/// both ends keep, and tries again after a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mosquitto {
    /// Persistence on and all else as it comes: the database is written every 30 minutes and at a clean end.
    Persistent,
    /// As it comes: all in memory.
    Memory,
    /// The database written after every change, and a queue without an end.
    Careful,
}

impl Mosquitto {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Persistent, Self::Memory, Self::Careful];

    const fn name(self) -> &'static str {
        match self {
            Self::Persistent => "mosquitto",
            Self::Memory => "mosquitto-memory",
            Self::Careful => "mosquitto-careful",
        }
    }

    const fn lines(self) -> &'static [&'static str] {
        match self {
            Self::Persistent => &["persistence true"],
            Self::Memory => &["persistence false"],
            Self::Careful => &[
                "persistence true",
                "autosave_on_changes true",
                "autosave_interval 1",
                "max_queued_messages 0",
            ],
        }
    }
}

impl fmt::Display for Mosquitto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mosquitto {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|one| one.name() == text);
        known.ok_or_else(|| format!("there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Where it is.
pub(super) fn program() -> Result<PathBuf, Error> {
    process::find(PROGRAM).ok_or_else(|| Error::Baseline(INSTALL.into()))
}

/// Two of them in `dir`: the edge, killed and bridged over an uplink that breaks, and the destination, which does not
/// suffer.
pub(super) async fn start(how: Mosquitto, program: &Path, dir: &Path, template: &Plan) -> Result<Arm, Error> {
    let [edge_port, upstream_port] = [process::free_port()?, process::free_port()?];
    let upstream = destination(upstream_port);
    let upstream = start_one(program, dir, "upstream", &upstream, upstream_port).await?;
    let out = dir.join("arrived");
    fs::create_dir(&out).map_err(|error| Error::File { path: out.clone(), why: error.to_string() })?;
    let collector = Collector::start(&Target::mqtt("127.0.0.1", upstream_port), &out).await?;
    let opened = Uplink::open(upstream_port).await;
    let uplink = opened.map_err(|error| Error::Baseline(format!("cannot make an uplink: {error}")))?;
    let configuration = edge(how, edge_port, uplink.port, dir);
    let edge = start_one(program, dir, "edge", &configuration, edge_port).await?;
    Ok(Arm {
        name: how.name(),
        version: version(program),
        program: program.to_owned(),
        configuration,
        edge,
        plan: Plan {
            targets: vec![Target::mqtt("127.0.0.1", edge_port)],
            credentials: None,
            client_id: Some(format!("{PREFIX}%i")),
            topic: "telemetry/%c".into(),
            audit: Some(AuditPlan { wait_max: super::AUDIT_WAIT, ..AuditPlan::new(out) }),
            ..template.clone()
        },
        behind: Some(Behind { uplink, upstream, collector }),
    })
}

fn edge(how: Mosquitto, port: u16, uplink_port: u16, dir: &Path) -> Vec<String> {
    let mut lines = listener(port);
    lines.extend(how.lines().iter().copied().map(str::to_owned));
    if how != Mosquitto::Memory {
        lines.push(format!("persistence_location {}/", dir.display()));
    }
    let address = format!("address 127.0.0.1:{uplink_port}");
    let bridge = [
        "connection upstream",
        &address,
        "topic # out 1",
        "cleansession false",
        "notifications false",
        "restart_timeout 1",
    ];
    lines.extend(bridge.map(str::to_owned));
    lines
}

/// Never the cause of a loss: it is not killed, and what the collector has not taken yet is kept without an end.
fn destination(port: u16) -> Vec<String> {
    let mut lines = listener(port);
    lines.extend(["persistence false", "max_queued_messages 0"].map(str::to_owned));
    lines
}

fn listener(port: u16) -> Vec<String> {
    let mut lines = vec![format!("listener {port} 127.0.0.1"), "allow_anonymous true".to_owned()];
    if rustix::process::geteuid().is_root() {
        // Else it becomes a user that may not write to the experiment's folder.
        lines.push("user root".to_owned());
    }
    lines
}

async fn start_one(
    program: &Path,
    dir: &Path,
    name: &str,
    lines: &[String],
    port: u16,
) -> Result<Process, Error> {
    let path = dir.join(format!("{name}.conf"));
    let text = lines.join("\n") + "\n";
    fs::write(&path, text).map_err(|error| Error::File { path: path.clone(), why: error.to_string() })?;
    let log = dir.join(format!("{name}.log"));
    Process::start(program, &["-c", &path.display().to_string()], log, port).await
}

/// `mosquitto -h` says its version and ends with an error.
fn version(program: &Path) -> String {
    let said = Command::new(program).arg("-h").stdin(Stdio::null()).output();
    let text = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_that_means_it() {
        for one in Mosquitto::ALL {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        assert!("nanomq".parse::<Mosquitto>().unwrap_err().contains("mosquitto-careful"));
    }

    #[test]
    fn all_bridge_the_same_and_keep_what_their_names_say() {
        let of = |how| edge(how, 1, 2, Path::new("dir")).join("\n");
        for how in Mosquitto::ALL {
            let text = of(how);
            for line in ["listener 1 127.0.0.1", "address 127.0.0.1:2", "topic # out 1", "cleansession false"]
            {
                assert!(text.contains(line), "{text}");
            }
        }
        assert!(of(Mosquitto::Persistent).contains("persistence true\npersistence_location dir/"));
        assert!(!of(Mosquitto::Persistent).contains("autosave"));
        assert!(of(Mosquitto::Careful).contains("autosave_interval 1\nmax_queued_messages 0"));
        assert!(
            of(Mosquitto::Memory).contains("persistence false")
                && !of(Mosquitto::Memory).contains("location")
        );
    }
}
