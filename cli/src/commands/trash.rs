//! `trash` and `undo`.

use crate::args::{Trash as Args, Undo};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use crate::values;
use lxhost_dbus::Options;
use lxhost_dbus::wire::TrashRow;
use lxhost_model::Kind;
use serde_json::json;

/// Digits of an id that people see.
const SHORT: usize = 12;
/// Fewest digits of an id that are taken for its start.
const LEAST: usize = 4;

/// Runs a verb of `trash`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { pool, format } => list(session, pool.pool.as_deref(), format.format).await,
        Args::Restore { what, name } => {
            let row = found(&pages::trash(session, None).await?, &what.what)?;
            restore(session, &row, name.as_deref()).await
        }
        Args::Delete { what } => {
            let rows = pages::trash(session, None).await?;
            let ids = what.iter().map(|word| Ok(found(&rows, word)?.id)).collect::<Result<Vec<_>, Failure>>()?;
            delete(session, &ids).await
        }
        Args::Empty { pool } => {
            if let Some(pool) = &pool.pool {
                session.pool(pool).await?;
            }
            let rows = pages::trash(session, pool.pool.as_deref()).await?;
            // Snapshots go with what they are snapshots of; before that they are there by themselves.
            let (first, last): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.kind.ends_with("snapshot"));
            for rows in [first, last] {
                delete(session, &rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>()).await?;
            }
            Ok(())
        }
    }
}

/// Brings back what was deleted last.
pub(crate) async fn undo(session: &Session, args: &Undo) -> Result<(), Failure> {
    let rows = pages::trash(session, None).await?;
    let Some(last) = rows.iter().max_by_key(|row| row.deleted) else {
        let none = lxhost_model::Error::new(Kind::NoSuchTrash, "the trash is empty");
        return Err(Failure::from(none).hint("lxctl storage set POOL trash.expiry=7d keeps what is deleted from then on"));
    };
    restore(session, last, args.name.as_deref()).await
}

/// What a word means: a name, or the start of an id.
fn found(rows: &[TrashRow], word: &str) -> Result<TrashRow, Failure> {
    let named: Vec<&TrashRow> = rows.iter().filter(|row| row.name == word).collect();
    let is_start = word.len() >= LEAST && word.chars().all(|c| c.is_ascii_hexdigit());
    let meant: Vec<&TrashRow> = match named.is_empty() && is_start {
        true => rows.iter().filter(|row| row.id.starts_with(&word.to_ascii_lowercase())).collect(),
        false => named,
    };
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let what = format!("nothing in the trash is called {}", render::printable(word));
            Err(Failure::from(lxhost_model::Error::new(Kind::NoSuchTrash, what)).hint("lxctl trash list shows what there is"))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|row| short(row)).collect();
            let what = format!("several things in the trash are called {}: {}", render::printable(word), ids.join(", "));
            Err(Failure::usage(what).hint("lxctl trash list shows them; say the start of an id"))
        }
    }
}

fn short(row: &TrashRow) -> &str {
    row.id.get(..SHORT).unwrap_or(&row.id)
}

async fn restore(session: &Session, row: &TrashRow, name: Option<&str>) -> Result<(), Failure> {
    let (trash, none) = (session.trash().await?, Options::new());
    let again = |failure: Failure| match failure.kind {
        Some(Kind::AlreadyExists) if failure.hint.is_none() => {
            failure.hint(format!("lxctl trash restore {} NEW gives it another name", short(row)))
        }
        _ => failure,
    };
    let job = session.allowed(|| trash.restore(&row.id, name.unwrap_or_default(), &none)).await.map_err(again)?;
    let end = progress::wait(session, &job, &format!("Bringing {} back", row.name), OnInterrupt::Leave).await;
    end.map_err(again)?;
    let new = match (name, row.name.split_once('/')) {
        (Some(name), Some((of, _))) => format!("{of}/{name}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => row.name.clone(),
    };
    session.name_or(&new, format!("Brought back: {} {new}", row.kind.replace('-', " ")))
}

async fn delete(session: &Session, ids: &[String]) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    let trash = session.trash().await?;
    super::power::each(session, ids, "Removing", async |id| {
        let none = Options::new();
        session.allowed(|| trash.delete(id, &none)).await
    })
    .await
}

async fn list(session: &Session, pool: Option<&str>, format: Format) -> Result<(), Failure> {
    if let Some(pool) = pool {
        session.pool(pool).await?;
    }
    let rows = pages::trash(session, pool).await?;
    let mut table = Table::new(["NAME", "KIND", "POOL", "SNAPSHOTS", "DELETED AT", "GONE AT", "ID"]);
    for row in &rows {
        let (deleted, expires) = (render::date(row.deleted), render::date(row.expires));
        let (name, kind, pool) = (row.name.clone(), row.kind.clone(), row.pool.clone());
        table.push([name, kind, pool, row.snapshots.to_string(), deleted, expires, short(row).to_owned()]);
    }
    let data: Vec<_> = rows.iter().map(json_of).collect();
    render::show(format, session.quiet, &table, &data)
}

fn json_of(row: &TrashRow) -> serde_json::Value {
    json!({
        "id": row.id, "name": row.name, "type": row.kind, "project": row.project, "pool": row.pool,
        "snapshots": row.snapshots, "deleted_at": values::time(row.deleted), "expires_at": values::time(row.expires),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, id: &str) -> TrashRow {
        let text = str::to_owned;
        TrashRow {
            id: text(id),
            kind: text("instance"),
            project: text("default"),
            pool: text("default"),
            name: text(name),
            deleted: 0,
            expires: 0,
            snapshots: 0,
        }
    }

    #[test]
    fn a_word_is_a_name_or_the_start_of_one_id() {
        let rows = [row("c1", "3f2a0001"), row("c1", "3f2b0002"), row("c2", "91bc0003"), row("3f2a", "77770004")];
        let id = |word: &str| found(&rows, word).map(|row| row.id).map_err(|failure| failure.message);
        assert_eq!(id("c2").unwrap(), "91bc0003");
        assert_eq!(id("3f2b").unwrap(), "3f2b0002");
        assert_eq!(id("3F2B").unwrap(), "3f2b0002", "digits are digits");
        assert_eq!(id("3f2a").unwrap(), "77770004", "a name comes first");
        assert!(id("c1").unwrap_err().contains("3f2a0001, 3f2b0002"));
        for word in ["c3", "3f2", "", "3f2azz"] {
            assert!(id(word).unwrap_err().contains("nothing in the trash"), "{word}");
        }
    }
}
