//! Why the database could not be opened or written, with the file and a way out in the message.

use lxhost_model::{Error, Kind};
use rusqlite::ErrorCode;
use std::path::PathBuf;

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has it open.
    #[error("{} is in use by {}; only one lxhostd may use a state directory", path.display(), holder(*pid))]
    InUse {
        /// The database.
        path: PathBuf,
        /// Process that holds the lock, if it left its number.
        pid: Option<u32>,
    },
    /// A later version of lxhost has changed its tables.
    #[error(
        "{} was written by a newer lxhost (schema {found}; this one knows {known}) and was left untouched: \
         install that version again{}", path.display(), or_backup(backup.as_ref())
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Version found.
        found: u32,
        /// Newest version this program knows.
        known: u32,
        /// A copy from before an upgrade.
        backup: Option<PathBuf>,
    },
    /// The file is a database of another program.
    #[error(
        "{} is not a database of lxhost (application id {found:#x}) and was left untouched: \
         move it away, or name another state directory", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Application id found.
        found: u32,
    },
    /// It does not hold together.
    #[error(
        "{} is damaged ({detail}) and was left untouched: move it, with the files {0}-wal and {0}-shm beside it, \
         to another directory{1}; without a database lxhostd starts empty and leaves all disks alone",
        path.display(), or_backup(backup.as_ref())
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
        /// A copy from before an upgrade.
        backup: Option<PathBuf>,
    },
    /// A system call failed.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `lock`.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{what} {}: {source}", path.display())]
    Sql {
        /// What was tried, such as `write to`.
        what: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A record could not be turned into JSON.
    #[error("write {key} to {}: {source}", path.display())]
    Encode {
        /// The record.
        key: String,
        /// The database.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The disk failed to sync earlier; what is on it is not known any more.
    #[error("{} could not be synced to disk earlier; nothing more is written until lxhostd is restarted", path.display())]
    Broken {
        /// The database.
        path: PathBuf,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("pid {pid}"))
}

fn or_backup(backup: Option<&PathBuf>) -> String {
    backup.map(|path| format!(", or put the copy {} in its place", path.display())).unwrap_or_default()
}

impl StoreError {
    /// The kind the API reports.
    pub fn kind(&self) -> Kind {
        match self {
            StoreError::InUse { .. } => Kind::InUse,
            StoreError::Io { source, .. } => Error::io("", source).kind,
            StoreError::Sql { source, .. } => match source.sqlite_error() {
                Some(e) if e.code == ErrorCode::DiskFull => Kind::NoSpace,
                Some(e) if e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE => Kind::AlreadyExists,
                _ => Kind::Failed,
            },
            _ => Kind::Failed,
        }
    }

    /// Whether a sync failed: the kernel may have dropped the pages, so nothing after it can be trusted.
    pub(crate) fn is_lost_sync(&self) -> bool {
        use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
        let StoreError::Sql { source, .. } = self else { return false };
        source.sqlite_error().is_some_and(|e| [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].contains(&e.extended_code))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::new(error.kind(), error.to_string())
    }
}
