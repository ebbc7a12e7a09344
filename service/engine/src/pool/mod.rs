//! Verbs on pools, one file each.

mod adopt;
mod create;
mod delete;
mod replace;

pub(crate) use adopt::Adopt;
pub use create::Create;
pub use delete::Delete;
pub use replace::Replace;

use crate::ports::{State, Usage};
use crate::verb::Question;
use crate::{Error, Kind, Ports, Result};
use lxhost_model::{Action, ObjectId, Pool};
use std::sync::Arc;

/// A question about a pool.
fn question(name: &str, verb: &str) -> Question {
    Question { action: Action::StorageManagePools, details: vec![("pool", name.to_owned()), ("verb", verb.to_owned())] }
}

/// The pool behind an id.
///
/// # Errors
/// `NoSuchPool`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Pool>> {
    state.pools.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchPool, "the pool does not exist any more"))
}

/// Bytes of the file system under a pool.
///
/// # Errors
/// `NoSuchPool`; `Failed`, as when its file system cannot be mounted.
pub async fn usage(state: &State, ports: &Ports, id: ObjectId) -> Result<Usage> {
    let pool = by_id(state, id)?;
    crate::step::ready(ports, &pool).await?;
    ports.pools.driver(&pool.driver)?.usage(&pool).await
}
