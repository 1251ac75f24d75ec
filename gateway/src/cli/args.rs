//! What may be typed: one struct a command.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tidegate_protocol::{DeviceId, Lane};

use super::{
    device::DeviceArgs,
    help,
    service::ServiceArgs,
    size::Rate,
    when::{self, When},
};
use crate::{config, logging};

/// The command line of `tidegate`.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about = help::ABOUT, long_about = help::LONG, after_help = help::AFTER)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One variant a subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a folder with a gateway to try: configuration, one device, one application, lines to paste
    #[command(long_about = help::QUICKSTART, after_help = help::QUICKSTART_AFTER)]
    Quickstart(QuickstartArgs),
    /// Run the gateway
    #[command(long_about = help::RUN, after_help = help::RUN_AFTER)]
    Run(RunArgs),
    /// Read a configuration as the gateway would, and say what is wrong with it
    #[command(long_about = help::CHECK, after_help = help::CHECK_AFTER)]
    Check(CheckArgs),
    /// Add devices and applications, look at them, revoke them
    #[command(long_about = help::DEVICE, after_help = help::DEVICE_AFTER)]
    Device(DeviceCommandArgs),
    /// List boards on serial ports that have no name yet, or give one its name
    #[command(long_about = help::ADOPT, after_help = help::ADOPT_AFTER)]
    Adopt(AdoptArgs),
    /// Ask a board on a serial port how it is, or have it do something
    #[command(long_about = help::BOARD, after_help = help::BOARD_AFTER)]
    Board(BoardArgs),
    /// Show readings as they come in
    #[command(long_about = help::TAIL, after_help = help::TAIL_AFTER)]
    Tail(TailArgs),
    /// Show how the gateway is
    #[command(long_about = help::STATUS, after_help = help::STATUS_AFTER)]
    Status(StatusArgs),
    /// Change what the running gateway logs, for a while
    #[command(long_about = help::LOG, after_help = help::LOG_AFTER)]
    Log(LogCommandArgs),
    /// Send stored readings to an output again
    #[command(long_about = help::REPLAY, after_help = help::REPLAY_AFTER)]
    Replay(ReplayArgs),
    /// Watch readings and alarms on a bus, from anywhere
    #[command(long_about = help::SERVICE, after_help = help::SERVICE_AFTER)]
    Service(Box<ServiceArgs>),
    /// Look at what an output needs at its destination
    #[command(long_about = help::OUTPUT, after_help = help::OUTPUT_AFTER)]
    Output(OutputArgs),
    /// Look at a spool on disk
    #[command(long_about = help::SPOOL, after_help = help::SPOOL_AFTER)]
    Spool(SpoolArgs),
    /// Reckon how much disk a load needs, and what to write for `max_disk`
    #[command(long_about = help::SIZE, after_help = help::SIZE_AFTER)]
    Size(SizeArgs),
    #[cfg(feature = "demo")]
    /// Show a gateway at work: virtual sensors, a live table, an audit
    #[command(long_about = help::DEMO, after_help = help::DEMO_AFTER)]
    Demo(DemoArgs),
    /// Print every key of the configuration, or a file to start from
    #[command(long_about = help::CONFIG, after_help = help::CONFIG_AFTER)]
    Config(ConfigPageArgs),
    /// Print the completions of a shell
    #[command(long_about = help::COMPLETIONS, after_help = help::COMPLETIONS_AFTER)]
    Completions(CompletionsArgs),
    /// Write manual pages
    #[command(long_about = help::MAN, after_help = help::MAN_AFTER)]
    Man(ManArgs),
}

/// `-c FILE`, for every command that needs the gateway's configuration.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ConfigArgs {
    /// Configuration [default: ./tidegate.toml, else /etc/tidegate/tidegate.toml]
    #[arg(short, long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tidegate board`
