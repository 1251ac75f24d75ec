use std::{path::PathBuf, time::Duration};

use crate::simulator::{
    AuditPlan, AuditSource, Error, Plan, Profile, Qos, Target, Version, plan,
    scenario::{self, Beside},
};
use clap::{Args, Parser, Subcommand, ValueEnum, builder::ArgPredicate};

use crate::compare::{self, BaselineArgs};

const EXAMPLES: &str = "\
Examples:
  A hundred sensors of a Tidegate, and a look at whether everything arrived:
    tidegate device add --count 100 --prefix sensor_ --out creds.csv
    simulator run --target mqtt://127.0.0.1:1883 --credentials creds.csv --duration 60s --audit file:DIR/out
    simulator run --credentials creds.csv --interval 2s --duration 60s --audit rocketmq://127.0.0.1:9876

  A thousand sensors of any MQTT server, one reading a second each, with 256-byte payloads:
    simulator run --target mqtt://127.0.0.1 -c 1000 -I 1s -t 'bench/%i' -s 256 --duration 30s

  A hundred sensors, of which 30 speak CoAP:
    simulator run --target mqtt://127.0.0.1:1883=70 --target coap://127.0.0.1:5683=30 --credentials creds.csv

  Sensors of several kinds, as a file says:
    simulator run --scenario simulator/scenarios/greenhouse.toml --credentials creds.csv --audit file:DIR/out

  As much as the server takes, 100 connections with 16 publishes on their way each:
    simulator run --target mqtt://127.0.0.1 -c 100 -I 0 -F 16 --duration 10s --report out.json

  The same kills and the same outage for Tidegate and for a bridge of mosquitto, both verdicts side by side:
    simulator run --baseline mosquitto";

