//! The process's log: text or JSON lines on standard error. The only place that names `tracing-subscriber`.
//!
//! Levels: a frame is TRACE, a session DEBUG, a change of state INFO; WARN asks a person to look, ERROR says that the
//! gateway stops.

use std::{env, fmt, io};

use serde::Deserialize;
use thiserror::Error;
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// Environment variable with a level, or with levels by part such as `info,tidegate::spool=debug`.
pub const ENVIRONMENT: &str = "TIDEGATE_LOG";

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least important line that is written.
    pub level: Level,
    /// What a line looks like.
    pub format: Format,
}

/// How much is written; each level includes those above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
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

/// Sets up the log of this process: the level of `flag`, else of [`ENVIRONMENT`], else of `config`.
///
/// # Errors
/// [`LoggingError`] when the environment's level makes no sense, or when called twice.
pub fn start(config: Config, flag: Option<Level>) -> Result<(), LoggingError> {
    let said = env::var(ENVIRONMENT).ok().filter(|text| !text.is_empty());
    let filter = filter(config.level, flag, said.as_deref())?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = match config.format {
        Format::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init(),
        Format::Json => log.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|_| LoggingError::Twice)
}

fn filter(config: Level, flag: Option<Level>, said: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let text = match (flag, said) {
        (Some(level), _) => level.to_string(),
        (None, Some(said)) => said.to_owned(),
        (None, None) => config.to_string(),
    };
    EnvFilter::try_new(&text).map_err(|error| LoggingError::Filter { text, why: error.to_string() })
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
        assert_eq!(chosen(Some(Level::Trace), Some("warn")), "trace");
        assert_eq!(chosen(None, Some("warn")), "warn");
        assert_eq!(chosen(None, None), "info");
    }

    #[test]
    fn a_level_that_makes_no_sense_is_an_error() {
        let error = filter(Level::Info, None, Some("tidegate=loud")).unwrap_err();
        assert!(error.to_string().starts_with("TIDEGATE_LOG=\"tidegate=loud\" is no log level"), "{error}");
    }
}
