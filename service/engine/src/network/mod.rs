//! Verbs on networks, one file each.

mod create;
mod delete;
mod replace;
mod up;

pub use create::Create;
pub use delete::Delete;
pub use replace::Replace;
pub(crate) use up::Up;

use crate::verb::Question;
use lxhost_model::Action;

/// A question about a network.
fn question(name: &str, verb: &str) -> Question {
    Question { action: Action::NetworkManage, details: vec![("network", name.to_owned()), ("verb", verb.to_owned())] }
}
