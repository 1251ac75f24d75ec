//! Commands that ask a running gateway: `tail`, `status`, `replay` and `device`.

use std::{io, path::Path};

use super::{
    Begin, ConfigArgs, DeviceCommandArgs, Error, LogCommandArgs, ReplayArgs, SpoolForgetArgs, StatusArgs,
    TailArgs,
    device::{self, DeviceCliError},
    print,
    when::timestamp,
};
use crate::{
    auth::{self, DeviceAnswer, DeviceCommand, DeviceError, Registry},
    clock::wall_ms,
    config::{self, Config},
    control::{Answer, Client, ClientError, LogRequest, ReplayRequest, Request, Shown, TailRequest},
};

/// The configuration as far as these commands need it: `data` as the file says it, all else the default.
pub(super) fn load(args: &ConfigArgs) -> Result<Config, Error> {
    let path = config::find(args.config.as_deref(), Path::new(""))?;
    Ok(Config { data: Config::data_folder(&path)?, ..Config::default() })
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotRunning(_) => Self::Unavailable(error.to_string()),
            ClientError::Io(source) if source.kind() == io::ErrorKind::PermissionDenied => Self::Failed(
                "the gateway's control socket is its owner's: run it as the gateway's owner".to_owned(),
            ),
            _ => Self::Failed(error.to_string()),
        }
    }
}

pub(super) fn unexpected() -> Error {
    Error::Failed("the running gateway answered something else; is it another version?".to_owned())
}

/// `tidegate status`
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs.
pub(super) fn status(args: &StatusArgs) -> Result<(), Error> {
    let config = load(&args.config)?;
    let mut client = Client::connect(&config.control_path())?;
    let Answer::Status(status) = client.ask(&Request::Status)? else { return Err(unexpected()) };
    if args.json {
        print::line(json(&status)?)?;
    } else {
        print::line(status.to_string().trim_end())?;
    }
    Ok(())
}

/// `tidegate tail`
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs.
pub(super) fn tail(args: &TailArgs) -> Result<(), Error> {
    let config = load(&args.config)?;
    let mut client = Client::connect(&config.control_path())?;
    let request = TailRequest {
        device: args.device.as_ref().map(ToString::to_string),
        lane: args.lane.map(|lane| tidegate_protocol::Lane::from(lane).to_string()),
        from_ms: match args.from {
            Begin::Newest => None,
            Begin::Oldest => Some(0),
            Begin::At(when) => Some(when.wall_ms(wall_ms())),
        },
    };
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut answer = if left == 0 { None } else { Some(client.ask(&Request::Tail(request))?) };
    while let Some(Answer::Reading(shown)) = answer {
        if args.json {
            print::line(json(&shown)?)?;
        } else {
            print::line(Line(&shown))?;
        }
        left -= 1;
        answer = if left == 0 { None } else { client.next_answer()? };
    }
    Ok(())
}

/// A record as one line for people.
struct Line<'a>(&'a Shown);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shown { lane, offset, device, protocol, topic, ts_gw, values, .. } = self.0;
        let initial = lane.get(..1).unwrap_or_default();
        write!(
            f,
            "{initial}{offset:<8} {} {device:<16} {protocol:<7} {topic:<24} {values}",
            timestamp(*ts_gw)
        )
    }
}

/// `tidegate log`
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs.
pub(super) fn log(args: &LogCommandArgs) -> Result<(), Error> {
    let config = load(&args.config)?;
    let mut client = Client::connect(&config.control_path())?;
    let request = match &args.filter {
        Some(filter) => LogRequest::Set { filter: filter.clone(), for_ms: args.for_ms },
        None if args.reset => LogRequest::Reset,
        None => LogRequest::Show,
    };
    let Answer::Log(log) = client.ask(&Request::Log(request))? else { return Err(unexpected()) };
    match log.until_ms {
        Some(until_ms) => {
            print::line(format_args!("{} until {}, then {}", log.filter, timestamp(until_ms), log.lasting))?;
        }
        None => print::line(log.filter)?,
    }
    Ok(())
}

/// `tidegate replay`
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs.
pub(super) fn replay(args: &ReplayArgs) -> Result<(), Error> {
    let config = load(&args.config)?;
    let now_ms = wall_ms();
    let (from_ms, to_ms) = (args.from.wall_ms(now_ms), args.to.wall_ms(now_ms));
    if from_ms >= to_ms {
        return Err(Error::Failed("--from is not before --to, so there is nothing to replay".to_owned()));
    }
    let mut client = Client::connect(&config.control_path())?;
    let request = ReplayRequest { output: args.output.clone(), from_ms, to_ms };
    let Answer::Replayed(records) = client.ask(&Request::Replay(request))? else { return Err(unexpected()) };
    print::line(format_args!("{records} records delivered to {} again", args.output))?;
    Ok(())
}

/// `tidegate spool forget`
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs; [`Error::Failed`] when the output is configured.
pub(super) fn forget(args: &SpoolForgetArgs) -> Result<(), Error> {
    let config = load(&args.config)?;
    let mut client = Client::connect(&config.control_path())?;
    let Answer::Forgotten = client.ask(&Request::Forget(args.output.clone()))? else {
        return Err(unexpected());
    };
    print::line(format_args!("{} holds back nothing any more", args.output))?;
    Ok(())
}

/// Why the registry could not be asked.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Open(#[from] auth::OpenError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("the running gateway answered something else; is it another version?")]
    Unexpected,
}

/// `tidegate device`: through the gateway when it runs, else in `state.db` itself.
///
/// # Errors
/// [`Error::Failed`] with what the registry said.
pub(super) fn device(args: &DeviceCommandArgs) -> Result<(), Error> {
    let config = load(&ConfigArgs { config: args.config.clone() })?;
    let mut way: Option<Way> = None;
    let executor = |command| {
        let way = match &mut way {
            Some(way) => way,
            none => none.insert(Way::find(&config)?),
        };
        way.take(command)
    };
    device::run(&args.command, executor, &mut print::out()).map_err(|error| match error {
        DeviceCliError::Registry(AskError::Open(error)) => error.into(),
        DeviceCliError::Registry(AskError::Client(error)) => error.into(),
        DeviceCliError::Registry(AskError::Device(DeviceError::Store(error))) => {
            Error::Disk(error.to_string())
        }
        error => error.into(),
    })
}

/// How a command reaches the registry.
enum Way {
    Running(Client),
    Stopped(Box<Registry>),
}

impl Way {
    fn find(config: &Config) -> Result<Self, AskError> {
        match Client::connect(&config.control_path()) {
            Ok(client) => Ok(Self::Running(client)),
            Err(ClientError::NotRunning(_)) => {
                Ok(Self::Stopped(Box::new(Registry::open(&config.state_path())?)))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, command: DeviceCommand) -> Result<DeviceAnswer, AskError> {
        match self {
            Self::Running(client) => match client.ask(&Request::Device(command))? {
                Answer::Device(answer) => Ok(answer),
                _ => Err(AskError::Unexpected),
            },
            Self::Stopped(registry) => Ok(auth::apply(registry, command, wall_ms())?),
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Failed(error.to_string()))
}
