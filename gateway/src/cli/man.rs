//! `tidegate man`

use std::{fmt::Write as _, fs, io, path::Path};

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Args, Error, ManArgs, print};

/// Writes a page for the program and one for each of its commands.
///
/// # Errors
/// [`Error::CannotCreate`] when the folder or a page cannot be made.
pub fn run(args: &ManArgs) -> Result<(), Error> {
    let dir = &args.dir;
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(dir).and_then(|()| write(dir, &command)).map_err(|error| {
        Error::CannotCreate(format!("cannot write manual pages to {} ({error})", dir.display()))
    })?;
    print::line(format_args!("manual pages are in {0}; read one with: man {0}/tidegate.1", dir.display()))?;
    Ok(())
}

/// The page of `command`, then those of the commands in it.
fn write(dir: &Path, command: &clap::Command) -> io::Result<()> {
    let page = Man::new(command.clone())
        .source(concat!("tidegate ", env!("CARGO_PKG_VERSION")))
        .manual("Manual of Tidegate");
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(dir.join(page.get_filename()), ascii(&String::from_utf8_lossy(&text)))?;
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).try_for_each(|inner| write(dir, inner))
}

/// `text` with the letters beyond ASCII as roff names them, so that a page reads the same in every locale.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            escaped.push(letter);
        } else {
            let _in_memory = write!(escaped, "\\[u{:04X}]", u32::from(letter));
        }
    }
    escaped
}
