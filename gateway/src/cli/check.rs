//! `tidegate check`

use std::path::Path;

use super::{CheckArgs, Error, print};
use crate::config::{self, Config, Overrides};

/// Reads the configuration and says what the gateway would do with it.
///
/// # Errors
/// [`Error::Config`] with every fault.
pub fn run(args: &CheckArgs) -> Result<(), Error> {
    let path = config::find(args.config.config.as_deref(), Path::new(""))?;
    let config = Config::load(&path, Overrides { lan: args.lan })?;
    print::line(format_args!("{}: good", path.display()))?;
    print::line(print::columns(&summary(&config)))?;
    Ok(())
}

/// What an owner wants to see before a start: where data go, who can reach it, what leaves it.
fn summary(config: &Config) -> Vec<Vec<String>> {
    let reach =
        if config.mqtt_address().ip().is_loopback() { "this machine only" } else { "other machines too" };
    let outputs: Vec<&str> = config.outputs.iter().map(config::OutputConfig::name).collect();
    let row = |name: &str, value: String| vec![format!("  {name}"), value];
    vec![
        row("data", config.data.display().to_string()),
        row("disk", format!("at most {} MB for the spool", config.spool.spool_bytes_max.div_ceil(1_000_000))),
        row("mqtt", format!("{} ({reach})", config.mqtt_address())),
        row("routes", config.routes.len().to_string()),
        row("outputs", if outputs.is_empty() { "none".to_owned() } else { outputs.join(", ") }),
        row("threads", config.threads().to_string()),
    ]
}
