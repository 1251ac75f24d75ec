//! `tidegate demo`: a gateway and virtual sensors in one process, a live table, an audit.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tidegate_simulator as simulator;
use tokio::sync::watch;

use super::{
    DemoArgs, Error, print,
    run::{raise_file_limit, start_error},
};
use crate::{
    auth::{self, AddedDevice, DeviceAnswer, DeviceCommand, Registry},
    clock::wall_ms,
    config::Config,
    control::{Tail, TailRequest},
    logging,
    supervisor::{End, Gateway},
};

mod table;

use table::Table;

/// How often the table is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// What the sensors are called.
const PREFIX: &str = "sensor_";

/// Runs the gateway and its sensors until the time is over or Ctrl-C, then audits.
///
/// # Errors
/// [`Error::Failed`] when the audit finds a reading lost, altered or out of order.
pub fn run(args: &DemoArgs) -> Result<(), Error> {
    let folder = Folder::make(args.data.as_deref())?;
    let config = configuration(folder.path());
    let quiet = logging::Config { level: logging::Level::Warn, ..config.log };
    logging::start(quiet, args.log.log_level, args.log.log_format)?;
    raise_file_limit();
    let credentials = add_sensors(&config, args.devices)?;
    let gateway = Gateway::start(&config, None).map_err(start_error)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("cannot start: {error}")))?;
    print::note(format_args!("the gateway listens on {}, its data are in {}", gateway.mqtt_address(), folder.path().display()));
    runtime.block_on(play(args, &config, gateway, credentials))
}

/// The demo's data: kept where the user named a folder, else gone with the demo.
enum Folder {
    Kept(PathBuf),
    Fresh(tempfile::TempDir),
}
