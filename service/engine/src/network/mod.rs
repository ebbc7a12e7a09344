//! Verbs on networks, one file each.

mod create;
mod delete;
pub mod listener;
mod rename;
mod replace;
mod up;

pub use create::Create;
pub use delete::Delete;
pub use rename::Rename;
pub use replace::Replace;
pub(crate) use up::Up;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::device::Devices;
use lxhost_model::{Action, Network, ObjectId};
use std::sync::Arc;

/// The host's rules are one table of all networks and ACLs.
pub(crate) const FIREWALL: &str = "firewall";

/// A question about a network.
fn question(name: &str, verb: &str) -> Question {
    Question { action: Action::NetworkManage, details: vec![("network", name.to_owned()), ("verb", verb.to_owned())] }
}

/// The network behind an id.
///
/// # Errors
/// `NoSuchNetwork`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Network>> {
    state.networks.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchNetwork, "the network does not exist any more"))
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
