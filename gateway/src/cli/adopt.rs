//! `tidegate adopt`

use super::{AdoptArgs, Error, beside, print, when::timestamp};
use crate::{
    control::{AdoptRequest, Answer, Client, Request},
    listener::serial::Announced,
};

/// Lists boards that ask for a name, or has the gateway give one its name.
///
/// # Errors
/// [`Error::Unavailable`] when no gateway runs; [`Error::Failed`] when the board was not heard or the name is taken.
pub(super) fn run(args: &AdoptArgs) -> Result<(), Error> {
    let config = beside::load(&args.config)?;
    let mut client = Client::connect(&config.control_path())?;
    let (Some(hardware), Some(device)) = (&args.hardware, &args.name) else {
        let Answer::Boards(boards) = client.ask(&Request::Adopt(None))? else {
            return Err(beside::unexpected());
        };
        return list(&boards, args.json);
    };
    let request =
        AdoptRequest { hardware: hardware.clone(), device: device.to_string(), replace: args.replace };
    let Answer::Adopted = client.ask(&Request::Adopt(Some(request)))? else {
        return Err(beside::unexpected());
    };
    print::line(format_args!("{hardware} gets its name, {device}, when it asks again, within seconds"))?;
    Ok(())
}

fn list(boards: &[Announced], as_json: bool) -> Result<(), Error> {
    if as_json {
        return Ok(print::line(beside::json(&boards)?)?);
    }
    if boards.is_empty() {
        return Ok(print::line("no board asks for a name")?);
    }
    for Announced { hardware, model, firmware, port, heard_ms } in boards {
        let heard = timestamp(*heard_ms);
        print::line(format_args!("{hardware:<20} {model:<12} {firmware:<8} {port:<20} heard {heard}"))?;
    }
    print::line("give one its name: tidegate adopt BOARD --as DEVICE")?;
    Ok(())
}
