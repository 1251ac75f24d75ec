//! The process's log: text or JSON lines on standard error. The only place that names `tracing-subscriber`.
//!
//! Levels: a frame is TRACE, a session DEBUG, a change of state INFO; WARN asks a person to look, ERROR says that the
//! gateway stops.

use std::{
    env, fmt,
    io::{self, IsTerminal},
    sync::{Mutex, MutexGuard, PoisonError},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// Environment variable with a level, or with levels by part such as `info,tidegate::spool=debug`.
pub const ENVIRONMENT: &str = "TIDEGATE_LOG";

/// Bytes of the longest filter that can be asked for while the gateway runs.
pub const FILTER_BYTES_MAX: usize = 1024;

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
    /// What was asked for while the gateway runs is no filter.
    #[error("\"{}\" is no filter: {why}", .text.escape_debug())]
    Asked {
        /// What was asked for.
        text: String,
        /// What is wrong with it.
        why: &'static str,
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
    filters: Mutex<Filters>,
}

/// What is logged, and what will be.
#[derive(Debug)]
struct Filters {
    /// What the start or the configuration chose.
    lasting: String,
    /// What was asked for, for a while.
    passing: Option<Passing>,
    /// Counts what was asked for, so that the end of one wish does not end the next.
    turn: u64,
}

#[derive(Debug)]
struct Passing {
    filter: String,
    until_ms: u64,
}

/// What a running gateway logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filtering {
    /// The filter in force.
    pub filter: String,
    /// When it ends, Unix milliseconds; none when it lasts.
    pub until_ms: Option<u64>,
    /// The filter that is in force then.
    pub lasting: String,
}

/// Sets up the log of this process: the level of the flag, else of [`ENVIRONMENT`], else of `config`; the format of
/// the flag, else of `config`.
///
/// # Errors
/// [`LoggingError`] when the environment's level makes no sense, or when called twice.
pub fn start(config: Config, level: Option<Level>, format: Option<Format>) -> Result<Log, LoggingError> {
    let said = env::var(ENVIRONMENT).ok().filter(|text| !text.is_empty());
    let lasting = lasting(config.level, level, said.as_deref());
    let filter = filter(&lasting)?;
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
    let filters = Mutex::new(Filters { lasting, passing: None, turn: 0 });
    Ok(Log { level_is_fixed, set_filter, filters })
}

impl Log {
    /// Takes the level of a configuration that was read again, unless flag or environment chose it. The format
    /// stays until the next start. What was asked for, for a while, stays that while; then this is in force.
    pub fn reload(&self, config: Config) {
        if self.level_is_fixed {
            return;
        }
        let mut filters = self.filters();
        filters.lasting = config.level.to_string();
        self.apply(&filters);
    }

    /// Takes `said` (`debug`, or `tidegate::session=trace,tidegate::spool=debug`) until [`Self::end`] is called with
    /// what this returns, or with none. Where it names no level for the rest, the rest stays as it is. `until_ms`
    /// (Unix milliseconds) is for those who look.
    ///
    /// # Errors
    /// [`LoggingError::Asked`].
    pub fn ask(&self, said: &str, until_ms: u64) -> Result<u64, LoggingError> {
        let has_level = check(said).map_err(|why| LoggingError::Asked { text: said.to_owned(), why })?;
        let mut filters = self.filters();
        let filter = if has_level { said.to_owned() } else { format!("{},{said}", filters.lasting) };
        filters.passing = Some(Passing { filter, until_ms });
        filters.turn = filters.turn.saturating_add(1);
        self.apply(&filters);
        Ok(filters.turn)
    }

    /// Goes back to what lasts, unless something else has been asked for since `turn`.
    pub fn end(&self, turn: Option<u64>) {
        let mut filters = self.filters();
        if turn.is_none_or(|turn| turn == filters.turn) {
            filters.passing = None;
            self.apply(&filters);
        }
    }

    /// What is in force.
    #[must_use]
    pub fn filtering(&self) -> Filtering {
        let filters = self.filters();
        let passing = filters.passing.as_ref();
        Filtering {
            filter: passing.map_or(&filters.lasting, |passing| &passing.filter).clone(),
            until_ms: passing.map(|passing| passing.until_ms),
            lasting: filters.lasting.clone(),
        }
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, filters: &Filters) {
        let text = filters.passing.as_ref().map_or(&filters.lasting, |passing| &passing.filter);
        // Each was checked when it came.
        if let Ok(filter) = filter(text) {
            (self.set_filter)(filter);
        }
    }
}

