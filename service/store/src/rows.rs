//! Records as SQL: how each noun is written, removed and read back. The tables are those of
//! `migrations/`; keys beside the body are written from the record, never read.

use crate::StoreError;
use crate::migrate::newest_backup;
use lxhost_engine::ports::{Row, RowKey, State, Write};
use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes a record, new or changed.
///
/// # Errors
/// `Sql`; `Encode`.
pub(crate) fn put(db: &Connection, path: &Path, row: &Row) -> Result<(), StoreError> {
    let sql = |source| StoreError::Sql { what: "write to", path: path.to_owned(), source };
    let body =
        body(row).map_err(|source| StoreError::Encode { key: format!("{:?}", row.key()), path: path.to_owned(), source })?;
    let mut statement = db.prepare_cached(put_sql(row)).map_err(sql)?;
    let written = match row {
        Row::Instance(r) => {
            statement.execute(params![r.id.to_string(), r.project.as_str(), r.name.as_str(), r.status.as_str(), body])
        }
        Row::Snapshot(r) => statement.execute(params![r.id.to_string(), r.instance.id.to_string(), r.name.as_str(), body]),
        Row::Image(r) => statement.execute(params![r.id.to_string(), r.project.as_str(), r.fingerprint.as_str(), body]),
        Row::Network(r) => statement.execute(params![r.id.to_string(), r.project.as_str(), r.name.as_str(), body]),
        Row::Acl(r) => statement.execute(params![r.id.to_string(), r.project.as_str(), r.name.as_str(), body]),
        Row::Profile(r) => statement.execute(params![r.id.to_string(), r.project.as_str(), r.name.as_str(), body]),
        Row::Pool(r) => statement.execute(params![r.id.to_string(), r.name.as_str(), body]),
        Row::Volume(r) => {
            statement.execute(params![r.id.to_string(), r.pool.as_str(), r.project.as_str(), r.name.as_str(), body])
        }
        Row::VolumeSnapshot(r) => statement.execute(params![r.id.to_string(), r.volume.id.to_string(), r.name.as_str(), body]),
        Row::Trashed(r) => statement.execute(params![r.id.to_string(), body]),
        Row::Job(r) => statement.execute(params![r.id, r.verb, body]),
    };
    written.map(drop).map_err(sql)
}

/// Removes a record; one that is gone is fine.
///
/// # Errors
/// `Sql`.
pub(crate) fn remove(db: &Connection, path: &Path, key: RowKey) -> Result<(), StoreError> {
    let sql = |source| StoreError::Sql { what: "write to", path: path.to_owned(), source };
    let (text, id) = match key {
        RowKey::Instance(id) => ("DELETE FROM instance WHERE id = ?1", id.to_string()),
        RowKey::Snapshot(_, id) => ("DELETE FROM snapshot WHERE id = ?1", id.to_string()),
        RowKey::Image(id) => ("DELETE FROM image WHERE id = ?1", id.to_string()),
        RowKey::Network(id) => ("DELETE FROM network WHERE id = ?1", id.to_string()),
        RowKey::Acl(id) => ("DELETE FROM acl WHERE id = ?1", id.to_string()),
        RowKey::Profile(id) => ("DELETE FROM profile WHERE id = ?1", id.to_string()),
        RowKey::Pool(id) => ("DELETE FROM pool WHERE id = ?1", id.to_string()),
        RowKey::Volume(id) => ("DELETE FROM volume WHERE id = ?1", id.to_string()),
        RowKey::VolumeSnapshot(_, id) => ("DELETE FROM volume_snapshot WHERE id = ?1", id.to_string()),
        RowKey::Trashed(id) => ("DELETE FROM trash WHERE id = ?1", id.to_string()),
        RowKey::Job(id) => {
            let mut statement = db.prepare_cached("DELETE FROM job WHERE id = ?1").map_err(sql)?;
            return statement.execute([id]).map(drop).map_err(sql);
        }
    };
    db.prepare_cached(text).and_then(|mut s| s.execute([id])).map(drop).map_err(sql)
}

