//! Verbs on pools, one file each.

mod adopt;
mod create;
mod delete;
mod replace;

pub(crate) use adopt::Adopt;
pub use create::Create;
pub use delete::Delete;
pub use replace::Replace;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
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
