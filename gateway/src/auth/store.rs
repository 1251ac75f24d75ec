//! `state.db`: logins and what is noted about devices, in SQLite. The only file that names the database.
//!
//! **Invariants:** a change is one transaction, synced before it counts (`WAL`, `synchronous = FULL`); one process
//! has the file open at a time (`locking_mode = EXCLUSIVE`), so that the copy in memory is the truth; nobody but the owner may
//! read the files; after a failed write or sync nothing more is written.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, named_params, params};
use tidegate_protocol::DeviceId;

use super::{
    acl::Rights,
    command::LastReject,
    credentials::{Credential, CredentialKind},
    filter::Filter,
    login::Role,
    notes::Note,
    snapshot::Entry,
};

/// "TIDE", which tells a `state.db` from any other database.
const APPLICATION_ID: i64 = 0x5449_4445;
/// Bytes the write-ahead log keeps after a checkpoint.
const WAL_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// How long opening waits for another process to finish.
const OPEN_WAIT_MS_MAX: u64 = 2_000;

/// The n-th takes schema n to schema n + 1. One that has been released is never edited: a change is a further one.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('boot', 0), ('generation', 0);
    CREATE TABLE login (
        user TEXT PRIMARY KEY, role TEXT NOT NULL, credential TEXT NOT NULL, salt BLOB NOT NULL,
        hash BLOB NOT NULL, enabled INTEGER NOT NULL, created_ms INTEGER NOT NULL, device_prefix TEXT,
        publish TEXT NOT NULL, subscribe TEXT NOT NULL, generation INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE note (
        device TEXT PRIMARY KEY, seen_ms INTEGER, reject TEXT, reject_ms INTEGER, qos0 INTEGER NOT NULL,
        acknowledged INTEGER NOT NULL, touched_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX note_by_time ON note (touched_ms);
"];

/// Why `state.db` cannot be opened. All are fatal at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Group or others may read or write secrets.
    #[error("{path} holds secrets but its permissions are {mode:04o}: run chmod 600 {path}", path = path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process: is a gateway running on it?", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "{path} has schema {found} and this program knows up to {known}: use the newer program",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The highest this program knows.
        known: u32,
    },
    /// Not a state.db, or a broken one.
    #[error("{path} is no state.db or is damaged: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file system or the random source refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// `state.db` was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; the change was undone whole and may be tried again. Unavailable, not fatal.
    #[error("state.db cannot grow: the disk is full")]
    Full,
    /// A write or sync failed, in this call or an earlier one. Fatal: the process ends with exit code 74.
    #[error("state.db cannot be written: {0}")]
    Failed(String),
}

/// Everything read at the start.
pub(super) struct Stored {
    pub(super) logins: Vec<Entry>,
    pub(super) notes: Vec<(DeviceId, Note)>,
    pub(super) generation: u64,
}

/// The open database.
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    failure: Option<StoreError>,
}