fn put_sql(row: &Row) -> &'static str {
    match row {
        Row::Instance(_) => {
            "INSERT INTO instance (id, project, name, status, body) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE \
             SET project = excluded.project, name = excluded.name, status = excluded.status, body = excluded.body"
        }
        Row::Snapshot(_) => {
            "INSERT INTO snapshot (id, instance, name, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE \
             SET instance = excluded.instance, name = excluded.name, body = excluded.body"
        }
        Row::Image(_) => {
            "INSERT INTO image (id, project, fingerprint, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE \
             SET project = excluded.project, fingerprint = excluded.fingerprint, body = excluded.body"
        }
        Row::Network(_) => {
            "INSERT INTO network (id, project, name, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE \
             SET project = excluded.project, name = excluded.name, body = excluded.body"
        }
        Row::Acl(_) => {
            "INSERT INTO acl (id, project, name, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE \
             SET project = excluded.project, name = excluded.name, body = excluded.body"
        }
        Row::Profile(_) => {
            "INSERT INTO profile (id, project, name, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE \
             SET project = excluded.project, name = excluded.name, body = excluded.body"
        }
        Row::Pool(_) => {
            "INSERT INTO pool (id, name, body) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE \
             SET name = excluded.name, body = excluded.body"
        }
        Row::Volume(_) => {
            "INSERT INTO volume (id, pool, project, name, body) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE \
             SET pool = excluded.pool, project = excluded.project, name = excluded.name, body = excluded.body"
        }
        Row::VolumeSnapshot(_) => {
            "INSERT INTO volume_snapshot (id, volume, name, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE \
             SET volume = excluded.volume, name = excluded.name, body = excluded.body"
        }
        Row::Trashed(_) => "INSERT INTO trash (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        Row::Job(_) => {
            "INSERT INTO job (id, verb, body) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE \
             SET verb = excluded.verb, body = excluded.body"
        }
    }
}

fn body(row: &Row) -> serde_json::Result<String> {
    match row {
        Row::Instance(r) => serde_json::to_string(r),
        Row::Snapshot(r) => serde_json::to_string(r),
        Row::Image(r) => serde_json::to_string(r),
        Row::Network(r) => serde_json::to_string(r),
        Row::Acl(r) => serde_json::to_string(r),
        Row::Profile(r) => serde_json::to_string(r),
        Row::Pool(r) => serde_json::to_string(r),
        Row::Volume(r) => serde_json::to_string(r),
        Row::VolumeSnapshot(r) => serde_json::to_string(r),
        Row::Trashed(r) => serde_json::to_string(r),
        Row::Job(r) => serde_json::to_string(r),
    }
}

/// Reads every record.
///
/// # Errors
/// `Damaged`, naming the record, when one cannot be read or two contradict each other; `Sql`.
pub(crate) fn load(db: &Connection, path: &Path) -> Result<State, StoreError> {
    let mut state = State::default();
    read(db, path, &mut state, "instance", Row::Instance)?;
    read(db, path, &mut state, "snapshot", Row::Snapshot)?;
    read(db, path, &mut state, "image", Row::Image)?;
    read(db, path, &mut state, "network", Row::Network)?;
    read(db, path, &mut state, "acl", Row::Acl)?;
    read(db, path, &mut state, "profile", Row::Profile)?;
    read(db, path, &mut state, "pool", Row::Pool)?;
    read(db, path, &mut state, "volume", Row::Volume)?;
    read(db, path, &mut state, "volume_snapshot", Row::VolumeSnapshot)?;
    read(db, path, &mut state, "trash", |trashed| Row::Trashed(Box::new(trashed)))?;
    read(db, path, &mut state, "job", Row::Job)?;
    Ok(state)
}

fn read<T: DeserializeOwned>(
    db: &Connection,
    path: &Path,
    state: &mut State,
    table: &str,
    row: fn(T) -> Row,
) -> Result<(), StoreError> {
    let sql = |source| StoreError::Sql { what: "read", path: path.to_owned(), source };
    let bad = |id: &str, why: String| StoreError::Damaged {
        path: path.to_owned(),
        detail: format!("{table} {id}: {why}"),
        backup: newest_backup(path),
    };
    let mut statement = db.prepare(&format!("SELECT CAST(id AS TEXT), body FROM {table}")).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    while let Some(found) = rows.next().map_err(sql)? {
        let (id, body): (String, String) = (found.get(0).map_err(sql)?, found.get(1).map_err(sql)?);
        let record = serde_json::from_str(&body).map_err(|e| bad(&id, e.to_string()))?;
        state.apply(Write::Insert(row(record))).map_err(|e| bad(&id, e.message))?;
    }
    Ok(())
}
