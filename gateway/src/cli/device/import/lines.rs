//! The lines of a file to import, as they stand there.

use tidegate_protocol::DeviceId;

use crate::auth::Role;

/// Bytes in the longest line: an id, a secret, a role, and quotes around each.
pub(super) const LINE_BYTES_MAX: usize = 2048;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ImportFormat {
    /// Lines `device,secret` or `device,secret,role`, as `device add --count` writes them
    Csv,
    /// A password file of mosquitto, hashed by mosquitto_passwd
    Mosquitto,
}

/// One login of the file; nothing of it is checked but its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// From 1.
    pub(super) number: usize,
    pub(super) id: String,
    /// In clear, or a hash, as the format has it.
    pub(super) secret: String,
    /// What the line says it is.
    pub(super) role: Option<&'t str>,
}

/// Something wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) number: usize,
    pub(super) what: String,
}

impl ImportFormat {
    /// By the first line that says something: only mosquitto has a `:` in front of a hash.
    pub(super) fn detect(text: &str) -> Self {
        let first = numbered(text).next().map_or("", |(_, line)| line);
        match first.split_once(':') {
            Some((user, hash)) if !user.contains(',') && (hash.starts_with('$') || !hash.contains(',')) => {
                Self::Mosquitto
            }
            _ => Self::Csv,
        }
    }

    /// All lines that hold a login, and what is wrong with the others.
    pub(super) fn read(self, text: &str) -> (Vec<Line<'_>>, Vec<Fault>) {
        let (mut lines, mut faults) = (Vec::new(), Vec::new());
        for (number, line) in numbered(text) {
            if self == Self::Csv && lines.is_empty() && faults.is_empty() && is_heading(line) {
                continue;
            }
            match self.line(number, line) {
                Ok(read) => lines.push(read),
                Err(what) => faults.push(Fault { number, what }),
            }
        }
        (lines, faults)
    }

    fn line(self, number: usize, line: &str) -> Result<Line<'_>, String> {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
        }
        let (id, secret, role) = match self {
            Self::Csv => csv(line)?,
            Self::Mosquitto => mosquitto(line)?,
        };
        DeviceId::new(&id).map_err(|problem| format!("{id:?} cannot be a name: {problem}"))?;
        Ok(Line { number, id, secret, role })
    }
}

/// Lines with their numbers, without those that are empty or begin with `#`.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn is_heading(line: &str) -> bool {
    let mut fields = line.split(',').map(|field| field.trim().to_ascii_lowercase());
    let (first, second) = (fields.next(), fields.next());
    matches!(first.as_deref(), Some("device" | "id" | "user"))
        && matches!(second.as_deref(), Some("secret" | "password"))
}

type Fields<'t> = (String, String, Option<&'t str>);

/// `device,secret`, with a role behind it where there is one; quotes as RFC 4180 section 2 has them.
fn csv(line: &str) -> Result<Fields<'_>, String> {
    let (id, rest) = field(line)?;
    let Some(rest) = rest else { return Err("there is no comma: write device,secret".to_owned()) };
    let (secret, rest) = field(rest)?;
    let role = rest.map(|role| role.trim().trim_matches('"')).filter(|role| !role.is_empty());
    if role.is_some_and(|role| Role::from_word(role).is_none()) {
        return Err("behind the second comma stands a role: device, application or client".to_owned());
    }
    Ok((id, secret, role))
}

/// The first field, and what stands behind its comma.
fn field(line: &str) -> Result<(String, Option<&str>), String> {
    let line = line.trim_start();
    let Some(mut rest) = line.strip_prefix('"') else {
        return Ok(match line.split_once(',') {
            Some((field, rest)) => (field.trim_end().to_owned(), Some(rest)),
            None => (line.to_owned(), None),
        });
    };
    let mut text = String::new();
    loop {
        let Some((part, behind)) = rest.split_once('"') else {
            return Err("a quote is not closed".to_owned());
        };
        text.push_str(part);
        if let Some(more) = behind.strip_prefix('"') {
            text.push('"');
            rest = more;
            continue;
        }
        return match behind.trim_start() {
            "" => Ok((text, None)),
            behind => match behind.strip_prefix(',') {
                Some(rest) => Ok((text, Some(rest))),
                None => Err("something stands behind a closing quote".to_owned()),
            },
        };
    }
}

/// `user:$7$…`
fn mosquitto(line: &str) -> Result<Fields<'_>, String> {
    let Some((user, hash)) = line.split_once(':') else {
        return Err("there is no colon: a password file has lines user:hash".to_owned());
    };
    if !hash.starts_with('$') {
        return Err("the password is not hashed: run `mosquitto_passwd -U FILE` on a copy first".to_owned());
    }
    Ok((user.to_owned(), hash.to_owned(), None))
}
