//! `org.lxhost1.Trash`, beside the Manager: what was deleted and is kept for a while.

use super::Bus;
use super::error::Failure;
use super::manager::project_of;
use super::options::{self, Options};
use super::rows::page;
use lxhost_dbus::wire::{TrashRow, Values};
use lxhost_engine::trash::{Delete, Restore};
use lxhost_engine::{Error, Kind, Result};
use lxhost_model::name::{PoolName, quoted};
use lxhost_model::{ObjectId, Trashed};
use zbus::message::Header;
use zbus::wire::OwnedObjectPath;

#[derive(Clone)]
pub(super) struct Trash {
    pub(super) bus: Bus,
}

fn row(trashed: &Trashed) -> TrashRow {
    TrashRow {
        id: trashed.id.to_string(),
        kind: trashed.what.kind().to_owned(),
        project: trashed.what.project().to_string(),
        pool: trashed.what.pool().to_string(),
        name: trashed.what.title(),
        deleted: trashed.deleted,
        expires: trashed.expires,
        snapshots: trashed.what.snapshots().len() as u32,
    }
}

fn key(row: &TrashRow) -> String {
    format!("{:020}/{}", row.deleted, row.id)
}

/// The id that a caller says.
fn id(text: &str) -> Result<ObjectId> {
    text.parse().map_err(|_| Error::new(Kind::NoSuchTrash, format!("nothing in the trash has the id {}", quoted(text))))
}

#[zbus::interface(name = "org.lxhost1.Trash")]
impl Trash {
    #[zbus(out_args("trash", "next"))]
    async fn list(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<TrashRow>, String), Failure> {
        let mut filter = Options::new(filter);
        let (pool, project) = (filter.parsed::<PoolName>("pool")?, filter.take::<String>("project")?);
        filter.done()?;
        let project = project.map(|name| project_of(&name)).transpose()?;
        let state = self.bus.engine.state();
        let takes = |one: &&std::sync::Arc<Trashed>| {
            pool.as_ref().is_none_or(|pool| pool == one.what.pool())
                && project.as_ref().is_none_or(|project| project == one.what.project())
        };
        let mut rows: Vec<TrashRow> = state.trash.values().filter(takes).map(|one| row(one)).collect();
        rows.sort_by_key(key);
        Ok(page(rows, key, cursor, limit))
    }

    #[zbus(out_args("job"))]
    async fn restore(
        &self,
        #[zbus(header)] header: Header<'_>,
        id: &str,
        name: &str,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        let name = (!name.is_empty()).then(|| name.to_owned());
        self.bus.submit(&header, Restore::new(self::id(id)?, name)).await
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, id: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Delete::new(self::id(id)?)).await
    }
}
