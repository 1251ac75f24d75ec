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
    for line in summary(&config) {
        print::line(format_args!("  {line}"))?;
    }
    Ok(())
}

/// What an owner wants to see before a start: where data go, who can reach it, what leaves it.
fn summary(config: &Config) -> Vec<String> {
    let reach =
        if config.mqtt_address().ip().is_loopback() { "this machine only" } else { "other machines too" };
    let outputs: Vec<&str> = config.outputs.iter().map(config::OutputConfig::name).collect();
    vec![
        format!("data     {}", config.data.display()),
        format!("mqtt     {} ({reach})", config.mqtt_address()),
        format!("outputs  {}", if outputs.is_empty() { "none".to_owned() } else { outputs.join(", ") }),
        format!("threads  {}", config.threads()),
    ]
}