const EXIT_CODES: &str = "\
Exit codes:
  0   as it should be: done, and with --audit every acknowledged reading arrived
  1   the audit failed: something acknowledged is missing, out of order, altered or doubled under another id
      (with --baseline: Tidegate's audit; what the others lose changes nothing)
  2   wrong arguments
  3   nothing was acknowledged at QoS 1, so nothing was shown
  69  nobody could connect, or a program for --baseline is missing or has failed
  70  a fault of the simulator
  74  a file cannot be read or written
  77  the server refuses the logins
  78  the credentials or the scenario cannot be used
  130 Ctrl-C a second time, or with --baseline once";

/// Thousands of virtual sensors over MQTT and CoAP, and an audit of what arrived.
#[derive(Debug, Parser)]
#[command(name = "simulator", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate sensors and report what was acknowledged, how fast, and with --audit whether it arrived.
    ///
    /// Each sensor sends {"boot":B,"seq":N,"ts":T,"values":{"temperature":23.41}}: B is the second in which the run
    /// began, so that a later run has a higher one, and N counts from 1. What is not acknowledged is kept and sent
    /// again after a lost connection, in order and under the same number. Ctrl-C plans no more readings, waits for
    /// those on their way and reports; a second Ctrl-C ends at once.
    #[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
    Run(Box<Run>),
    /// Look again whether everything arrived that an earlier `run --state FILE` was acknowledged.
    #[command(after_long_help = EXIT_CODES)]
    Audit(Audit),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Sensors of several kinds, as a TOML file says. A --target beside it stands in for the file's of its protocol.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "host", "port", "user", "password", "devices", "start_number", "interval", "profile", "duration", "topic",
        "client_id", "qos", "size", "inflight", "connect_rate", "protocol_version", "keep_alive", "backlog",
        "ack_timeout", "retransmit_wait", "settle",
    ])]
    scenario: Option<PathBuf>,

    /// The server: mqtt://HOST:PORT or coap://HOST:PORT [default: mqtt://127.0.0.1:1883]. Given again for a further
    /// one, and then the sensors are dealt out in turn, or by weights: mqtt://HOST:PORT=70.
    #[arg(long, value_name = "TARGET")]
    target: Vec<Target>,

    /// The server's host, in place of the one in every --target.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The server's port, in place of the one in every --target.
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,

    /// Lines device,secret, as `tidegate device add --count N --prefix sensor_ --out FILE` writes them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password"])]
    credentials: Option<PathBuf>,

    /// User name without --credentials; %i is the sensor's number.
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// Password for --user.
    #[arg(short = 'P', long, value_name = "PASSWORD", requires = "user")]
    password: Option<String>,

    /// Number of sensors [default: as many as --credentials has, else 10].
    #[arg(short = 'c', long, visible_alias = "count", value_name = "N")]
    devices: Option<u32>,

    /// Number of the first sensor.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    start_number: u32,

    /// Between two readings of a sensor: 2s, 200ms, or a plain number of milliseconds. 0: the next one follows the
    /// acknowledgement.
    #[arg(short = 'I', long, value_name = "TIME", default_value = "2s", value_parser = interval,
        default_value_if("baseline", ArgPredicate::IsPresent, "100ms"))]
    interval: Duration,

    /// How the sensors behave: periodic, jitter:20% or bursts:readings=10,gap=50ms, and waves (20 to 40 °C) or
    /// spikes:every=100,readings=5,peak=42 (over 35 °C now and then); one of each joined by +.
    #[arg(long, value_name = "PROFILE", default_value = "periodic")]
    profile: Profile,

    /// For how long each sensor measures: 60s, 10m. Without it: until Ctrl-C.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// The same seed makes the same values [default: 1].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Boot of all readings [default: the second of the start].
    #[arg(long, value_name = "N")]
    boot: Option<u32>,

    /// Topic, which CoAP has as its path; %i is the sensor's number, %u its user name, %c its client id.
    #[arg(short, long, value_name = "TOPIC", default_value = "telemetry")]
    topic: String,

    /// Client id, with the same words [default: the user name of --credentials, else sensor_%i].
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// 1: at least once (CoAP: CON). 0: at most once (CoAP: NON), and nothing is promised.
    #[arg(short, long, value_name = "0|1", default_value = "1", value_parser = qos)]
    qos: Qos,

    /// Payloads are made up to this many bytes with spaces.
    #[arg(short, long = "size", value_name = "BYTES", default_value_t = 0)]
    size: usize,

    /// Publishes on their way on each connection (CoAP: NSTART; with more than one, repeated readings come out of
    /// order).
    #[arg(short = 'F', long, value_name = "W", default_value_t = 1)]
    inflight: u16,

    /// New connections a second at the start.
    #[arg(short = 'R', long, value_name = "N", default_value_t = 500)]
    connect_rate: u32,

    /// MQTT 5, where a server can refuse a reading, or 3.1.1.
    #[arg(short = 'V', long, value_name = "4|5", default_value = "5", value_parser = version)]
    protocol_version: Version,

    /// Keep-alive.
    #[arg(short = 'k', long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    keep_alive: Duration,

    /// Readings that a sensor keeps while it cannot send them; then the oldest of them are skipped.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    backlog: u64,

    /// Without an acknowledgement for this long, a sensor connects anew. CoAP repeats instead, and waits this long for a
    /// response that is to come apart from its acknowledgement.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    ack_timeout: Duration,

    /// CoAP: wait before a message is repeated; each further wait is twice as long, and after four it is given up.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    retransmit_wait: Duration,

    /// After the end, at most this long until everything is acknowledged.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    settle: Duration,

    /// Look in the gateway's output whether everything arrived: file:DIR/out, or on the bus it sends to:
    /// rocketmq://HOST:PORT, and then how long it took from sensor to consumer too. With ?topic=NAME&topic=NAME it
    /// looks into other topics.
    #[arg(long, value_name = "SOURCE")]
    audit: Option<AuditSource>,

    #[command(flatten)]
    auditing: Auditing,

    #[command(flatten)]
    pub(crate) baseline: BaselineArgs,

    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Keep what was acknowledged, for a later `simulator audit --state FILE`.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Threads that carry the connections. One uses the least CPU and does for 20,000 readings a second.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) threads: u8,

    /// How to show how it is getting on: on a terminal a picture that q or Ctrl-C ends.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: Show,
}

#[derive(Debug, Args)]
pub(crate) struct Auditing {
    /// The audit waits this long after the last missing reading has come.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    audit_wait: Duration,

    /// Holds the secret of the user in --audit rocketmq://ACCESS_KEY@HOST:PORT.
    #[arg(long, value_name = "FILE")]
    audit_secret_file: Option<PathBuf>,

    /// Speak TLS with the bus of --audit, whose certificate is of this authority.
    #[arg(long, value_name = "FILE")]
    audit_ca: Option<PathBuf>,

    /// Do not compare values, for a route changes them.
    #[arg(long)]
    ignore_values: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// What `run --state FILE` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,

    /// The gateway's output: file:DIR/out or rocketmq://HOST:PORT.
    #[arg(long, value_name = "SOURCE")]
    audit: AuditSource,

    #[command(flatten)]
    auditing: Auditing,
}

/// How to show how a run is getting on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// A dashboard on a terminal, else plain lines.
    Auto,
    /// One live line.
    Line,
    /// Plain lines.
    Plain,
    /// Not at all.
    None,
}

impl Run {
    pub(crate) fn report_path(&self) -> Option<PathBuf> {
        self.report.clone()
    }

    pub(crate) fn state_path(&self) -> Option<PathBuf> {
        self.state.clone()
    }

    /// Reads the scenario and the credentials.
    pub(crate) fn plan(&self) -> Result<Plan, Error> {
        let plan = match &self.scenario {
            Some(path) => scenario::read(path, &self.beside())?,
            None => self.plan_alike()?,
        };
        let audit = self.audit.as_ref().map(|source| self.auditing.plan(source.clone()));
        Ok(Plan { boot: self.boot.unwrap_or_else(plan::boot_now), audit, ..plan })
    }

