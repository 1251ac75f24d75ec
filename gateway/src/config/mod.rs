//! The configuration: TOML, checked whole before anything starts.
//!
//! ```text
//! text -> document: keys, values, where they stand -> Config, composed of each part's own -> check -> Config
//! ```
//!
//! Every fault names the file, the line and the column, says what is wrong and what to write instead. Unknown
//! keys are refused: a misspelt limit that is silently ignored is found out on the day it was needed.

mod check;
mod document;
mod error;
mod example;
mod find;
#[doc(hidden)]
pub mod fuzz;
mod listen;
mod output;
mod output_mqtt;
mod reference;
mod rocketmq;
mod secrets;
mod wording;

use std::{
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    path::{Path, PathBuf},
    thread,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

pub(crate) use self::find::create;
pub use self::{
    check::{
        CONTROL_PATH_BYTES_MAX, OUTPUT_NAME_LEN_MAX, OUTPUTS_MAX, PORTS_MAX, ROTATE_BYTES_MIN, THREADS_MAX,
    },
    error::{ConfigError, FAULT_CHARS_MAX, Fault},
    example::Example,
    find::{FILE_NAME, Found, SYSTEM_FILE, find, find_or_create},
    listen::{COAP_PORT, CoapConfig, HTTP_PORT, HttpConfig, HttpLimits, MQTT_PORT, MqttConfig},
    output::{FileConfig, OutputConfig},
    output_mqtt::{IN_FLIGHT_MAX, MqttOutputConfig, PREFIX_LEN_MAX},
    rocketmq::{
        MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, MESSAGES_HELD_MAX, RocketMqConfig, Secret, TIMEOUT_MS_MAX,
        TIMEOUT_MS_MIN,
    },
};
use crate::{core, listener, logging, normalise::RouteConfig, service::alarm::AlarmConfig, spool};

/// File of the registry, in the data folder. It holds secrets, if only salted and hashed.
pub const STATE_FILE: &str = "state.db";

/// Bytes in the largest configuration file that is read.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Everything an owner may say, checked.
///
/// [`Config::default`] is what an empty file means, but for `data`, which [`Config::load`] makes relative to the
/// file's own folder.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of everything the gateway writes. It starts at the configuration's own folder.
    pub data: PathBuf,
    /// Listeners may be reached from other machines. Off, they are on loopback.
    pub lan: bool,
    /// Runtimes, each with its own listeners; absent: one a core but one.
    #[schemars(range(max = THREADS_MAX.get()))]
    pub threads: Option<NonZeroU16>,
    /// Devices may come in without a password. Loopback only.
    pub anonymous: bool,
    /// `[log]`
    pub log: logging::Config,
    /// `[spool]`
    pub spool: spool::Config,
    /// `[mqtt]`
    pub mqtt: MqttConfig,
    /// `[coap]`
    pub coap: CoapConfig,
    /// `[serial]`
    pub serial: listener::serial::Config,
    /// `[http]`
    pub http: HttpConfig,
    /// `[core]`
    pub core: core::Config,
    /// `[[alarm]]`; left out: the one of [`AlarmConfig::temperature_high`]. `alarm = []` turns alarms off.
    #[serde(rename = "alarm")]
    pub alarms: Vec<AlarmConfig>,
    /// `[[route]]`, in the order they are tried.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// `[[output]]`; the key `output` is read apart, since serde loses the line of what stands
    /// behind a tag.
    #[serde(rename = "output", deserialize_with = "read_elsewhere")]
    #[schemars(skip)]
    pub outputs: Vec<OutputConfig>,
}

