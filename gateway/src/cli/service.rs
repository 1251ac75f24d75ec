//! `tidegate service`: services as consumers of a bus.

use std::{collections::BTreeSet, fs, io, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Subcommand};
use tidegate_rocketmq::{
    Credentials, Filter, FilterError, Options,
    consumer::{Expression, Model, Settings, Start},
    tls::{Files, Tls},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{Error, help, print};
use crate::{
    clock::wall_ms,
    service::{
        alarm::AlarmConfig,
        bus::{self, BusError, BusUrl, Plan, Said, TOPICS, alarm::Alarms},
    },
};

/// Group of the monitor, unless told otherwise.
const MONITOR_GROUP: &str = "monitor-consumer-group";
/// Group of the alarms, unless told otherwise.
const ALARM_GROUP: &str = "alert-consumer-group";
/// The variable that holds the secret, for those who have no file.
const SECRET_VARIABLE: &str = "TIDEGATE_SECRET_KEY";
/// Bytes of the largest file that is believed to hold a secret.
const SECRET_BYTES_MAX: u64 = 4096;

/// `tidegate service`
#[derive(Debug, ClapArgs)]
pub struct ServiceArgs {
    /// Which.
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// One variant a service.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Show each reading once, as it comes over the bus, and how far the group is behind
    #[command(long_about = help::SERVICE_MONITOR, after_help = help::SERVICE_MONITOR_AFTER)]
    Monitor(MonitorArgs),
    /// Tell of each reading over 35 °C at once, and send raise and clear to the bus
    #[command(long_about = help::SERVICE_ALARM, after_help = help::SERVICE_ALARM_AFTER)]
    Alarm(AlarmArgs),
}

/// `tidegate service monitor`
#[derive(Debug, ClapArgs)]
pub struct MonitorArgs {
    /// The bus, and what to read of it.
    #[command(flatten)]
    pub bus: BusArgs,
}

/// `tidegate service alarm`
#[derive(Debug, ClapArgs)]
pub struct AlarmArgs {
    /// The bus, and what to read of it.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Measurement to look at
    #[arg(long, value_name = "NAME", default_value = "temperature")]
    pub measurement: String,
    /// Raise the alarm above this
    #[arg(long, value_name = "NUMBER", default_value_t = 35.0, allow_negative_numbers = true)]
    pub above: f64,
    /// Clear it at this or below [default: 2 below the limit]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub clear: Option<f64>,
    /// Topic that alarms are sent to
    #[arg(long, value_name = "TOPIC", default_value = bus::alarm::ALARM_TOPIC)]
    pub alarm_topic: String,
}

/// Which bus, and what of it.
#[derive(Debug, ClapArgs)]
pub struct BusArgs {
    /// Name servers of the bus: rocketmq://HOST:PORT[,HOST:PORT…]
    #[arg(long, value_name = "URL")]
    pub bus: BusUrl,
    /// Consumer group: its members share the messages, or with --broadcast each gets all
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Topic to read; may be given several times [default: iot-topic and iot-device-topic]
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only messages with this tag; may be given several times
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "filter")]
    pub tags: Vec<String>,
    /// Only messages that this SQL-92 filter lets through; the broker evaluates it
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    pub filter: Option<Filter>,
    /// Get everything, instead of sharing it with the others of the group
    #[arg(long)]
    pub broadcast: bool,
    /// With --broadcast: a file that remembers how far this one came; without it, each start begins anew
    #[arg(long, value_name = "FILE", requires = "broadcast")]
    pub offsets: Option<PathBuf>,
    /// A group that is new begins with the oldest message there is
    #[arg(long, conflicts_with = "from_last")]
    pub from_first: bool,
    /// A group that is new begins with what comes next (this is the default)
    #[arg(long)]
    pub from_last: bool,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// End after this many messages
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub count: Option<u64>,
    /// Encrypt the connections
    #[arg(long, requires = "ca")]
    pub tls: bool,
    /// Certificates (PEM) of the authorities that vouch for the servers
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca: Option<PathBuf>,
    /// Our own certificate (PEM), where the servers ask for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// User, where the servers ask for one; the secret is in --secret-key-file or TIDEGATE_SECRET_KEY
    #[arg(long, value_name = "NAME")]
    pub access_key: Option<String>,
    /// File with the user's secret
    #[arg(long, value_name = "FILE", requires = "access_key")]
    pub secret_key_file: Option<PathBuf>,
}

fn filter(text: &str) -> Result<Filter, FilterError> {
    Filter::new(text)
}