    fn beside(&self) -> Beside {
        Beside { targets: self.target.clone(), credentials: self.credentials.clone(), seed: self.seed }
    }

    /// All sensors are of one kind.
    fn plan_alike(&self) -> Result<Plan, Error> {
        let credentials = self.credentials.as_deref().map(plan::read_credentials).transpose()?;
        let if_unsaid = if self.baseline.baseline.is_empty() { 10 } else { compare::DEVICES };
        let available =
            credentials.as_ref().map_or(if_unsaid, |logins| u32::try_from(logins.len()).unwrap_or(u32::MAX));
        let usual = Plan::new(Target::mqtt("127.0.0.1", 1883), self.devices.unwrap_or(available));
        let mut targets = if self.target.is_empty() { usual.targets.clone() } else { self.target.clone() };
        for target in &mut targets {
            if let Some(host) = &self.host {
                target.host.clone_from(host);
            }
            target.port = self.port.unwrap_or(target.port);
        }
        Ok(Plan {
            targets,
            version: self.protocol_version,
            qos: self.qos,
            first: self.start_number,
            credentials,
            user: self.user.clone(),
            password: self.password.clone(),
            client_id: self.client_id.clone(),
            topic: self.topic.clone(),
            interval: self.interval,
            profile: self.profile,
            duration: self.duration,
            seed: self.seed.unwrap_or(usual.seed),
            payload_bytes: self.size,
            inflight: self.inflight,
            connect_rate: self.connect_rate,
            keep_alive: self.keep_alive,
            backlog: self.backlog,
            acknowledge_max: self.ack_timeout,
            retransmit_wait: self.retransmit_wait,
            settle_max: self.settle,
            ..usual
        })
    }
}

impl Audit {
    pub(crate) fn plan(&self) -> AuditPlan {
        self.auditing.plan(self.audit.clone())
    }
}

impl Auditing {
    fn plan(&self, mut source: AuditSource) -> AuditPlan {
        if let AuditSource::Bus(bus) = &mut source {
            bus.secret_file.clone_from(&self.audit_secret_file);
            bus.ca_file.clone_from(&self.audit_ca);
        }
        AuditPlan { source, wait_max: self.audit_wait, compare_values: !self.ignore_values }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

fn qos(text: &str) -> Result<Qos, String> {
    match text {
        "0" => Ok(Qos::AtMostOnce),
        "1" => Ok(Qos::AtLeastOnce),
        _ => Err("0 or 1".into()),
    }
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "4" | "3.1.1" => Ok(Version::V4),
        "5" => Ok(Version::V5),
        _ => Err("4 (MQTT 3.1.1) or 5".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn plan(arguments: &str) -> Plan {
        let cli = Cli::try_parse_from(["simulator", "run"].into_iter().chain(arguments.split_whitespace()));
        match cli.unwrap().command {
            Command::Run(run) => run.plan().unwrap(),
            Command::Audit(_) => panic!("run was asked for"),
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_flags_are_those_of_emqtt_bench() {
        let plan = plan("-c 5 -I 100 -q 0 -t x/%i -s 99 -u me -P pw --host h -p 2 -V 4 -F 3 -R 9 -k 9s -n 7");
        assert_eq!((plan.devices, plan.interval, plan.qos), (5, Duration::from_millis(100), Qos::AtMostOnce));
        assert_eq!((plan.topic.as_str(), plan.payload_bytes, plan.first), ("x/%i", 99, 7));
        assert_eq!((plan.user.as_deref(), plan.password.as_deref()), (Some("me"), Some("pw")));
        assert_eq!(plan.targets, [Target::mqtt("h", 2)]);
        assert_eq!((plan.version, plan.inflight, plan.connect_rate), (Version::V4, 3, 9));
    }

    #[test]
    fn targets_add_up() {
        let plan = plan("--target mqtt://h=70 --target coap://h:7=30 --host other");
        let mqtt = Target { weight: 70, ..Target::mqtt("other", 1883) };
        assert_eq!(plan.targets, [mqtt, Target { weight: 30, ..Target::coap("other", 7) }]);
    }

    #[test]
    fn a_profile_is_read() {
        assert_eq!(plan("").profile, Profile::default());
        assert_eq!(plan("--profile jitter:5%+spikes").profile, "jitter:5%+spikes".parse().unwrap());
    }

    #[test]
    fn an_interval_has_a_unit_or_is_in_milliseconds() {
        assert_eq!(interval("200"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("2s"), Ok(Duration::from_secs(2)));
        assert!(interval("soon").is_err());
    }

    #[test]
    fn an_audit_is_of_a_folder() {
        assert_eq!(plan("--audit file:d/out").audit.unwrap().source, AuditSource::Folder("d/out".into()));
        assert!(Cli::try_parse_from(["simulator", "run", "--audit", "d/out"]).is_err());
    }
}
