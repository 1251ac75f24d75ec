//! `DIR/control.sock`: what a command beside the gateway asks of the one that runs.
//!
//! A request is one JSON line; the answer is one JSON line, or one a reading for `tail`. The socket has mode
//! 0600: whoever may open it may do everything.

use serde::{Deserialize, Serialize};

use crate::{
    auth::{DeviceAnswer, DeviceCommand},
    listener::serial::Announced,
    logging::Filtering,
    service::alarm::Alarm,
};

mod ask;
mod board;
mod client;
mod server;
mod status;
mod tail;

pub use client::{Client, ClientError};
pub use server::{Server, Services};
pub use status::{
    CoapStatus, ConnectionStatus, LaneStatus, OutputStatus, SerialStatus, SpoolStatus, Status, WritesStatus,
    observe,
};
pub use tail::Tail;

/// The socket's name in the data folder.
pub const SOCKET: &str = "control.sock";

/// Milliseconds that a filter of the log may be asked for: what is to last belongs in the configuration.
pub const LOG_FOR_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// Bytes of the longest request: an import of as many logins as the registry takes, 335 bytes each where names and
/// hashes are longest. Of requests beyond 64 KiB one at a time is held.
pub const REQUEST_BYTES_MAX: usize = 40 * 1024 * 1024;

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How the gateway is.
    Status,
    /// Readings as they become durable, until the asker hangs up.
    Tail(TailRequest),
    /// Look at or change the registry.
    Device(DeviceCommand),
    /// Deliver a past span to an output again.
    Replay(ReplayRequest),
    /// Forget how far an output came that is not configured any more, so that it holds back nothing.
    Forget(String),
    /// Read the configuration again, as SIGHUP does.
    Reload,
    /// Look at or change what is logged.
    Log(LogRequest),
    /// Look at boards without a name, or give one its name.
    Adopt(Option<AdoptRequest>),
    /// Have a board on a serial port do something.
    Board(BoardRequest),
}

/// Which board is to do what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BoardRequest {
    /// Its name.
    pub device: String,
    /// What it is to do.
    pub order: BoardOrder,
}

/// What a board can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoardOrder {
    /// Say how it is.
    Report,
    /// Show which one it is.
    Identify {
        /// For how long.
        seconds: u16,
    },
    /// Take a reading this often.
    SetPeriod {
        /// Milliseconds.
        period_ms: u32,
    },
    /// Start again.
    Reboot,
}

/// What a board has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardAnswer {
    /// It does it.
    pub is_done: bool,
    /// To [`BoardOrder::Report`].
    pub report: Option<BoardReport>,
}

/// How a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardReport {
    /// How often it has started.
    pub boot: u32,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Milliseconds between two readings.
    pub period_ms: u32,
    /// Readings that wait for their acknowledgement.
    pub stored: u32,
    /// Readings given up for want of room.
    pub dropped: u64,
    /// Readings that this gateway will never take.
    pub refused: u64,
    /// Frames that came in broken.
    pub noise: u32,
    /// Links since its start.
    pub links: u32,
}

/// Which board is to be taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdoptRequest {
    /// What its maker calls it.
    pub hardware: String,
    /// Its name from here on.
    pub device: String,
    /// There may be a login of that name, which gets a new secret.
    #[serde(default)]
    pub replace: bool,
}

/// Which readings `tail` shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TailRequest {
    /// Only this device.
    pub device: Option<String>,
    /// Only this lane.
    pub lane: Option<String>,
    /// From this time on, Unix milliseconds; else from now on.
    pub from_ms: Option<u64>,
}

/// What is to be logged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogRequest {
    /// As before.
    Show,
    /// What the start or the configuration chose.
    Reset,
    /// Something else for a while.
    Set {
        /// Such as `debug` or `tidegate::session=trace`.
        filter: String,
        /// How long.
        for_ms: u64,
    },
}

/// Which span goes to which output again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplayRequest {
    /// The output's name.
    pub output: String,
    /// First gateway time, Unix milliseconds.
    pub from_ms: u64,
    /// Gateway time that is no more part of it, Unix milliseconds.
    pub to_ms: u64,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Tail`], many times.
    Reading(Box<Shown>),
    /// To [`Request::Device`].
    Device(DeviceAnswer),
    /// To [`Request::Replay`], when it is done: records delivered.
    Replayed(u64),
    /// To [`Request::Forget`].
    Forgotten,
    /// To [`Request::Reload`].
    Reloaded,
    /// To [`Request::Log`]: what is logged from here on.
    Log(Filtering),
    /// To [`Request::Adopt`]: boards that ask for a name.
    Boards(Vec<Announced>),
    /// To [`Request::Board`].
    Board(BoardAnswer),
    /// To [`Request::Adopt`] with a board: it gets its name when it asks again.
    Adopted,
    /// What was asked cannot be done, and why.
    Error(String),
}

/// A durable record as `tail` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its lane.
    pub lane: String,
    /// Its number in the lane.
    pub offset: u64,
    /// Who sent it.
    pub device: String,
    /// What brought it.
    pub protocol: String,
    /// The topic, as subscribers see it.
    pub topic: String,
    /// When the gateway took it, Unix milliseconds.
    pub ts_gw: u64,
    /// Values for people: `temperature 36.12`, or the payload's beginning.
    pub values: String,
    /// The first number among the values.
    pub number: Option<f64>,
    /// What the gateway has raised or cleared by itself, if that is what this says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
}
