//! Verbs on network ACLs, one file each.

mod create;
mod delete;
mod rename;
mod replace;

pub use create::Create;
pub use delete::Delete;
pub use rename::Rename;
pub use replace::Replace;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::{Acl, Action, Network, ObjectId};
use std::sync::Arc;

/// A question about an ACL.
fn question(name: &str, verb: &str) -> Question {
    Question { action: Action::NetworkPolicy, details: vec![("acl", name.to_owned()), ("verb", verb.to_owned())] }
}

/// The question about an ACL that may be gone.
fn question_of(state: &State, id: ObjectId, verb: &str) -> Question {
    question(&by_id(state, id).map(|acl| acl.name.to_string()).unwrap_or_default(), verb)
}

/// The ACL behind an id.
///
/// # Errors
/// `NoSuchAcl`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Acl>> {
    state.acls.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchAcl, "the ACL does not exist any more"))
}

/// Networks that carry `acl`.
pub fn users<'a>(state: &'a State, acl: &'a Acl) -> impl Iterator<Item = &'a Arc<Network>> {
    let carries = |network: &&Arc<Network>| network.acls().any(|name| name == acl.name.as_str());
    state.networks.values().filter(move |network| network.project == acl.project && carries(network))
}

/// Refuses when `acl` is carried by a network or named by the rules of another ACL.
fn unused(state: &State, acl: &Acl) -> Result<()> {
    let used = |by: String| Err(Error::new(Kind::InUse, format!("ACL {} is used by {by}", acl.name)));
    if let Some(network) = users(state, acl).next() {
        return used(format!("network {}", network.name));
    }
    let others = state.acls.values().filter(|other| other.id != acl.id && other.project == acl.project);
    match others.into_iter().find(|other| other.groups().any(|name| name == acl.name)) {
        Some(other) => used(format!("rules of ACL {}", other.name)),
        None => Ok(()),
    }
}

/// Checks the rules, and that the ACLs they name are there.
fn check(state: &State, acl: &Acl) -> Result<()> {
    acl.check().map_err(|e| e.context(format!("ACL {}", acl.name)))?;
    match acl.groups().find(|name| *name != acl.name && state.acl(&acl.project, name).is_none()) {
        Some(name) => Err(Error::new(
            Kind::NoSuchAcl,
            format!("ACL {}: a rule names {name}, which is neither an address nor an ACL", acl.name),
        )),
        None => Ok(()),
    }
}
