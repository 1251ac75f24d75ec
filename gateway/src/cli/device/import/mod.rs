//! `tidegate device import`: logins of a file, all or none.

mod lines;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    auth::{Filter, HashedCredential, ImportedLogin, Role},
    cli::print,
};

use lines::{Fault, Line};

pub use lines::ImportFormat;

/// Bytes in the longest file: more than the logins that a registry takes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Faults that are told one by one.
const FAULTS_MAX: usize = 20;
/// Passwords hashed between two words to whoever waits: a few seconds.
const HASHED_BETWEEN_NOTES: usize = 100;

pub(super) const EXAMPLES: &str = "\
Examples:
  What `tidegate device add --count` wrote on another gateway:
    tidegate device import creds.csv
  The password file of a mosquitto broker; every device keeps its password:
    tidegate device import /etc/mosquitto/passwd
  Applications of one kind:
    tidegate device import boards.csv --role application --subscribe 'telemetry/+'

All are added, or none: each fault is told with its line. A secret that a gateway made (32 hexadecimal digits) is \
checked quickly at each login. Anything else is taken for a password: it is hashed slowly, once here (some 30 a second) \
and once at each login. Hashes of mosquitto_passwd ($7$ of mosquitto 2.0, $6$ before it) are taken as they are.";

/// Arguments of `device import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// File to read: lines `device,secret` or `device,secret,role`, or a password file of mosquitto
    pub file: PathBuf,

    /// What the file is; without it, by its first line
    #[arg(long, value_enum)]
    pub format: Option<ImportFormat>,

    /// What the logins are whose line does not say
    #[arg(long, value_enum, default_value_t = Role::Device)]
    pub role: Role,

    /// Topics the clients among them may publish to (may be given several times)
    #[arg(long, value_name = "FILTER")]
    pub publish: Vec<Filter>,

    /// Topics the applications and clients among them may subscribe to (may be given several times)
    #[arg(long, value_name = "FILTER")]
    pub subscribe: Vec<Filter>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Lines are wrong; the text names each.
    #[error("{0}")]
    Faults(String),
}

/// Reads the whole file.
pub(super) fn text(path: &Path) -> Result<String, ImportError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if len > FILE_BYTES_MAX {
        return Err(ImportError::Faults(format!("the file is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let number = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        ImportError::Faults(format!("line {number}: not UTF-8"))
    })
}

/// The logins of `text`, hashed. `existing` says which names are taken.
pub(super) fn logins(
    text: &str,
    args: &ImportArgs,
    existing: &HashSet<String>,
) -> Result<Vec<ImportedLogin>, ImportError> {
    let format = args.format.unwrap_or_else(|| ImportFormat::detect(text));
    let (lines, mut faults) = format.read(text);
    faults.extend(repeated(&lines, existing));
    let slow = lines.iter().filter(|line| is_slow(format, line)).count();
    let (mut logins, mut hashed) = (Vec::with_capacity(lines.len()), 0);
    for line in &lines {
        // Where a line is wrong already, the others are looked at, but not for long.
        if !faults.is_empty() && is_slow(format, line) {
            continue;
        }
        match credential(format, line) {
            Ok(credential) => {
                logins.push(ImportedLogin { id: line.id.clone(), role: role(line, args), credential })
            }
            Err(what) => faults.push(Fault { number: line.number, what }),
        }
        hashed += usize::from(is_slow(format, line));
        if is_slow(format, line) && hashed.is_multiple_of(HASHED_BETWEEN_NOTES) {
            print::note(format_args!("{hashed} of {slow} passwords hashed"));
        }
    }
    if !faults.is_empty() {
        return Err(ImportError::Faults(told(faults)));
    }
    if logins.is_empty() {
        return Err(ImportError::Faults("no line of it holds a login".to_owned()));
    }
    Ok(logins)
}

fn role(line: &Line<'_>, args: &ImportArgs) -> Role {
    line.role.and_then(Role::from_word).unwrap_or(args.role)
}

fn is_slow(format: ImportFormat, line: &Line<'_>) -> bool {
    format == ImportFormat::Csv && !HashedCredential::is_secret(&line.secret)
}

fn credential(format: ImportFormat, line: &Line<'_>) -> Result<HashedCredential, String> {
    match format {
        ImportFormat::Csv => HashedCredential::of_text(&line.secret),
        ImportFormat::Mosquitto => HashedCredential::of_mosquitto(&line.secret).map_err(str::to_owned),
    }
}

/// Names that stand twice, or that the registry has.
fn repeated(lines: &[Line<'_>], existing: &HashSet<String>) -> Vec<Fault> {
    let mut first = HashMap::new();
    let mut faults = Vec::new();
    for line in lines {
        let what = match first.insert(line.id.as_str(), line.number) {
            Some(other) => format!("{} stands on line {other} already", line.id),
            None if existing.contains(&line.id) => format!("{} exists already", line.id),
            None => continue,
        };
        faults.push(Fault { number: line.number, what });
    }
    faults
}

fn told(mut faults: Vec<Fault>) -> String {
    faults.sort_by_key(|fault| fault.number);
    let mut text = String::from("nothing was imported");
    for Fault { number, what } in faults.iter().take(FAULTS_MAX) {
        // Writing into a String does not fail.
        let _infallible = write!(text, "\n  line {number}: {what}");
    }
    if faults.len() > FAULTS_MAX {
        let _infallible = write!(text, "\n  and {} more", faults.len() - FAULTS_MAX);
    }
    text
}
