//! `tidegate config`

use super::{ConfigPage, ConfigPageArgs, Error, print};
use crate::config::Config;

/// Prints the page.
///
/// # Errors
/// [`Error::Output`] when it cannot be printed.
pub fn run(args: &ConfigPageArgs) -> Result<(), Error> {
    let text = match args.page {
        ConfigPage::Reference => Config::reference(),
        ConfigPage::Example => Config::example(),
    };
    print::line(text.trim_end())?;
    Ok(())
}
