//! Verbs on the forwards of a network, one file each: they change its record and have it brought up as it is then.

mod create;
mod delete;
mod replace;

pub use create::Create;
pub use delete::Delete;
pub use replace::Replace;

use crate::ports::{Row, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery};
use crate::{Error, Kind, Result};
use lxhost_model::{Action, Forward, Network, ObjectId};
use std::net::IpAddr;

/// The question about a forward of a network that may be gone.
fn question(state: &State, id: ObjectId, verb: &str) -> Question {
    let network = state.networks.get(&id).map(|network| network.name.to_string()).unwrap_or_default();
    Question { action: Action::NetworkPolicy, details: vec![("network", network), ("verb", verb.to_owned())] }
}

/// The forward of `network` that listens on `listen`.
fn known(network: &Network, listen: IpAddr) -> Result<&Forward> {
    let what = || Error::new(Kind::NoSuchForward, format!("network {} has no forward of {listen}", network.name));
    network.forwards.get(&listen).ok_or_else(what)
}

/// What makes the host and the record be as `network` is.
fn plan(network: Network) -> Plan {
    Plan {
        writes: vec![],
        steps: vec![Step::NetworkUp(network.clone())],
        finish: vec![Write::Update(Row::Network(network))],
        failed: vec![],
        recovery: Recovery::Undo,
    }
}

/// Checks the forwards of `network`, and that no other network is in their way or they in its.
///
/// # Errors
/// `InvalidConfig`, naming the forward; `Conflict`, naming the other network.
pub(super) fn check(state: &State, network: &Network) -> Result<()> {
    network.check_forwards()?;
    let conflict = |listen: &IpAddr, whose: &Network, why: String| {
        Err(Error::new(Kind::Conflict, format!("forward {listen} of network {}: {why}", whose.name)))
    };
    for other in state.networks.values().filter(|other| other.id != network.id) {
        for (one, two) in [(network, other.as_ref()), (other.as_ref(), network)] {
            let within = |listen: &&IpAddr| two.subnets().any(|net| net.contains(*listen));
            if let Some(listen) = one.forwards.keys().find(within) {
                return conflict(listen, one, format!("it would listen within network {}", two.name));
            }
        }
        if let Some(listen) = network.forwards.keys().find(|listen| other.forwards.contains_key(listen)) {
            return conflict(listen, network, format!("network {} has a forward of that address already", other.name));
        }
    }
    Ok(())
}
