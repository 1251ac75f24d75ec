//! The command line of the simulator: arguments, runtime, exit code.

mod args;
mod compare;
mod dashboard;
mod screen;

use std::{
    fmt::Display,
    io::{self, Write},
    process::{self, ExitCode},
    sync::Arc,
};

use anyhow::Context;
use args::{Cli, Command};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use screen::Screen;
use simulator::{
    Error,
    audit::{self, Ledger},
};
use tidegate_simulator as simulator;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(run) if !run.baseline.baseline.is_empty() => compare(&run),
        Command::Run(run) => simulate(&run),
        Command::Audit(audit) => look_again(&audit),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // With standard error gone the exit code is all there is left to say.
            let _gone = writeln!(io::stderr(), "simulator: {error:#}").is_err();
            ExitCode::from(error.downcast_ref::<Error>().map_or(74, Error::exit_code))
        }
    }
}

/// Files beside the devices' sockets.
const OTHER_FILES: u64 = 64;

fn simulate(run: &args::Run) -> anyhow::Result<u8> {
    let plan = run.plan()?;
    make_room_for_files(plan.devices_in_all());
    let runtime = runtime(run.threads)?;
    let wish = Arc::new(Notify::new());
    let targets: Vec<_> = plan.targets.iter().map(ToString::to_string).collect();
    let mut screen = Screen::new(run.progress, targets.join(" "), &wish);
    let stop = interrupted(wish);
    let outcome = runtime.block_on(simulator::run(plan, |progress| screen.show(progress), stop));
    screen.end();
    let report = outcome?;
    say(&report)?;
    if let Some(path) = run.report_path() {
        report.save(&path)?;
    }
    if let Some(path) = run.state_path() {
        report.ledger.save(&path)?;
    }
    Ok(report.exit_code())
}

/// Runs the arms of `--baseline` and shows both verdicts. Ctrl-C ends all that was started, without a report.
fn compare(run: &args::Run) -> anyhow::Result<u8> {
    let plan = run.plan()?;
    make_room_for_files(plan.devices_in_all());
    let experiment = run.baseline.experiment(plan);
    let wish = Arc::new(Notify::new());
    let outcome = runtime(run.threads)?.block_on(async {
        tokio::select! {
            // Heard before the first program is started.
            biased;
            code = interrupt(&wish) => Err(code),
            comparison = compare::play(&experiment, run.progress, &wish) => Ok(comparison),
        }
    });
    let comparison = match outcome {
        Ok(comparison) => comparison?,
        Err(code) => return Ok(code),
    };
    say(&comparison)?;
    if let Some(path) = run.report_path() {
        comparison.save(&path)?;
    }
    Ok(comparison.exit_code())
}

/// Each device has a socket. Where the limit stays, further devices fail and are counted.
///
/// The system's table of sockets is made large enough at once: it doubles when it is full, and the thread that makes a
/// socket then stands still for 10 ms and more, with all devices that it plays.
fn make_room_for_files(devices: u32) {
    let limit = getrlimit(Resource::Nofile);
    let _refused =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err();
    let last = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit.saturating_sub(1));
    let last = i32::try_from(last.min(u64::from(devices) + OTHER_FILES)).unwrap_or(i32::MAX);
    // Where it cannot be, the table grows as it fills.
    let _grown = rustix::io::fcntl_dupfd_cloexec(io::stdin(), last).is_ok();
}

fn look_again(arguments: &args::Audit) -> anyhow::Result<u8> {
    let plan = arguments.plan();
    let ledger = Ledger::load(&arguments.state)?;
    // A bus is read by tasks of its own.
    let runtime = runtime(2)?;
    let source = runtime.block_on(audit::Source::open(&plan.source, audit::Begin::Oldest))?;
    let mut audit = audit::Audit::new(source, &ledger, plan.compare_values);
    let verdict = audit::wait(&mut audit, &plan, &ledger, |_| ())?;
    say(&verdict)?;
    Ok(if verdict.pass && verdict.acknowledged == 0 { 3 } else { u8::from(!verdict.pass) })
}

/// One thread costs the least where it is enough: nothing is handed from one to another.
fn runtime(threads: u8) -> anyhow::Result<Runtime> {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(usize::from(threads));
    }
    builder.enable_all().build().context("cannot start the runtime")
}

/// Ready at the first Ctrl-C or SIGTERM, or when `wish` is told. The second one ends the process.
async fn interrupted(wish: Arc<Notify>) {
    let heard = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = heard else {
        // Without a way to hear it, the run ends with its time.
        return std::future::pending().await;
    };
    let _why = next_interrupt(&mut interrupt, &mut terminate, &wish).await;
    tokio::spawn(async move {
        let code = next_interrupt(&mut interrupt, &mut terminate, &wish).await;
        dashboard::restore();
        process::exit(code.into())
    });
}

/// Ready at the first Ctrl-C or SIGTERM, or when `wish` is told, with the exit code of a process that leaves for it.
/// Later ones are not heeded.
async fn interrupt(wish: &Notify) -> u8 {
    let heard = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match heard {
        (Ok(mut interrupt), Ok(mut terminate)) => next_interrupt(&mut interrupt, &mut terminate, wish).await,
        _ => std::future::pending().await,
    }
}

/// The exit code of a process that leaves for it.
async fn next_interrupt(interrupt: &mut Signal, terminate: &mut Signal, wish: &Notify) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
        () = wish.notified() => 130,
    }
}

fn say(text: &impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_open_files_has_room_for_all_devices_before_the_first_connects() {
        make_room_for_files(3_000);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(size.trim().parse::<usize>().unwrap() > 3_000, "{size}");
    }
}