/// What the command line may change of a file before it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--lan`: as if the file said `lan = true`.
    pub lan: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            lan: false,
            threads: None,
            anonymous: false,
            log: logging::Config::default(),
            spool: spool::Config::default(),
            mqtt: MqttConfig::default(),
            coap: CoapConfig::default(),
            serial: listener::serial::Config::default(),
            http: HttpConfig::default(),
            core: core::Config::default(),
            alarms: vec![AlarmConfig::temperature_high()],
            routes: Vec::new(),
            outputs: vec![OutputConfig::File(FileConfig::default())],
        }
    }
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, is no TOML, or says something that cannot be done; it holds
    /// every fault of the last kind.
    pub fn load(path: &Path, overrides: Overrides) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let mut config = Self::parse(&text, overrides).map_err(|faults| ConfigError::faulty(path, faults))?;
        config.data = beside(path, &config.data);
        for output in &mut config.outputs {
            if let OutputConfig::RocketMq(bus) = output {
                bus.start_at(path.parent().unwrap_or(Path::new("")));
            }
        }
        check::data_path(&config)
            .and_then(|()| secrets::check(&config.data))
            .map_err(|finding| ConfigError::faulty(path, vec![finding.locate_in(&text)]))?;
        Ok(config)
    }

    /// The data folder that the file at `path` names, for commands beside a gateway that runs: whatever else is
    /// wrong in the file since it started must not stand in the way of asking it. Nothing but `data` is looked at.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read or what it says of `data` cannot.
    pub fn data_folder(path: &Path) -> Result<PathBuf, ConfigError> {
        let text = read(path)?;
        let faulty = |fault| ConfigError::faulty(path, vec![fault]);
        let data = document::lenient_text(&text, "data").map_err(faulty)?;
        let data = data.map_or_else(|| Self::default().data, PathBuf::from);
        Ok(beside(path, &data))
    }

    /// Checks `text`, all of it but the files it names. `data` stays as written.
    ///
    /// # Errors
    /// Every [`Fault`] found, in the order of the text.
    pub fn parse(text: &str, overrides: Overrides) -> Result<Self, Vec<Fault>> {
        let document = document::Document::parse(text).map_err(|fault| vec![fault])?;
        let (config, outputs) = (document.read::<Self>(), output::read(&document));
        let (mut config, outputs) = match (config, outputs) {
            (Ok(config), Ok(outputs)) => (config, outputs),
            (config, outputs) => return Err(in_order(config.err(), outputs.err())),
        };
        config.outputs = outputs;
        config.lan |= overrides.lan;
        let zeros = document.zeros();
        let found: Vec<Fault> =
            check::check(&config).into_iter().map(|finding| document.locate(finding)).collect();
        if zeros.is_empty() && found.is_empty() {
            Ok(config)
        } else {
            Err(in_order(Some(zeros), Some(found)))
        }
    }

    /// The text that an owner starts from: every key with its default and what it does. It parses to
    /// [`Config::default`].
    #[must_use]
    pub fn example() -> String {
        Self::example_with(&Example::default())
    }

    /// As [`Config::example`], with other values in some places.
    #[must_use]
    pub fn example_with(example: &Example) -> String {
        example::text(example)
    }

    /// Every key in Markdown: type, default, range, meaning, and when a change of it counts.
    #[must_use]
    pub fn reference() -> String {
        reference::markdown()
    }

    /// Runtimes to start: `threads`, or one a core but one, which is left to the spool and the outputs.
    #[must_use]
    pub fn threads(&self) -> NonZeroU16 {
        let cores = || thread::available_parallelism().ok().and_then(|n| NonZeroU16::try_from(n).ok());
        let but_one = |cores: NonZeroU16| NonZeroU16::new(cores.get() - 1);
        self.threads.or_else(|| cores().and_then(but_one)).unwrap_or(NonZeroU16::MIN).min(THREADS_MAX)
    }

    /// Where the MQTT listener listens.
    #[must_use]
    pub fn mqtt_address(&self) -> SocketAddr {
        SocketAddr::new(self.address(self.mqtt.listen), self.mqtt.port)
    }

    /// Where the CoAP listener listens. `lan = true` alone does not move it off loopback.
    #[must_use]
    pub fn coap_address(&self) -> SocketAddr {
        let otherwise = if self.coap.plain_lan { None } else { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) };
        SocketAddr::new(self.address(self.coap.listen.or(otherwise)), self.coap.port)
    }

    /// Where the pages of `[http]` are: on loopback unless `listen` says otherwise, since nobody logs in there.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.http.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.http.port)
    }

    /// Folder of the spool.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.data.join("spool")
    }

    /// File of the registry and of the sessions' state.
    #[must_use]
    pub fn state_path(&self) -> PathBuf {
        self.data.join(STATE_FILE)
    }

    /// Socket that `tail`, `status` and `device` reach a running gateway on.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    fn address(&self, listen: Option<IpAddr>) -> IpAddr {
        let otherwise = if self.lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        listen.unwrap_or(IpAddr::V4(otherwise))
    }
}

/// The folder `data` of the file at `path`, which starts at the file's own folder.
fn beside(path: &Path, data: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(data).components().collect()
}

/// Both lists in the order of the text.
fn in_order(some: Option<Vec<Fault>>, more: Option<Vec<Fault>>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = some.into_iter().chain(more).flatten().collect();
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults
}

/// Reads at most [`FILE_BYTES_MAX`]: a file named by mistake (a disk image, a device) must not fill the memory.
fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::unreadable(path, source);
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::too_large(path));
    }
    String::from_utf8(bytes)
        .map_err(|error| ConfigError::not_utf8(path, error.as_bytes(), error.utf8_error()))
}

fn read_elsewhere<'de, D: Deserializer<'de>, T: Default>(deserializer: D) -> Result<T, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| T::default())
}

#[cfg(test)]
mod tests;
