//! Tables of the database and their history. `PRAGMA user_version` counts the migrations that have
//! been applied; each runs in a transaction of its own, after a copy of the whole database was made.

use crate::StoreError;
use crate::lock::beside;
use rusqlite::Connection;
use std::fs::File;
use std::path::{Path, PathBuf};

/// `lxh1` as a number, in the header of every database of ours.
pub(crate) const APPLICATION_ID: u32 = 0x6c78_6831;

/// Every migration, in order; the first makes version 1. Never edit one that was released.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_nouns.sql"),
    include_str!("../migrations/0002_acl.sql"),
    include_str!("../migrations/0003_snapshot.sql"),
    include_str!("../migrations/0004_volume.sql"),
    include_str!("../migrations/0005_volume_snapshot.sql"),
    include_str!("../migrations/0006_trash.sql"),
];

/// Brings the database at `path` to the newest version of `migrations`. Before an existing one
/// (version > 0) is changed, it is copied to `<path>.v<version>`. Returns the copy's path, if one
/// was made.
///
/// # Errors
/// `Sql` with nothing of the failed migration applied; `Io` when the copy cannot be kept.
pub(crate) fn migrate(db: &mut Connection, path: &Path, migrations: &[&str]) -> Result<Option<PathBuf>, StoreError> {
    let sql = |what| move |source| StoreError::Sql { what, path: path.to_owned(), source };
    let version: u32 = db.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(sql("read"))?;
    if version as usize >= migrations.len() {
        return Ok(None);
    }
    let backup = if version > 0 { Some(back_up(db, path, version)?) } else { None };
    for (done, migration) in (version..).zip(&migrations[version as usize..]) {
        let transaction = db.transaction().map_err(sql("migrate"))?;
        transaction.execute_batch(migration).map_err(sql("migrate"))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql("migrate"))?;
        transaction.pragma_update(None, "user_version", done + 1).map_err(sql("migrate"))?;
        transaction.commit().map_err(sql("migrate"))?;
    }
    Ok(backup)
}

/// Copies the database, with what is still in its log, to `<path>.v<version>`; durable on return.
fn back_up(db: &Connection, path: &Path, version: u32) -> Result<PathBuf, StoreError> {
    let target = beside(path, &format!(".v{version}"));
    let partial = beside(&target, ".partial");
    let io = |what, at: &Path, source| StoreError::Io { what, path: at.to_owned(), source };
    match std::fs::remove_file(&partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &partial, e)),
        _ => {}
    }
    let name = partial.to_string_lossy();
    db.execute("VACUUM INTO ?1", [name.as_ref()]).map_err(|source| StoreError::Sql {
        what: "copy",
        path: path.to_owned(),
        source,
    })?;
    File::open(&partial).and_then(|f| f.sync_all()).map_err(|e| io("sync", &partial, e))?;
    std::fs::rename(&partial, &target).map_err(|e| io("rename", &partial, e))?;
    sync_directory(path)?;
    Ok(target)
}

/// Makes renames beside `path` durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|d| d.sync_all()).map_err(|source| StoreError::Io {
        what: "sync",
        path: directory.to_owned(),
        source,
    })
}

/// The newest copy that an upgrade left beside `path`.
pub(crate) fn newest_backup(path: &Path) -> Option<PathBuf> {
    (1..=MIGRATIONS.len() as u32 + 100).rev().map(|v| beside(path, &format!(".v{v}"))).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[&str] = &[MIGRATIONS[0]];
    const NEXT: &[&str] = &[MIGRATIONS[0], "CREATE TABLE snapshot (id TEXT PRIMARY KEY) STRICT;"];

    fn version(db: &Connection) -> u32 {
        db.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap()
    }

    #[test]
    fn an_older_database_is_copied_and_then_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut db = Connection::open(&path).unwrap();
        assert_eq!(migrate(&mut db, &path, FIRST).unwrap(), None);
        db.execute("INSERT INTO job VALUES (7, 'instance.start', '{}')", []).unwrap();

        let copy = migrate(&mut db, &path, NEXT).unwrap().unwrap();

        assert_eq!(version(&db), 2);
        let copy = Connection::open(copy).unwrap();
        assert_eq!(version(&copy), 1);
        assert_eq!(copy.query_row("SELECT verb FROM job", [], |r| r.get::<_, String>(0)).unwrap(), "instance.start");
        assert_eq!(newest_backup(&path), Some(dir.path().join("state.db.v1")));
        assert_eq!(migrate(&mut db, &path, NEXT).unwrap(), None, "a second time there is nothing to do");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut db = Connection::open(&path).unwrap();
        let bad = [MIGRATIONS[0], "CREATE TABLE half (id TEXT) STRICT; CREATE TABLE job (id TEXT);"];
        assert!(migrate(&mut db, &path, &bad).is_err());
        assert_eq!(version(&db), 1);
        let half: i64 = db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |r| r.get(0)).unwrap();
        assert_eq!(half, 0);
    }
}
