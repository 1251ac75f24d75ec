//! The process's log: text or JSON lines on standard error. The only place that names `tracing-subscriber`.
//!
//! Levels: a frame is TRACE, a session DEBUG, a change of state INFO; WARN asks a person to look, ERROR says that the
//! gateway stops.

use std::{
    env, fmt,
    io::{self, IsTerminal},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// Environment variable with a level, or with levels by part such as `info,tidegate::spool=debug`.
pub const ENVIRONMENT: &str = "TIDEGATE_LOG";

/// `[log]`: what the process says on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least important line that is written.
    #[schemars(extend("reload" = true))]
    pub level: Level,
    /// What a line looks like.
    pub format: Format,
}

/// How much is written; each level includes those above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The gateway stops.
    Error,
    /// A person should look.
    Warn,
    /// Changes of state.
    #[default]
    Info,
    /// Sessions.
    Debug,
    /// Frames.
    Trace,
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The log could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The text in [`ENVIRONMENT`] is no filter.
    #[error(
        "{ENVIRONMENT}=\"{text}\" is no log level ({why}); write one such as info or info,tidegate::spool=debug"
    )]
    Filter {
        /// What the variable holds.
        text: String,
        /// The parser's word on it.
        why: String,
    },
    /// The process has a log already.
    #[error("the log is set up twice")]
    Twice,
}

/// The log of this process, once it is set up.
pub struct Log {
    /// The level was chosen by who started the process, so the configuration has no say.
    level_is_fixed: bool,
    set_filter: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

/// Sets up the log of this process: the level of the flag, else of [`ENVIRONMENT`], else of `config`; the format of
/// the flag, else of `config`.
///
/// # Errors
/// [`LoggingError`] when the environment's level makes no sense, or when called twice.
pub fn start(config: Config, level: Option<Level>, format: Option<Format>) -> Result<Log, LoggingError> {
    let said = env::var(ENVIRONMENT).ok().filter(|text| !text.is_empty());
    let filter = filter(config.level, level, said.as_deref())?;
    let level_is_fixed = level.is_some() || said.is_some();
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let set_filter: Box<dyn Fn(EnvFilter) + Send + Sync> = match format.unwrap_or(config.format) {
        Format::Text => {
            let log = log.with_env_filter(filter).with_filter_reloading();
            let handle = log.reload_handle();
            log.finish().try_init().map_err(|_| LoggingError::Twice)?;
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        Format::Json => {
            let log = log.json().flatten_event(true).with_env_filter(filter).with_filter_reloading();
            let handle = log.reload_handle();
            log.finish().try_init().map_err(|_| LoggingError::Twice)?;
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    };
    Ok(Log { level_is_fixed, set_filter })
}

impl Log {
    /// Takes the level of a configuration that was read again, unless flag or environment chose it. The format
    /// stays until the next start.
    pub fn reload(&self, config: Config) {
        if self.level_is_fixed {
            return;
        }
        if let Ok(filter) = filter(config.level, None, None) {
            (self.set_filter)(filter);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level_is_fixed", &self.level_is_fixed).finish_non_exhaustive()
    }
}

/// The embedded router, whose words are for who works on it: it makes a span for each message, and calls the end of a
/// service an error. Named in [`ENVIRONMENT`] it speaks.
const SILENT: &str = "rumqttd";

fn filter(config: Level, flag: Option<Level>, said: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let text = match (flag, said) {
        (Some(level), _) => level.to_string(),
        (None, Some(said)) => said.to_owned(),
        (None, None) => config.to_string(),
    };
    let all = if text.contains(SILENT) { text.clone() } else { format!("{text},{SILENT}=off") };
    EnvFilter::try_new(all).map_err(|error| LoggingError::Filter { text, why: error.to_string() })
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_goes_before_the_environment_and_the_environment_before_the_file() {
        let chosen = |flag, said| filter(Level::Info, flag, said).unwrap().to_string();
        assert_eq!(chosen(Some(Level::Trace), Some("warn")), "rumqttd=off,trace");
        assert_eq!(chosen(None, Some("warn")), "rumqttd=off,warn");
        assert_eq!(chosen(None, None), "rumqttd=off,info");
        assert_eq!(chosen(None, Some("info,rumqttd=debug")), "rumqttd=debug,info");
    }

    #[test]
    fn the_level_follows_a_configuration_that_is_read_again() {
        let log = start(Config::default(), None, Some(Format::Json)).unwrap();
        assert!(start(Config::default(), None, None).is_err(), "a process has one log");
        if log.level_is_fixed {
            return;
        }
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        log.reload(Config { level: Level::Debug, ..Config::default() });
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        log.reload(Config { level: Level::Error, ..Config::default() });
    }

    #[test]
    fn a_level_that_makes_no_sense_is_an_error() {
        let error = filter(Level::Info, None, Some("tidegate=loud")).unwrap_err();
        assert!(error.to_string().starts_with("TIDEGATE_LOG=\"tidegate=loud\" is no log level"), "{error}");
    }
}
