//! `tidegate demo`: a gateway and virtual sensors in one process, a live table, an audit.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{DemoArgs, Error, print, run::{raise_file_limit, start_error}};
use crate::{
    auth::{self, DeviceAnswer, DeviceCommand, Registry},
    clock::wall_ms,
    config::{Config, Overrides},
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