#[derive(Clone, Debug, ClapArgs)]
pub struct BoardArgs {
    /// The board, by its name
    #[arg(value_name = "DEVICE")]
    pub device: DeviceId,
    /// Have its LED say which one it is
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", conflicts_with_all = ["period_ms", "reboot"])]
    pub identify: Option<u16>,
    /// Milliseconds between two readings, until it starts again
    #[arg(long = "period", value_name = "MS", conflicts_with = "reboot")]
    pub period_ms: Option<u32>,
    /// Have it start again
    #[arg(long)]
    pub reboot: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `tidegate adopt`
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct AdoptArgs {
    /// Board to take in, as the list names it; left out: the list
    #[arg(value_name = "BOARD", requires = "name")]
    pub hardware: Option<String>,
    /// Its name from here on
    #[arg(long = "as", value_name = "DEVICE", requires = "hardware")]
    pub name: Option<DeviceId>,
    /// Give the login of that name, if there is one, a new secret for this board
    #[arg(long, requires = "name")]
    pub replace: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// How much the process writes to its log.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct LogArgs {
    /// Least important line to log; goes before TIDEGATE_LOG and the configuration
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub log_level: Option<logging::Level>,
    /// What a log line looks like; goes before the configuration
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<logging::Format>,
}

/// `tidegate run`
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct RunArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Let other machines in, as `lan = true` does
    #[arg(long)]
    pub lan: bool,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// `tidegate check`
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct CheckArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Check as `tidegate run --lan` would
    #[arg(long)]
    pub lan: bool,
}

/// `tidegate quickstart`
#[derive(Clone, Debug, ClapArgs)]
pub struct QuickstartArgs {
    /// Folder to make; it may be there already if it is empty
    pub dir: PathBuf,
    /// TCP port for MQTT
    #[arg(long, value_name = "PORT", default_value_t = config::MQTT_PORT)]
    pub mqtt_port: u16,
    /// UDP port for CoAP
    #[arg(long, value_name = "PORT", default_value_t = config::COAP_PORT)]
    pub coap_port: u16,
    /// TCP port for HTTP
    #[arg(long, value_name = "PORT", default_value_t = config::HTTP_PORT)]
    pub http_port: u16,
}

/// `tidegate device`
#[derive(Debug, ClapArgs)]
pub struct DeviceCommandArgs {
    /// Configuration [default: ./tidegate.toml, else /etc/tidegate/tidegate.toml]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do with devices.
    #[command(subcommand)]
    pub command: DeviceArgs,
}

/// `tidegate tail`
#[derive(Clone, Debug, ClapArgs)]
pub struct TailArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// This device only
    #[arg(long, value_name = "ID")]
    pub device: Option<DeviceId>,
    /// This lane only
    #[arg(long, value_enum)]
    pub lane: Option<LaneWord>,
    /// Where to begin: newest, oldest, a time (2026-11-20T08:00:00Z) or how long ago (-10m)
    #[arg(long, value_name = "WHEN", default_value = "newest", allow_hyphen_values = true)]
    pub from: Begin,
    /// End after this many records
    #[arg(short = 'n', long, value_name = "RECORDS")]
    pub count: Option<u64>,
}

