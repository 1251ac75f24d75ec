//! `tidegate device …`: logins are added, looked at and revoked.

mod credentials_file;
mod import;
mod password;
mod report;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    io::{self, Write},
    path::PathBuf,
};

use clap::builder::PossibleValue;

use crate::auth::{
    AddedDevice, DeviceAnswer, DeviceCommand, Filter, LIST_PAGE_MAX, LoginDetail, NewDevice, PasswordText,
    Role,
};

use credentials_file::CredentialsFile;
use import::ImportError;

pub use import::{ImportArgs, ImportFormat};

/// Add devices, applications and clients, look at them, revoke them.
///
/// A change counts at once, also in a gateway that is running: a login that is disabled, removed or given
/// another secret loses its connections.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceArgs {
    /// Add a device, an application or a client, or many devices at once
    #[command(after_long_help = ADD_EXAMPLES)]
    Add(Box<AddArgs>),
    /// Add the logins of a file: of another gateway, or the password file of a mosquitto broker
    #[command(after_long_help = import::EXAMPLES)]
    Import(ImportArgs),
    /// List all logins
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a device or login: its rights, when it was last heard of, what was last rejected and why
    Show {
        /// Name of the device or login
        id: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give a login a new machine-made secret; the old one ends at once
    Rotate {
        /// Name of the login
        id: String,
    },
    /// Refuse logins, or single devices of a group, and close their connections; `enable` lets them in again
    Disable {
        /// Names of the logins, or of devices of a group
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Let disabled logins, or devices of a group, in again
    Enable {
        /// Names of the logins, or of devices of a group
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Forget logins and close their connections
    Remove {
        /// Names of the logins
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

const ADD_EXAMPLES: &str = "\
Examples:
  A device, which publishes any topic as itself and reads its own commands:
    tidegate device add sensor_1
  A thousand devices sensor_1 … sensor_1000, their secrets in a file (lines `device,secret`):
    tidegate device add --count 1000 --prefix sensor_ --out creds.csv
  One login for all devices of a line; the MQTT client id (line3_1, line3_press …) names the device:
    tidegate device add line3 --group line3_
  An application that reads all telemetry, with a password of your own:
    tidegate device add board --role application --subscribe 'telemetry/+' --password
  A field gateway that publishes for the devices behind it:
    tidegate device add field_7 --role client --publish 'telemetry//+' --subscribe 'cmd/+/req/#'

A secret is printed once. Only a hash of it is kept; `tidegate device rotate` makes a new one.";

/// Arguments of `device add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Name of the device or login: 1 to 64 of A-Z, a-z, 0-9, _ and -
    #[arg(required_unless_present = "count", conflicts_with = "count")]
    pub id: Option<String>,

    /// What kind of party it is
    #[arg(long, value_enum, default_value_t = Role::Device, conflicts_with = "count")]
    pub role: Role,

    /// Topics a client may publish to (+ and # as in MQTT; may be given several times)
    #[arg(long, value_name = "FILTER", conflicts_with = "count")]
    pub publish: Vec<Filter>,

    /// Topics an application or client may subscribe to, or to any part of (may be given several times)
    #[arg(long, value_name = "FILTER", conflicts_with = "count")]
    pub subscribe: Vec<Filter>,

    /// Ask for a person's password, or read it from standard input, instead of making a secret
    #[arg(long, conflicts_with_all = ["count", "out"])]
    pub password: bool,

    /// Serve all devices whose MQTT client id begins with PREFIX; the client id is then the device
    #[arg(long, value_name = "PREFIX", conflicts_with = "count")]
    pub group: Option<String>,

    /// Add N devices, PREFIX1 to PREFIXN, all or none
    #[arg(long, value_name = "N", requires = "prefix", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,

    /// What the names of many devices begin with
    #[arg(long, value_name = "PREFIX", requires = "count")]
    pub prefix: Option<String>,

    /// Write names and secrets to a new file that only you can read, lines `device,secret`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Why a `device` command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeviceCliError<E: std::error::Error> {
    /// The registry, or the way to it, said no.
    #[error(transparent)]
    Registry(E),
    /// The arguments or what was typed make no sense.
    #[error("{0}")]
    Usage(String),
    /// The registry answered something else than was asked.
    #[error("the gateway gave an answer that does not fit: is it of another version?")]
    Answer,
    /// A file or the terminal.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Carries out `args` by way of `executor`, which takes a command to the registry, and prints to `out`. A
/// password is read from standard input.
///
/// # Errors
/// [`DeviceCliError`].
pub fn run<E: std::error::Error>(
    args: &DeviceArgs,
    executor: impl FnMut(DeviceCommand) -> Result<DeviceAnswer, E>,
    out: &mut impl Write,
) -> Result<(), DeviceCliError<E>> {
    Run { executor, out, ask_password: password::ask }.run(args)
}

/// One run: where commands go, where text goes, where a password comes from.
struct Run<'a, X, W, P> {
    executor: X,
    out: &'a mut W,
    ask_password: P,
}

impl<E, X, W, P> Run<'_, X, W, P>
where
    E: std::error::Error,
    X: FnMut(DeviceCommand) -> Result<DeviceAnswer, E>,
    W: Write,
    P: FnMut() -> io::Result<String>,
{
    fn run(&mut self, args: &DeviceArgs) -> Result<(), DeviceCliError<E>> {
        match args {
            DeviceArgs::Add(add) => self.add(add),
            DeviceArgs::Import(import) => self.import(import),
            DeviceArgs::List { json } => self.list(*json),
            DeviceArgs::Show { id, json } => self.show(id, *json),
            DeviceArgs::Rotate { id } => {
                let added = self.added(DeviceCommand::Rotate { id: id.clone() })?;
                report::added(self.out, "new secret for", &added).map_err(printing)
            }
            DeviceArgs::Disable { ids } => {
                self.change(DeviceCommand::Disable { ids: ids.clone() }, "disabled")
            }
            DeviceArgs::Enable { ids } => self.change(DeviceCommand::Enable { ids: ids.clone() }, "enabled"),
            DeviceArgs::Remove { ids } => self.change(DeviceCommand::Remove { ids: ids.clone() }, "removed"),
        }
    }

    fn add(&mut self, args: &AddArgs) -> Result<(), DeviceCliError<E>> {
        let file = args.out.as_deref().map(CredentialsFile::create).transpose().map_err(|source| {
            DeviceCliError::Io { what: format!("cannot make {}", display(args.out.as_ref())), source }
        })?;
        let command = self.add_command(args)?;
        let added = self.added(command)?;
        if let Some(file) = file {
            if let Err(source) = file.finish(&added) {
                return Err(self.undo(&added, source));
            }
            let text =
                format!("added {} in {}", report::count(added.len(), "login"), display(args.out.as_ref()));
            return writeln!(self.out, "{text}").map_err(printing);
        }
        match args.count {
            Some(_) => report::lines(self.out, &added).map_err(printing),
            None => report::added(self.out, "added", &added).map_err(printing),
        }
    }

    fn add_command(&mut self, args: &AddArgs) -> Result<DeviceCommand, DeviceCliError<E>> {
        if let (Some(count), Some(prefix)) = (args.count, &args.prefix) {
            return Ok(DeviceCommand::AddMany { count, prefix: prefix.clone() });
        }
        let Some(id) = args.id.clone() else {
            return Err(DeviceCliError::Usage("give a name, or --count and --prefix".to_owned()));
        };
        let password = args.password.then(|| (self.ask_password)()).transpose();
        let password = password
            .map_err(|source| DeviceCliError::Io { what: "cannot read the password".to_owned(), source })?
            .map(PasswordText);
        let (publish, subscribe, group) = (args.publish.clone(), args.subscribe.clone(), args.group.clone());
        Ok(DeviceCommand::Add(Box::new(NewDevice {
            id,
            role: args.role,
            publish,
            subscribe,
            password,
            group,
        })))
    }

    /// Takes added logins back, since nobody learned their secrets.
    fn undo(&mut self, added: &[AddedDevice], source: io::Error) -> DeviceCliError<E> {
        let ids = added.iter().map(|added| added.id.clone()).collect();
        let what = match (self.executor)(DeviceCommand::Remove { ids }) {
            Ok(_) => "the secrets could not be written, so nothing was added",
            Err(_) => "the secrets could not be written; remove the logins just added and add them again",
        };
        DeviceCliError::Io { what: what.to_owned(), source }
    }

    fn import(&mut self, args: &ImportArgs) -> Result<(), DeviceCliError<E>> {
        let name = args.file.display();
        let unfit = |error| match error {
            ImportError::Io(source) => DeviceCliError::Io { what: format!("cannot read {name}"), source },
            ImportError::Faults(text) => DeviceCliError::Usage(format!("{name}: {text}")),
        };
        let text = import::text(&args.file).map_err(unfit)?;
        let existing: HashSet<_> = self.logins()?.into_iter().map(|login| login.id).collect();
        let logins = import::logins(&text, args, &existing).map_err(unfit)?;
        let weak = logins.iter().filter(|login| login.credential.is_weak()).count();
        let (publish, subscribe) = (args.publish.clone(), args.subscribe.clone());
        let answer = self.execute(DeviceCommand::Import { logins, publish, subscribe })?;
        let DeviceAnswer::Changed(count) = answer else { return Err(DeviceCliError::Answer) };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        writeln!(self.out, "imported {} from {name}", report::count(count, "login")).map_err(printing)?;
        if weak > 0 {
            let text = format!(
                "{} hashed in one round ($6$), which is quickly tried out",
                report::count(weak, "password")
            );
            writeln!(self.out, "{text}; `tidegate device rotate` gives a login a new secret")
                .map_err(printing)?;
        }
        Ok(())
    }

    fn list(&mut self, json: bool) -> Result<(), DeviceCliError<E>> {
        let all = self.logins()?;
        match json {
            true => all.iter().try_for_each(|login| report::json(self.out, login)),
            false => report::table(self.out, &all),
        }
        .or_else(unless_closed)
        .map_err(printing)
    }

    fn logins(&mut self) -> Result<Vec<LoginDetail>, DeviceCliError<E>> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let answer = self.execute(DeviceCommand::List { after, count_max: LIST_PAGE_MAX })?;
            let DeviceAnswer::Page { logins, more } = answer else { return Err(DeviceCliError::Answer) };
            after = logins.last().map(|login| login.id.clone());
            all.extend(logins);
            if !more || after.is_none() {
                return Ok(all);
            }
        }
    }

    fn show(&mut self, id: &str, json: bool) -> Result<(), DeviceCliError<E>> {
        let answer = self.execute(DeviceCommand::Show { id: id.to_owned() })?;
        let DeviceAnswer::Shown(detail) = answer else { return Err(DeviceCliError::Answer) };
        match json {
            true => report::json(self.out, &detail),
            false => report::detail(self.out, &detail),
        }
        .or_else(unless_closed)
        .map_err(printing)
    }

    fn change(&mut self, command: DeviceCommand, done: &str) -> Result<(), DeviceCliError<E>> {
        let DeviceAnswer::Changed(count) = self.execute(command)? else { return Err(DeviceCliError::Answer) };
        let text = match usize::try_from(count).unwrap_or(usize::MAX) {
            0 => format!("already {done}"),
            count => format!("{done} {}", report::count(count, "login")),
        };
        writeln!(self.out, "{text}").map_err(printing)
    }

    fn added(&mut self, command: DeviceCommand) -> Result<Vec<AddedDevice>, DeviceCliError<E>> {
        match self.execute(command)? {
            DeviceAnswer::Added(added) => Ok(added),
            _ => Err(DeviceCliError::Answer),
        }
    }

    fn execute(&mut self, command: DeviceCommand) -> Result<DeviceAnswer, DeviceCliError<E>> {
        (self.executor)(command).map_err(DeviceCliError::Registry)
    }
}

impl clap::ValueEnum for Role {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Device, Self::Application, Self::Client]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Device => "publishes any topic as itself and reads its own commands",
            Self::Application => "only subscribes, to the filters it is given",
            Self::Client => "publishes and subscribes by the filters it is given",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

/// Whoever reads a list may stop when it has seen enough, as `head` does.
fn unless_closed(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn display(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn printing<E: std::error::Error>(source: io::Error) -> DeviceCliError<E> {
    DeviceCliError::Io { what: "cannot print".to_owned(), source }
}
