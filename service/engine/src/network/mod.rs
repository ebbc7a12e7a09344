//! Verbs on networks, one file each.

mod confirm;
mod create;
mod delete;
pub(crate) mod due;
pub mod listener;
mod rename;
mod replace;
mod roll_back;
mod tried;
mod up;

pub use confirm::Confirm;
pub use create::Create;
pub use delete::Delete;
pub use rename::Rename;
pub use replace::Replace;
pub use roll_back::RollBack;
pub use tried::Tried;
pub(crate) use up::Up;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::config::{Config, nearest};
use lxhost_model::device::Devices;
use lxhost_model::name::{NetworkName, ProjectName, quoted};
use lxhost_model::{Action, Checkpoint, Network, ObjectId};
use std::sync::Arc;

/// The host's rules are one table of all networks and ACLs.
pub(crate) const FIREWALL: &str = "firewall";

/// A question about a network.
fn question(name: &str, verb: &str) -> Question {
    Question { action: Action::NetworkManage, details: vec![("network", name.to_owned()), ("verb", verb.to_owned())] }
}

/// Questions of whoever writes the keys of a network: what takes an interface of the host is asked about by name.
fn guard(name: &str, config: &Config, verb: &str) -> Vec<Question> {
    let mut asked = vec![question(name, verb)];
    if Network::reaches_links(config) {
        asked.push(Question { action: Action::NetworkAttachPhysical, ..question(name, verb) });
    }
    asked
}

/// A question about the network behind an id, whose name is empty when it is gone.
fn question_about(state: &State, id: ObjectId, verb: &str) -> Question {
    let name = by_id(state, id).map(|network| network.name.to_string()).unwrap_or_default();
    question(&name, verb)
}

/// The network behind an id.
///
/// # Errors
/// `NoSuchNetwork`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Network>> {
    state.networks.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchNetwork, "the network does not exist any more"))
}

/// What is said of a network that is not there, with the name that may be meant.
pub fn missing(state: &State, project: &ProjectName, name: &str) -> Error {
    let names = state.networks.values().filter(|network| network.project == *project).map(|network| network.name.as_str());
    let near = nearest(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Error::new(Kind::NoSuchNetwork, format!("network {} does not exist{near}", quoted(name)))
}

/// The network behind an id, which may be changed.
///
/// # Errors
/// `NoSuchNetwork`; `InvalidState` while another change waits to be confirmed: to undo one is to undo what was built on
/// it, too.
fn changeable(state: &State, id: ObjectId) -> Result<Arc<Network>> {
    let network = by_id(state, id)?;
    match network.checkpoint {
        None => Ok(network),
        Some(_) => Err(waiting(&network)),
    }
}

/// What is said of a network with a change that waits to be confirmed.
pub(crate) fn waiting(network: &Network) -> Error {
    let name = &network.name;
    let what = format!(
        "network {name} has a change that waits to be confirmed: lxctl network confirm {name} keeps it, \
         lxctl network rollback {name} undoes it"
    );
    Error::new(Kind::InvalidState, what)
}

/// The change of a network that waits to be confirmed.
///
/// # Errors
/// `InvalidState` when none does.
fn checkpoint(network: &Network) -> Result<&Checkpoint> {
    let none = || Error::new(Kind::InvalidState, format!("network {} has no change that waits to be confirmed", network.name));
    network.checkpoint.as_deref().ok_or_else(none)
}

/// Refuses a name that a network has, or gets back should a change of it be undone.
///
/// # Errors
/// `AlreadyExists`.
fn free(state: &State, project: &ProjectName, name: &NetworkName) -> Result<()> {
    let has = |network: &Network| network.project == *project && network.name == *name;
    match state.networks.values().any(|network| has(network) || network.before().is_some_and(has)) {
        true => Err(Error::new(Kind::AlreadyExists, format!("network {name} exists already"))),
        false => Ok(()),
    }
}

/// Who has an interface in a network: `instance c1`, `profile default`.
pub fn users(state: &State, network: &Network) -> Vec<String> {
    let uses = |devices: &Devices| devices.values().any(|device| device.get("network") == Some(network.name.as_str()));
    let instances = state.instances.values().filter(|i| i.project == network.project && uses(&i.devices));
    let profiles = state.profiles.values().filter(|p| p.project == network.project && uses(&p.devices));
    let mut users: Vec<String> = instances.map(|instance| format!("instance {}", instance.name)).collect();
    users.extend(profiles.map(|profile| format!("profile {}", profile.name)));
    users.sort();
    users
}

/// Checks that nobody has an interface in a network.
///
/// # Errors
/// `InUse`, with the users' names.
fn unused(state: &State, network: &Network) -> Result<()> {
    const SHOWN: usize = 10;
    let users = users(state, network);
    if users.is_empty() {
        return Ok(());
    }
    let more = users.len().saturating_sub(SHOWN);
    let named = users[..users.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Error::new(Kind::InUse, format!("network {} is used by {named}{more}", network.name)))
}