/// `tidegate status`
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct StatusArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tidegate log`
#[derive(Clone, Debug, ClapArgs)]
pub struct LogCommandArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// A level (off, error, warn, info, debug, trace), levels by part (tidegate::session=trace), or several with commas
    /// between; without it, shows what is logged
    pub filter: Option<String>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = when::duration_ms)]
    pub for_ms: u64,
    /// Go back at once to what the start or the configuration says
    #[arg(long, conflicts_with = "filter")]
    pub reset: bool,
}

/// `tidegate replay`
#[derive(Clone, Debug, ClapArgs)]
pub struct ReplayArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// First moment: a time (2026-11-20T08:00:00Z) or how long ago (-2h)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub from: When,
    /// First moment after the last
    #[arg(long, value_name = "WHEN", default_value = "now", allow_hyphen_values = true)]
    pub to: When,
    /// Name of the `[[output]]` that gets the readings
    #[arg(long, value_name = "NAME")]
    pub output: String,
}

/// `tidegate output`
#[derive(Clone, Debug, ClapArgs)]
pub struct OutputArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: OutputCommand,
}

/// What `tidegate output` does.
#[derive(Clone, Debug, Subcommand)]
pub enum OutputCommand {
    /// Connect to RocketMQ and print what is missing, as lines to run
    Check(OutputCheckArgs),
}

/// `tidegate output check`
#[derive(Clone, Debug, ClapArgs)]
pub struct OutputCheckArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// This output only
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// Send one test message, tag `check`, to the device topic
    #[arg(long)]
    pub send: bool,
}

/// `tidegate spool`
#[derive(Clone, Debug, ClapArgs)]
pub struct SpoolArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: SpoolCommand,
}

/// What `tidegate spool` does.
#[derive(Clone, Debug, Subcommand)]
pub enum SpoolCommand {
    /// Print segments, cursors, the oldest record and damage
    Inspect(SpoolDirArgs),
    /// Read every record; exit 0 only when none is damaged
    Verify(SpoolDirArgs),
    /// Forget how far an output came that is not configured any more, so that it holds back nothing
    Forget(SpoolForgetArgs),
}

/// `tidegate spool forget`
#[derive(Clone, Debug, ClapArgs)]
pub struct SpoolForgetArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Name that the output had
    pub output: String,
}

/// The folder that `tidegate spool` looks at.
#[derive(Clone, Debug, ClapArgs)]
pub struct SpoolDirArgs {
    /// The spool's folder, or the data folder it is in
    pub dir: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tidegate size`
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct SizeArgs {
    /// Devices
    #[arg(long, value_name = "N")]
    pub devices: std::num::NonZeroU32,
    /// Readings of each device: 1/s, 6/min, 4/h, 1/d, or 1/10s for one in ten seconds
    #[arg(long, value_name = "N/TIME", default_value = "1/s")]
    pub rate: Rate,
    /// Hours for which no output takes anything
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub hours: u32,
    /// Bytes of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 40)]
    pub payload: usize,
    /// Outputs that are configured
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub outputs: u8,
    /// Size of the card whose life you care for
    #[arg(long, value_name = "SIZE", default_value = "32GB")]
    pub card: bytesize::ByteSize,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `tidegate demo`
#[derive(Clone, Debug, ClapArgs)]
pub struct DemoArgs {
    /// How long; without it until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = when::duration_ms)]
    pub duration: Option<u64>,
    /// Virtual sensors
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=DEMO_DEVICES_MAX))]
    pub devices: u32,
    /// Time between two readings of a sensor
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = when::duration_ms)]
    pub interval: u64,
    /// Seed of the sensors' readings
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Folder for the data, kept afterwards; without it a fresh one, deleted at the end
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Deliver to RocketMQ too: its name server
    #[arg(long, value_name = "HOST:PORT")]
    pub rocketmq: Option<String>,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Sensors that one demo may run.
pub const DEMO_DEVICES_MAX: i64 = 10_000;

/// `tidegate completions`
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// Shell to print them for
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `tidegate config`
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct ConfigPageArgs {
    /// What to print
    #[arg(value_enum)]
    pub page: ConfigPage,
}

/// What `tidegate config` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConfigPage {
    /// Every key in Markdown: type, default, range, meaning, and when a change of it counts
    Reference,
    /// A file to start from, in which every key has its default
    Example,
}

/// `tidegate man`
#[derive(Clone, Debug, ClapArgs)]
pub struct ManArgs {
    /// Folder for them; it is made if it is not there
    pub dir: PathBuf,
}

/// A [`Lane`], as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LaneWord {
    /// Alarms and other messages that go first
    Event,
    /// Ordinary readings
    Telemetry,
}

impl From<LaneWord> for Lane {
    fn from(word: LaneWord) -> Self {
        match word {
            LaneWord::Event => Self::Event,
            LaneWord::Telemetry => Self::Telemetry,
        }
    }
}

/// Where `tail` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// After the newest durable record.
    Newest,
    /// At the oldest record on disk.
    Oldest,
    /// At the first record the gateway took at or after this moment.
    At(When),
}

impl std::str::FromStr for Begin {
    type Err = when::InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "newest" => Ok(Self::Newest),
            "oldest" => Ok(Self::Oldest),
            _ => text.parse().map(Self::At),
        }
    }
}
