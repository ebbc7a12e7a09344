//! Verbs on the forwards and load balancers of a network, one file each: they change its record and have it brought
//! up as it is then. What differs between the two is [`Listener`].

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
use lxhost_model::{Action, Forward, LoadBalancer, Network, ObjectId};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Something of a network that listens on an address of the host.
pub trait Listener: Clone + Send + Sync + 'static {
    /// What people call it.
    const NOUN: &'static str;
    /// Names of the verbs that make, change and delete it.
    const VERBS: [&'static str; 3];
    /// Kind of error when there is none.
    const UNKNOWN: Kind;

    /// Free text.
    fn description(&self) -> &str;

    /// Those of a network, by the address.
    fn of(network: &Network) -> &BTreeMap<IpAddr, Self>;

    /// The same, to be changed.
    fn of_mut(network: &mut Network) -> &mut BTreeMap<IpAddr, Self>;
}

impl Listener for Forward {
    const NOUN: &'static str = "forward";
    const VERBS: [&'static str; 3] = ["network.create-forward", "network.replace-forward", "network.delete-forward"];
    const UNKNOWN: Kind = Kind::NoSuchForward;

    fn description(&self) -> &str {
        &self.description
    }

    fn of(network: &Network) -> &BTreeMap<IpAddr, Self> {
        &network.forwards
    }

    fn of_mut(network: &mut Network) -> &mut BTreeMap<IpAddr, Self> {
        &mut network.forwards
    }
}

impl Listener for LoadBalancer {
    const NOUN: &'static str = "load balancer";
    const VERBS: [&'static str; 3] =
        ["network.create-load-balancer", "network.replace-load-balancer", "network.delete-load-balancer"];
    const UNKNOWN: Kind = Kind::NoSuchLoadBalancer;

    fn description(&self) -> &str {
        &self.description
    }

    fn of(network: &Network) -> &BTreeMap<IpAddr, Self> {
        &network.load_balancers
    }

    fn of_mut(network: &mut Network) -> &mut BTreeMap<IpAddr, Self> {
        &mut network.load_balancers
    }
}

/// The question about a listener of a network that may be gone.
fn question(state: &State, id: ObjectId, verb: &str) -> Question {
    let network = state.networks.get(&id).map(|network| network.name.to_string()).unwrap_or_default();
    Question { action: Action::NetworkPolicy, details: vec![("network", network), ("verb", verb.to_owned())] }
}

/// Refuses when nothing of `network` listens on `listen`.
fn known<L: Listener>(network: &Network, listen: IpAddr) -> Result<()> {
    match L::of(network).contains_key(&listen) {
        true => Ok(()),
        false => Err(Error::new(L::UNKNOWN, format!("network {} has no {} of {listen}", network.name, L::NOUN))),
    }
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

/// Checks the listeners of `network`, and that no other network is in their way or they in its.
///
/// # Errors
/// `InvalidConfig` and `Unsupported`, naming the listener; `Conflict`, naming the other network.
pub(super) fn check(state: &State, network: &Network) -> Result<()> {
    network.check_listeners()?;
    let conflict = |(listen, noun): (IpAddr, &str), whose: &Network, why: String| {
        Err(Error::new(Kind::Conflict, format!("{noun} {listen} of network {}: {why}", whose.name)))
    };
    for other in state.networks.values().filter(|other| other.id != network.id) {
        for (one, two) in [(network, other.as_ref()), (other.as_ref(), network)] {
            let within = |(listen, _): &(IpAddr, &str)| two.subnets().any(|net| net.contains(listen));
            if let Some(listener) = one.listeners().find(within) {
                return conflict(listener, one, format!("it would listen within network {}", two.name));
            }
        }
        let theirs = |listen: IpAddr| other.listeners().find(|(address, _)| *address == listen);
        let clash = network.listeners().find_map(|listener| theirs(listener.0).map(|(_, noun)| (listener, noun)));
        if let Some((listener, noun)) = clash {
            return conflict(listener, network, format!("network {} has a {noun} of that address already", other.name));
        }
    }
    Ok(())
}
