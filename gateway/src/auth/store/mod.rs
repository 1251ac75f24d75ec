//! `state.db`: logins and what is noted about devices, in SQLite. The only folder that names the database.
//!
//! **Invariants:** a change is one transaction, synced before it counts (`WAL`, `synchronous = FULL`); one
//! process has the file open at a time (`locking_mode = EXCLUSIVE`), so that the copy in memory is the truth;
//! nobody but the owner may read the files; after a failed write or sync nothing more is written.

mod error;
mod file;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction};
use tidegate_protocol::DeviceId;

use super::{notes::Note, snapshot::Entry};

pub use error::{OpenError, StoreError};

use rows::{login_of_row, note_of_row, signed, signed_len, unsigned, write_login, write_note};

/// "TIDE", which tells a `state.db` from any other database.
const APPLICATION_ID: i64 = 0x5449_4445;
/// Bytes the write-ahead log keeps after a checkpoint.
const WAL_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// How long opening waits for another process to finish.
const OPEN_WAIT_MS_MAX: u64 = 2_000;

/// The n-th takes schema n to schema n + 1. One that has been released is never edited: a change is a further
/// one.
const MIGRATIONS: &[&str] = &[
    "
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
",
    "
    ALTER TABLE note ADD COLUMN refused TEXT;
    ALTER TABLE note ADD COLUMN refused_ms INTEGER;
",
];

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
        file::prepare(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sql = |error| open_error(path, &error);
        let mut connection = Connection::open_with_flags(path, flags).map_err(sql)?;
        lock(&connection).map_err(sql)?;
        let schema = schema_of(&connection, path)?;
        configure(&connection).map_err(sql)?;
        migrate(&mut connection, schema).map_err(sql)?;
        file::check_permissions(path)?;
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

    /// One transaction, synced. Any error but a full disk poisons the store, since after a failed sync nobody
    /// knows what the disk holds.
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

/// Before the first access, so that the index of the log is kept in memory and no -shm file is made.
fn lock(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(OPEN_WAIT_MS_MAX))?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")
}

/// The schema found, 0 in an empty file. Only reads, so that a file that is not ours stays as it was.
fn schema_of(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let read = || Ok((number("SELECT count(*) FROM sqlite_schema")?, number("PRAGMA application_id")?));
    let (tables, application) = read().map_err(|error| open_error(path, &error))?;
    let version = number("PRAGMA user_version").map_err(|error| open_error(path, &error))?;
    if application != APPLICATION_ID && (tables, application, version) != (0, 0, 0) {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            what: "another program's database".to_owned(),
        });
    }
    let found = u32::try_from(version).unwrap_or(u32::MAX);
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(found)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    // Overwrites what is deleted, so that a removed login's hash does not stay in a free page.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// Takes the schema from `found` to the newest, whole or not at all.
fn migrate(connection: &mut Connection, found: u32) -> rusqlite::Result<()> {
    let due = MIGRATIONS.get(usize::try_from(found).unwrap_or(usize::MAX)..).unwrap_or_default();
    if due.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    due.iter().try_for_each(|batch| transaction.execute_batch(batch))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", signed_len(MIGRATIONS.len()))?;
    transaction.commit()
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
