//! Opening the database: is it there, is it ours, does it hold together, is it of a version we
//! know. Whatever is refused is left as it was. A new one is made under another name and renamed
//! when complete, so that an empty or half-made `state.db` is always damage and never a beginning.

use crate::StoreError;
use crate::lock::beside;
use crate::migrate::{APPLICATION_ID, MIGRATIONS, migrate, newest_backup, sync_directory};
use crate::reserve;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens the database at `path`, which the caller has locked; makes it when there is none.
///
/// # Errors
/// `Newer`, `Foreign`, `Damaged` (the file is untouched); `Io`; `Sql`.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let exists = match std::fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(e) if e.kind() == ErrorKind::NotFound => false,
        Err(source) => return Err(StoreError::Io { what: "look at", path: path.to_owned(), source }),
    };
    if exists {
        check_header(path)?;
    } else {
        create(path)?;
    }
    let mut db = connect(path)?;
    check_contents(&db, path)?;
    configure(&db, path)?;
    reserve::keep(path);
    if let Some(copy) = migrate(&mut db, path, MIGRATIONS)? {
        tracing::info!(path = %path.display(), copy = %copy.display(), "migrated the database");
    }
    Ok(db)
}

fn damaged(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), detail: detail.into(), backup: newest_backup(path) }
}

/// Makes a complete, empty database and puts it at `path`.
fn create(path: &Path) -> Result<(), StoreError> {
    if std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        // SQLite would replay that log onto the new file.
        return Err(damaged(path, "it is gone, but its log is there"));
    }
    let fresh = beside(path, ".new");
    let io = |what, source| StoreError::Io { what, path: fresh.clone(), source };
    for leftover in [fresh.clone(), beside(&fresh, "-wal"), beside(&fresh, "-shm"), beside(&fresh, "-journal")] {
        match std::fs::remove_file(&leftover) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("remove", e)),
            _ => {}
        }
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(|e| io("make", e))?;
    let mut db = connect(&fresh)?;
    migrate(&mut db, &fresh, MIGRATIONS)?;
    db.close().map_err(|(_, source)| StoreError::Sql { what: "close", path: fresh.clone(), source })?;
    file.sync_all().map_err(|e| io("sync", e))?;
    std::fs::rename(&fresh, path).map_err(|e| io("rename", e))?;
    sync_directory(path)
}

/// Reads the first hundred bytes, as the file format's description gives them, without SQLite,
/// which might write: magic at 0, user version at 60, application id at 68.
fn check_header(path: &Path) -> Result<(), StoreError> {
    let io = |what, source| StoreError::Io { what, path: path.to_owned(), source };
    let mut header = [0; 100];
    let mut file = std::fs::File::open(path).map_err(|e| io("open", e))?;
    match file.read_exact(&mut header) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Err(damaged(path, "it is too short to be a database")),
        other => other.map_err(|e| io("read", e))?,
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged(path, "it is no SQLite database"));
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    check_identity(path, word(68), word(60))
}

fn check_identity(path: &Path, application: u32, version: u32) -> Result<(), StoreError> {
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned(), found: application });
    }
    let known = MIGRATIONS.len() as u32;
    if version > known {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known, backup: newest_backup(path) });
    }
    Ok(())
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let sql = |source| StoreError::Sql { what: "open", path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(path, flags).map_err(sql)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(sql)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(sql)?;
    // A database that turns out not to be ours must not be changed by closing it, and the log of ours keeps its room.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql)?;
    // Said before the log is first read, this keeps its index in memory: a file of shared memory takes room when opened.
    db.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(())).map_err(sql)?;
    Ok(db)
}

/// Checks what the log may have changed since the header was written, and every page.
fn check_contents(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => damaged(path, source.to_string()),
        _ => StoreError::Sql { what: "read", path: path.to_owned(), source },
    };
    let application: u32 = db.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(read)?;
    let version: u32 = db.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(read)?;
    check_identity(path, application, version)?;
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(read)?;
    if verdict != "ok" {
        return Err(damaged(path, verdict.replace('\n', "; ")));
    }
    Ok(())
}

/// WAL with a sync per commit: what was acknowledged survives a power cut. The page cache is
/// small, because nothing is read after the start.
fn configure(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let sql = |source| StoreError::Sql { what: "configure", path: path.to_owned(), source };
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |r| r.get(0)).map_err(sql)?;
    if mode != "wal" {
        tracing::warn!(path = %path.display(), mode, "the file system cannot keep a write-ahead log");
    }
    db.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    db.pragma_update(None, "foreign_keys", true).map_err(sql)?;
    db.pragma_update(None, "cache_size", -512).map_err(sql)?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(())
}