impl Store {
    /// Opens `path`, or makes it, and brings its schema up to date.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        prepare_file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sql = |error| open_error(path, &error);
        let mut connection = Connection::open_with_flags(path, flags).map_err(sql)?;
        configure(&connection).map_err(sql)?;
        migrate(&mut connection, path)?;
        check_permissions(path)?;
        Ok(Self { connection, path: path.to_owned(), failure: None })
    }

    /// Reads everything, of the notes the `notes_max` most recent.
    pub(super) fn read(&self, notes_max: usize) -> Result<Stored, OpenError> {
        let damaged = |what: String| OpenError::Damaged { path: self.path.clone(), what };
        let generation = self.meta("generation").map_err(|error| damaged(error.to_string()))?;
        let logins = self.rows("SELECT * FROM login", i64::MAX, login_of_row).map_err(damaged)?;
        let newest = "SELECT * FROM note ORDER BY touched_ms DESC LIMIT ?1";
        let notes = self.rows(newest, signed_len(notes_max), note_of_row).map_err(damaged)?;
        Ok(Stored { logins, notes, generation })
    }

    /// Adds one to the count of gateway starts and returns it.
    pub(super) fn begin_boot(&mut self) -> Result<u32, StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE meta SET value = value + 1 WHERE name = 'boot' RETURNING value";
            transaction.query_row(sql, [], |row| row.get(0))
        })
    }

    /// Writes a change of logins: all of it or nothing.
    pub(super) fn change(
        &mut self,
        changed: &[Entry],
        removed: &[Arc<str>],
        generation: u64,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            for user in removed {
                transaction.prepare_cached("DELETE FROM login WHERE user = ?1")?.execute([&**user])?;
                transaction.prepare_cached("DELETE FROM note WHERE device = ?1")?.execute([&**user])?;
            }
            changed.iter().try_for_each(|entry| write_login(transaction, entry))?;
            let sql = "UPDATE meta SET value = ?1 WHERE name = 'generation'";
            transaction.execute(sql, [signed(generation)]).map(|_| ())
        })
    }

    /// Writes notes and forgets the least recent beyond `notes_max`.
    pub(super) fn write_notes(
        &mut self,
        notes: &[(DeviceId, Note)],
        notes_max: usize,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            notes.iter().try_for_each(|(device, note)| write_note(transaction, device, note))?;
            let sql = "DELETE FROM note WHERE device IN (SELECT device FROM note ORDER BY touched_ms
                       LIMIT max(0, (SELECT count(*) FROM note) - ?1))";
            transaction.execute(sql, [signed_len(notes_max)]).map(|_| ())
        })
    }

    /// What made the database unusable.
    pub(super) fn failure(&self) -> Option<&StoreError> {
        self.failure.as_ref()
    }

    /// One transaction, synced. Any error but a full disk poisons the store, since after a failed sync nobody knows what the
    /// disk holds.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let done = self.connection.transaction().and_then(|transaction| {
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        done.map_err(|error| {
            if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
                return StoreError::Full;
            }
            self.failure.insert(StoreError::Failed(error.to_string())).clone()
        })
    }

    fn meta(&self, name: &str) -> rusqlite::Result<u64> {
        let value: i64 =
            self.connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))?;
        Ok(unsigned(value))
    }

    fn rows<T>(
        &self,
        sql: &str,
        limit: i64,
        read: impl Fn(&Row<'_>) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let text = |error: rusqlite::Error| error.to_string();
        let mut statement = self.connection.prepare(sql).map_err(text)?;
        let limited = statement.parameter_count() == 1;
        let parameters: &[&dyn rusqlite::ToSql] = if limited { &[&limit] } else { &[] };
        let mut rows = statement.query(parameters).map_err(text)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(text)? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

fn write_login(transaction: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
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

fn write_note(transaction: &Transaction<'_>, device: &DeviceId, note: &Note) -> rusqlite::Result<()> {
    let reject = note.reject.as_ref();
    let mut statement =
        transaction.prepare_cached("INSERT OR REPLACE INTO note VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let written = statement.execute(params![
        device.as_str(),
        note.seen_ms.map(signed),
        reject.map(|reject| &reject.reason),
        reject.map(|reject| signed(reject.at_ms)),
        note.qos0,
        note.acknowledged,
        signed(note.touched_ms),
    ])?;
    debug_assert_eq!(written, 1);
    Ok(())
}

fn login_of_row(row: &Row<'_>) -> Result<Entry, String> {
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

fn note_of_row(row: &Row<'_>) -> Result<(DeviceId, Note), String> {
    let device: String = column(row, "device")?;
    let device = DeviceId::new(&device).map_err(|_| format!("note {device:?}: not a device id"))?;
    let at_ms = column::<Option<i64>>(row, "reject_ms")?.map_or(0, unsigned);
    let reject = column::<Option<String>>(row, "reject")?.map(|reason| LastReject { reason, at_ms });
    let note = Note {
        seen_ms: column::<Option<i64>>(row, "seen_ms")?.map(unsigned),
        reject,
        qos0: column(row, "qos0")?,
        acknowledged: column(row, "acknowledged")?,
        touched_ms: unsigned(column(row, "touched_ms")?),
    };
    Ok((device, note))
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, name: &str) -> Result<T, String> {
    row.get(name).map_err(|error| error.to_string())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(OPEN_WAIT_MS_MAX))?;
    // Before the first access, so that the index of the log is kept in memory and no -shm file is made.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    // Overwrites what is deleted, so that a removed login's hash does not stay in a free page.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let sql = |error: rusqlite::Error| open_error(path, &error);
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(sql)?;
    let pragma = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql);
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    let fresh = tables == 0 && pragma("user_version")? == 0;
    if !fresh && pragma("application_id")? != APPLICATION_ID {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            what: "another program's database".to_owned(),
        });
    }
    let found = u32::try_from(pragma("user_version")?).unwrap_or(u32::MAX);
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    if found < known {
        let due = MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX));
        due.into_iter().try_for_each(|batch| transaction.execute_batch(batch)).map_err(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
        transaction.pragma_update(None, "user_version", known).map_err(sql)?;
    }
    transaction.commit().map_err(sql)
}

/// Makes an empty file with mode 0600 if there is none; SQLite gives its own files the mode of the first.
fn prepare_file(path: &Path) -> Result<(), OpenError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    match made {
        Ok(file) => {
            file.sync_all().map_err(io)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all()).map_err(io)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_permissions(path),
        Err(error) => Err(io(error)),
    }
}

/// Looks at `path` and what SQLite keeps beside it. Never opens them: closing any handle of the file would drop SQLite's
/// locks on it.
fn check_permissions(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                let mode = metadata.permissions().mode() & 0o7777;
                return Err(OpenError::Readable { path, mode });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::Io { path, source }),
        }
    }
    Ok(())
}

fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse { path },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) | None => {
            OpenError::Damaged { path, what: error.to_string() }
        }
        Some(_) => OpenError::Io { path, source: io::Error::other(error.to_string()) },
    }
}

fn filters_text(filters: &[Filter]) -> String {
    // No filter holds a control character, so lines keep them apart.
    filters.iter().map(Filter::as_str).collect::<Vec<_>>().join("\n")
}

fn filters(text: &str) -> Option<Vec<Filter>> {
    text.lines().map(|line| Filter::new(line).ok()).collect()
}

/// SQLite's integers are signed; times and counts stay far below the half that is lost.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn signed_len(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
