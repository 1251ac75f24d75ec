//! `tidegate run`

use std::path::Path;

use super::{Error, RunArgs, print};
use crate::{
    clock::wall_ms,
    config::{self, Config, Overrides},
    logging,
    supervisor::{End, Gateway, Source, StartError, leave_failure, termination},
};

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// [`Error::Config`] when the configuration is bad; [`Error::Disk`] when the disk failed, exit code 74.
pub(super) fn run(args: &RunArgs) -> Result<(), Error> {
    let found = config::find_or_create(args.config.config.as_deref(), Path::new(""))?;
    if found.created {
        print::note(format_args!(
            "no configuration was there: {} is made, edit it as you like",
            found.path.display()
        ));
    }
    let overrides = Overrides { lan: args.lan };
    let config = Config::load(&found.path, overrides)?;
    let log = logging::start(config.log, args.log.log_level, args.log.log_format)?;
    make_room_for_files(config.mqtt.connections_max);
    close_to_others();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("cannot start: {error}")))?;
    let gateway =
        Gateway::start(&config, Some(Source { path: found.path, overrides, log })).map_err(start_error)?;
    let end = runtime.block_on(async { gateway.run(termination()?).await });
    match end {
        Ok(End::Stopped) => Ok(()),
        Ok(End::Failed(reason)) => {
            if let Err(error) = leave_failure(&config.data, &reason, wall_ms()) {
                tracing::error!(%error, "cannot leave the reason in the data folder");
            }
            Err(Error::Disk(format!(
                "{reason}; nothing is acknowledged that is not on disk; start the gateway again"
            )))
        }
        Err(error) => Err(Error::Failed(format!("cannot wait for signals: {error}"))),
    }
}

/// What stood in the way of a start, with the exit code that a service manager understands.
pub(super) fn start_error(error: StartError) -> Error {
    match error {
        StartError::Folder { .. } => Error::CannotCreate(error.to_string()),
        StartError::Spool(_) | StartError::Store(_) | StartError::Cursor(_) | StartError::Output { .. } => {
            Error::Disk(error.to_string())
        }
        StartError::Registry(error) => error.into(),
        _ => Error::Failed(error.to_string()),
    }
}

/// What the gateway writes is its owner's alone.
pub(super) fn close_to_others() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Files beside the connections.
const OTHER_FILES: usize = 256;
/// So many files have their place from the start, however many connections are allowed: the system takes half a megabyte.
const READY_FILES_MAX: usize = 65_536;

/// Each connection takes a file descriptor: the soft limit is raised to what the system allows, and the system's table
/// of them made large enough while nobody waits. It doubles when it is full, and the thread whose accept does that waits
/// for every processor (10 ms and more), and with it all whom that thread serves.
pub(super) fn make_room_for_files(connections_max: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!(limit = ?limit.current, "cannot raise the limit of open files; connections are limited by it");
    }
    let room = connections_max.saturating_add(OTHER_FILES).min(READY_FILES_MAX - 1);
    // Where there are fewer to be had, none of them has to wait either.
    let last = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit.saturating_sub(1));
    let last = i32::try_from(last.min(room as u64)).unwrap_or(i32::MAX);
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), last) {
        tracing::debug!(%error, "the table of open files grows as it fills");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_open_files_has_room_before_the_first_connection() {
        let size_for = |connections_max| {
            make_room_for_files(connections_max);
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
            size.trim().parse::<usize>().unwrap()
        };
        assert!(size_for(3_000) > 3_000);
        assert!((3_001..=READY_FILES_MAX).contains(&size_for(usize::MAX)), "however many are allowed");
    }
}
