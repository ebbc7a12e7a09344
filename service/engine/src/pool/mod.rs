//! Verbs on pools, one file each.

mod create;
mod delete;
mod replace;

pub use create::Create;
pub use delete::Delete;
pub use replace::Replace;

use crate::verb::Question;
use lxhost_model::Action;

/// A question about a pool.
fn question(name: &str, verb: &str) -> Question {
    Question { action: Action::StorageManagePools, details: vec![("pool", name.to_owned()), ("verb", verb.to_owned())] }
}
