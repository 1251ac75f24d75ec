//! `tidegate output check`

use std::path::Path;

use super::{Error, OutputArgs, OutputCheckArgs, OutputCommand, print};
use crate::{
    config::{self, Config, OutputConfig, Overrides, RocketMqConfig},
    output::rocketmq::check::{Found, State, check},
};

/// Looks at what an output needs at its destination, beside a running gateway too.
///
/// # Errors
/// [`Error::Failed`] when readings cannot reach it as it is.
pub(super) fn run(args: &OutputArgs, wall_ms: u64) -> Result<(), Error> {
    match &args.command {
        OutputCommand::Check(args) => check_outputs(args, wall_ms),
    }
}

fn check_outputs(args: &OutputCheckArgs, wall_ms: u64) -> Result<(), Error> {
    let path = config::find(args.config.config.as_deref(), Path::new(""))?;
    let config = Config::load(&path, Overrides::default())?;
    let wanted = |bus: &&RocketMqConfig| args.output.as_ref().is_none_or(|name| *name == bus.name);
    let buses = config.outputs.iter().filter_map(|output| match output {
        OutputConfig::RocketMq(bus) => Some(&**bus),
        OutputConfig::File(_) | OutputConfig::Mqtt(_) => None,
    });
    let buses: Vec<&RocketMqConfig> = buses.filter(wanted).collect();
    if buses.is_empty() {
        let which = args.output.as_ref().map_or(String::new(), |name| format!(" called {name}"));
        return Err(Error::Usage(format!(
            "{} has no output of type \"rocketmq\"{which} to check",
            path.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Failed(format!("cannot start: {error}")))?;
    let mut missing = 0;
    for bus in buses {
        let found = runtime.block_on(check(bus, &config.routes, args.send, wall_ms));
        let found = found.map_err(|error| Error::Failed(format!("output {}: {error}", bus.name)))?;
        print::line(format_args!("output {}", bus.name))?;
        found.iter().try_for_each(show)?;
        missing += found.iter().filter(|found| found.state == State::Missing).count();
    }
    if missing == 0 {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{missing} missing: see the lines above; until then the spool keeps everything"
    )))
}

fn show(found: &Found) -> Result<(), Error> {
    print::line(format_args!("  {:<8} {}", found.state, found.what))?;
    if let Some(advice) = &found.advice {
        print::line(format_args!("             {advice}"))?;
    }
    Ok(())
}
