//! `tidegate board`

use super::{BoardArgs, Error, beside, print};
use crate::control::{Answer, BoardAnswer, BoardOrder, BoardRequest, Client, Request};

/// Asks a board on a serial port how it is, or has it do something.
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs; [`Error::Failed`] when the board is not there or does not take the order.
pub(super) fn run(args: &BoardArgs) -> Result<(), Error> {
    let config = beside::load(&args.config)?;
    let mut client = Client::connect(&config.control_path())?;
    let order = match (args.identify, args.period_ms, args.reboot) {
        (Some(seconds), _, _) => BoardOrder::Identify { seconds },
        (_, Some(period_ms), _) => BoardOrder::SetPeriod { period_ms },
        (_, _, true) => BoardOrder::Reboot,
        _ => BoardOrder::Report,
    };
    let device = args.device.to_string();
    let request = Request::Board(BoardRequest { device: device.clone(), order });
    let Answer::Board(answer) = client.ask(&request)? else { return Err(beside::unexpected()) };
    if !answer.is_done {
        return Err(Error::Failed(format!("{device} does not take this order, or not this value")));
    }
    if args.json {
        return Ok(print::line(beside::json(&answer)?)?);
    }
    match answer.report {
        None => print::line(format_args!("{device} does it"))?,
        Some(_) => print::line(Report(&answer))?,
    }
    Ok(())
}

/// A report for people.
struct Report<'a>(&'a BoardAnswer);

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(report) = &self.0.report else { return Ok(()) };
        let up = humantime::format_duration(std::time::Duration::from_secs(report.uptime_ms / 1000));
        writeln!(f, "start {}, up {up}, {} links", report.boot, report.links)?;
        writeln!(
            f,
            "a reading every {} ms; {} wait, {} dropped",
            report.period_ms, report.stored, report.dropped
        )?;
        write!(f, "{} refused by the gateway, {} broken frames", report.refused, report.noise)
    }
}
