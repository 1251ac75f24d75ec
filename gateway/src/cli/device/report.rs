//! What `device` commands print.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::auth::{AddedDevice, DeviceDetail, Filter, LastReject, LoginDetail, Role};

/// A new login with its secret, for a person to read.
pub(super) fn added(out: &mut impl Write, what: &str, added: &[AddedDevice]) -> io::Result<()> {
    for AddedDevice { id, secret } in added {
        writeln!(out, "{what} {id}")?;
        if let Some(secret) = secret {
            writeln!(
                out,
                "  user    {id}\n  secret  {secret}\nThe secret is shown this once; only a hash of it is kept."
            )?;
        }
    }
    Ok(())
}

/// New logins as lines `device,secret`. Neither holds a comma.
pub(super) fn lines(out: &mut impl Write, added: &[AddedDevice]) -> io::Result<()> {
    added
        .iter()
        .try_for_each(|added| writeln!(out, "{},{}", added.id, added.secret.as_deref().unwrap_or_default()))
}

/// One JSON object on a line.
pub(super) fn json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// Logins as a table.
pub(super) fn table(out: &mut impl Write, logins: &[LoginDetail]) -> io::Result<()> {
    let width = logins.iter().map(|login| login.id.len()).max().unwrap_or(0).max(4);
    writeln!(
        out,
        "{:width$}  {:11}  {:8}  {:10}  {:20}  RIGHTS",
        "NAME", "ROLE", "STATE", "CREDENTIAL", "ADDED"
    )?;
    for login in logins {
        let (role, state, kind) = (login.role.as_str(), state(login), login.credential.as_str());
        let (added, rights) = (time(login.created_ms), rights(login));
        writeln!(out, "{:width$}  {role:11}  {state:8}  {kind:10}  {added:20}  {rights}", login.id)?;
    }
    writeln!(out, "{}", count(logins.len(), "login"))
}

/// One device or login in full.
pub(super) fn detail(out: &mut impl Write, detail: &DeviceDetail) -> io::Result<()> {
    writeln!(out, "{}", detail.id)?;
    let mut row = |name: &str, value: &str| writeln!(out, "  {name:<13} {value}");
    match &detail.login {
        Some(login) => {
            row("role", login.role.as_str())?;
            row("state", state(login))?;
            row("credential", login.credential.as_str())?;
            row("added", &time(login.created_ms))?;
            row("rights", &rights(login))?;
        }
        None => row("login", "none of its own: it came through a group, another device, or anonymously")?,
    }
    row("last heard", &detail.seen_ms.map_or("never".to_owned(), time))?;
    row("last reject", &last(detail.last_reject.as_ref()))?;
    row("refused login", &last(detail.last_refused.as_ref()))?;
    if detail.qos0_only {
        row("promise", "none: it publishes with QoS 0 only, which nobody acknowledges")?;
    }
    Ok(())
}

fn last(reject: Option<&LastReject>) -> String {
    let text = |reject: &LastReject| format!("{}  {}", time(reject.at_ms), printable(&reject.reason));
    reject.map_or_else(|| "none".to_owned(), text)
}

/// "1 login", "2 logins".
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn state(login: &LoginDetail) -> &'static str {
    if login.enabled { "enabled" } else { "disabled" }
}

fn rights(login: &LoginDetail) -> String {
    let join = |filters: &[Filter]| filters.iter().map(Filter::as_str).collect::<Vec<_>>().join(" ");
    let mut parts = Vec::new();
    if login.role == Role::Device {
        parts.push(match &login.group {
            Some(prefix) => format!("each of group {prefix}* as itself"),
            None => "as itself".to_owned(),
        });
    }
    if !login.publish.is_empty() {
        parts.push(format!("publishes {}", join(&login.publish)));
    }
    if !login.subscribe.is_empty() {
        parts.push(format!("subscribes {}", join(&login.subscribe)));
    }
    parts.join(", ")
}

/// RFC 3339 in UTC, to the second.
fn time(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| format!("{unix_ms} ms"), |time| time.to_string())
}

/// A reason may quote what a device sent, and that is not for the terminal to obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
