//! Logins and notes as rows. What is read is checked as strictly as what an operator types.

use std::sync::Arc;

use rusqlite::{Row, Transaction, named_params, params};
use tidegate_protocol::DeviceId;

use crate::auth::{
    acl::Rights,
    command::LastReject,
    credentials::{Credential, CredentialKind},
    filter::Filter,
    login::Role,
    notes::Note,
    snapshot::Entry,
};

pub(super) fn write_login(transaction: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO login VALUES (:user, :role, :credential, :salt, :hash, :enabled, :created_ms,
               :device_prefix, :publish, :subscribe, :generation)";
    let (salt, hash) = entry.credential.stored();
    let written = transaction.prepare_cached(sql)?.execute(named_params! {
        ":user": &*entry.user,
        ":role": entry.role.as_str(),
        ":credential": entry.credential.kind().as_str(),
        ":salt": salt,
        ":hash": hash,
        ":enabled": entry.enabled,
        ":created_ms": signed(entry.created_ms),
        ":device_prefix": entry.group.as_deref(),
        ":publish": filters_text(&entry.rights.publish),
        ":subscribe": filters_text(&entry.rights.subscribe),
        ":generation": signed(entry.generation),
    })?;
    debug_assert_eq!(written, 1);
    Ok(())
}

pub(super) fn write_note(
    transaction: &Transaction<'_>,
    device: &DeviceId,
    note: &Note,
) -> rusqlite::Result<()> {
    let (reject, refused) = (note.reject.as_ref(), note.refused.as_ref());
    let sql = "INSERT OR REPLACE INTO note VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut statement = transaction.prepare_cached(sql)?;
    let written = statement.execute(params![
        device.as_str(),
        note.seen_ms.map(signed),
        reject.map(|reject| &reject.reason),
        reject.map(|reject| signed(reject.at_ms)),
        note.qos0,
        note.acknowledged,
        signed(note.touched_ms),
        refused.map(|refused| &refused.reason),
        refused.map(|refused| signed(refused.at_ms)),
    ])?;
    debug_assert_eq!(written, 1);
    Ok(())
}

pub(super) fn login_of_row(row: &Row<'_>) -> Result<Entry, String> {
    let user: String = column(row, "user")?;
    let wrong = |what: &str| format!("login {user:?}: {what}");
    let role = Role::from_word(&column::<String>(row, "role")?).ok_or_else(|| wrong("role"))?;
    let kind = CredentialKind::from_word(&column::<String>(row, "credential")?);
    let (salt, hash): (Vec<u8>, Vec<u8>) = (column(row, "salt")?, column(row, "hash")?);
    let credential = kind.and_then(|kind| Credential::from_stored(kind, &salt, &hash));
    let publish = filters(&column::<String>(row, "publish")?).ok_or_else(|| wrong("publish filters"))?;
    let subscribe =
        filters(&column::<String>(row, "subscribe")?).ok_or_else(|| wrong("subscribe filters"))?;
    Ok(Entry {
        device: DeviceId::new(&user).map_err(|_| wrong("not a device id"))?,
        role,
        rights: Arc::new(Rights { publish, subscribe }),
        credential: credential.ok_or_else(|| wrong("credential"))?,
        enabled: column(row, "enabled")?,
        created_ms: unsigned(column(row, "created_ms")?),
        group: column::<Option<String>>(row, "device_prefix")?.map(Into::into),
        generation: unsigned(column(row, "generation")?),
        user: user.into(),
    })
}

pub(super) fn note_of_row(row: &Row<'_>) -> Result<(DeviceId, Note), String> {
    let device: String = column(row, "device")?;
    let device = DeviceId::new(&device).map_err(|_| format!("note {device:?}: not a device id"))?;
    let note = Note {
        seen_ms: column::<Option<i64>>(row, "seen_ms")?.map(unsigned),
        reject: last(row, "reject", "reject_ms")?,
        refused: last(row, "refused", "refused_ms")?,
        qos0: column(row, "qos0")?,
        acknowledged: column(row, "acknowledged")?,
        touched_ms: unsigned(column(row, "touched_ms")?),
    };
    Ok((device, note))
}

fn last(row: &Row<'_>, reason: &str, at_ms: &str) -> Result<Option<LastReject>, String> {
    let at_ms = column::<Option<i64>>(row, at_ms)?.map_or(0, unsigned);
    Ok(column::<Option<String>>(row, reason)?.map(|reason| LastReject { reason, at_ms }))
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, name: &str) -> Result<T, String> {
    row.get(name).map_err(|error| error.to_string())
}

fn filters_text(filters: &[Filter]) -> String {
    // No filter holds a control character, so lines keep them apart.
    filters.iter().map(Filter::as_str).collect::<Vec<_>>().join("\n")
}

fn filters(text: &str) -> Option<Vec<Filter>> {
    text.lines().map(|line| Filter::new(line).ok()).collect()
}

/// SQLite's integers are signed; times and counts stay far below the half that is lost.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn signed_len(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