/// `tidegate service …`
///
/// # Errors
/// [`Error::Usage`] and [`Error::Failed`]; a bus that is away is waited for.
pub(super) fn run(args: &ServiceArgs) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let stop = stop().map_err(|error| Error::Failed(format!("cannot wait for signals: {error}")))?;
        match &args.command {
            ServiceCommand::Monitor(args) => monitor(&args.bus, stop).await,
            ServiceCommand::Alarm(args) => alarm(args, stop).await,
        }
    })
}

async fn monitor(args: &BusArgs, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let plan = plan(args, MONITOR_GROUP)?;
    let counts = bus::monitor::run(&plan, args.json, args.count, stop, show).await.map_err(failed)?;
    print::note(counts);
    Ok(())
}

async fn alarm(args: &AlarmArgs, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let plan = plan(&args.bus, ALARM_GROUP)?;
    let rule = AlarmConfig {
        name: format!("{}_high", args.measurement),
        measurement: args.measurement.clone(),
        above: Some(args.above),
        below: None,
        clear: Some(args.clear.unwrap_or(args.above - 2.0)),
    };
    let alarms = Alarms::new(rule, &args.alarm_topic, args.bus.json)
        .map_err(|error| Error::Usage(format!("--{}: {}; {}", error.key, error.wrong, error.instead)))?;
    let counts = bus::alarm::run(&plan, alarms, args.bus.count, stop, show).await.map_err(failed)?;
    print::note(counts);
    Ok(())
}

fn show(said: Said) -> io::Result<()> {
    match said {
        Said::Line(line) => print::line(line),
        Said::Note(note) => {
            print::note(note);
            Ok(())
        }
    }
}

fn failed(error: BusError) -> Error {
    match error {
        BusError::Show(error) => Error::Output(error),
        BusError::Start(error) => Error::Failed(format!("cannot join: {error}")),
    }
}

/// Ends with SIGTERM or Ctrl-C.
fn stop() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn plan(args: &BusArgs, group: &str) -> Result<Plan, Error> {
    let group = args.group.as_deref().unwrap_or(group);
    let topics =
        if args.topics.is_empty() { TOPICS.map(str::to_owned).to_vec() } else { args.topics.clone() };
    let expression = expression(args);
    if let Expression::Sql(filter) = &expression {
        print::note(format_args!("filter as the broker gets it: {filter}"));
    }
    let settings = Settings {
        model: if args.broadcast { Model::Broadcast } else { Model::Share },
        start: if args.from_first { Start::First } else { Start::Last },
        offsets: args.offsets.clone(),
        version_ms: wall_ms(),
        ..Settings::new(&client_id(), group, Plan::subscriptions(&topics, &expression))
    };
    Ok(Plan { url: args.bus.clone(), options: options(args)?, settings })
}

fn expression(args: &BusArgs) -> Expression {
    match &args.filter {
        Some(filter) => Expression::Sql(filter.clone()),
        None if args.tags.is_empty() => Expression::All,
        None => Expression::Tags(args.tags.iter().cloned().collect::<BTreeSet<_>>()),
    }
}

/// No two members of a group may have the same.
fn client_id() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let random = getrandom::u32().unwrap_or_default();
    format!("{}@{}#{random:08x}", host.trim(), std::process::id())
}

fn options(args: &BusArgs) -> Result<Options, Error> {
    let tls = match (&args.ca, args.tls) {
        (Some(ca), true) => {
            let own = args.cert.clone().zip(args.key.clone());
            let files = Files { ca: ca.clone(), own, server_name: None };
            Some(Tls::load(&files).map_err(|error| Error::Failed(error.to_string()))?)
        }
        _ => None,
    };
    let credentials = args.access_key.as_ref().map(|access_key| {
        let secret_key = secret(args)?;
        Ok::<_, Error>(Credentials { access_key: access_key.clone(), secret_key, security_token: None })
    });
    Ok(Options { timeout: Duration::from_secs(3), credentials: credentials.transpose()?, tls })
}

fn secret(args: &BusArgs) -> Result<String, Error> {
    let Some(path) = &args.secret_key_file else {
        return std::env::var(SECRET_VARIABLE).map_err(|_| {
            Error::Usage(format!("--access-key needs --secret-key-file, or the secret in {SECRET_VARIABLE}"))
        });
    };
    let wrong = |why: &dyn std::fmt::Display| Error::Failed(format!("{}: {why}", path.display()));
    if fs::metadata(path).map_err(|error| wrong(&error))?.len() > SECRET_BYTES_MAX {
        return Err(wrong(&"too long for a secret"));
    }
    Ok(fs::read_to_string(path).map_err(|error| wrong(&error))?.trim().to_owned())
}