/// Checks a filter more strictly than the parser, for which a misspelt level is the name of a part: whether it names
/// a level for all parts.
fn check(said: &str) -> Result<bool, &'static str> {
    if said.len() > FILTER_BYTES_MAX {
        return Err("it is too long");
    }
    let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let is_part = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
    };
    let mut has_level = false;
    for directive in said.split(',') {
        match directive.split_once('=') {
            None if is_level(directive) => has_level = true,
            Some((part, level)) if is_part(part) && is_level(level) => {}
            _ => {
                return Err("write a level (off, error, warn, info, debug, trace), or PART=LEVEL such as \
                tidegate::session=trace, or several with commas between");
            }
        }
    }
    Ok(has_level)
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level_is_fixed", &self.level_is_fixed).finish_non_exhaustive()
    }
}

/// The embedded router, whose words are for who works on it: it makes a span for each message, and calls the end of a
/// service an error. Named in [`ENVIRONMENT`] it speaks.
const SILENT: &str = "rumqttd";

fn lasting(config: Level, flag: Option<Level>, said: Option<&str>) -> String {
    match (flag, said) {
        (Some(level), _) => level.to_string(),
        (None, Some(said)) => said.to_owned(),
        (None, None) => config.to_string(),
    }
}

fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    let all = if text.contains(SILENT) { text.to_owned() } else { format!("{text},{SILENT}=off") };
    EnvFilter::try_new(all)
        .map_err(|error| LoggingError::Filter { text: text.to_owned(), why: error.to_string() })
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
        let chosen = |flag, said| lasting(Level::Info, flag, said);
        assert_eq!(chosen(Some(Level::Trace), Some("warn")), "trace");
        assert_eq!(chosen(None, Some("warn")), "warn");
        assert_eq!(chosen(None, None), "info");
    }

    #[test]
    fn the_router_is_silent_unless_it_is_named() {
        let filtering = |text| filter(text).unwrap().to_string();
        assert_eq!(filtering("warn"), "rumqttd=off,warn");
        assert_eq!(filtering("info,rumqttd=debug"), "rumqttd=debug,info");
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

        let turn = log.ask("tidegate::spool=trace", 7).unwrap();
        assert!(tracing::enabled!(target: "tidegate::spool", tracing::Level::TRACE));
        assert!(tracing::enabled!(tracing::Level::DEBUG), "the rest stays");
        log.reload(Config { level: Level::Info, ..Config::default() });
        let filtering = log.filtering();
        assert_eq!((&*filtering.filter, filtering.until_ms), ("debug,tidegate::spool=trace", Some(7)));
        assert_eq!(filtering.lasting, "info");
        let next = log.ask("off", 8).unwrap();
        log.end(Some(turn));
        assert_eq!(log.filtering().filter, "off", "the end of one wish does not end the next");
        log.end(Some(next));
        assert_eq!(
            log.filtering(),
            Filtering { filter: "info".into(), until_ms: None, lasting: "info".into() }
        );
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        log.reload(Config { level: Level::Error, ..Config::default() });
    }

    #[test]
    fn a_misspelt_level_is_not_taken_for_the_name_of_a_part() {
        assert_eq!(check("debug"), Ok(true));
        assert_eq!(check("info,tidegate::spool=trace"), Ok(true));
        assert_eq!(check("tidegate::session=trace,tidegate=off"), Ok(false));
        for wrong in
            ["", "dbug", "tidegate", "tidegate=loud", "=info", "a b=info", "info,", "[s{a=b}]=info", "INFO"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        let longest = format!("{}=info", "a".repeat(FILTER_BYTES_MAX - 5));
        assert_eq!(check(&longest), Ok(false));
        assert!(check(&format!("a{longest}")).is_err(), "FILTER_BYTES_MAX");
    }

    #[test]
    fn a_level_that_makes_no_sense_is_an_error() {
        let error = filter("tidegate=loud").unwrap_err();
        assert!(error.to_string().starts_with("TIDEGATE_LOG=\"tidegate=loud\" is no log level"), "{error}");
    }
}
