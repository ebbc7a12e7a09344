//! The part of `org.lxhost1.Network` that is about forwards and load balancers: rows and verbs. Called by the
//! interface.

use super::Bus;
use super::error::Failure;
use super::network::tried;
use super::options::{self, Options};
use lxhost_dbus::wire::{ForwardRow, LoadBalancerRow, Values};
use lxhost_engine::network::listener::{Create, Delete, Listener, Replace};
use lxhost_engine::{Question, Result};
use lxhost_model::forward::listen_address;
use lxhost_model::{Action, Forward, LoadBalancer, Network, ObjectId};
use std::net::IpAddr;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::OwnedObjectPath;

/// The row of a forward.
pub(super) fn forward((listen, forward): (&IpAddr, &Forward)) -> ForwardRow {
    let Forward { description, config, ports } = forward.clone();
    ForwardRow { listen: listen.to_string(), description, config, ports }
}

/// The row of a load balancer.
pub(super) fn load_balancer((listen, balancer): (&IpAddr, &LoadBalancer)) -> LoadBalancerRow {
    let LoadBalancer { description, config, backends, ports } = balancer.clone();
    LoadBalancerRow { listen: listen.to_string(), description, config, backends, ports }
}

pub(super) async fn list<L: Listener, R>(
    bus: &Bus,
    header: &Header<'_>,
    network: Arc<Network>,
    options: Values,
    row: fn((&IpAddr, &L)) -> R,
) -> Result<(Vec<R>, u64), Failure> {
    options::none(options)?;
    let caller = bus.caller(header).await?;
    let verb = format!("network.list-{}s", L::NOUN.replace(' ', "-"));
    let details = vec![("network", network.name.to_string()), ("verb", verb)];
    bus.engine.allow(&caller, Question { action: Action::Info, details }).await?;
    Ok((L::of(&network).iter().map(row).collect(), network.generation))
}

pub(super) async fn create<L: Listener>(
    bus: &Bus,
    header: &Header<'_>,
    id: ObjectId,
    listen: &str,
    options: Values,
    listener: impl FnOnce(String) -> L,
) -> Result<OwnedObjectPath, Failure> {
    let mut options = Options::new(options);
    let listener = listener(options.text("description")?);
    let trial = options.trial()?;
    options.done()?;
    tried(bus, header, Create { id, listen: listen_address(listen)?, listener }, trial).await
}

pub(super) async fn replace<L: Listener>(
    bus: &Bus,
    header: &Header<'_>,
    (network, expected): (Arc<Network>, u64),
    listen: &str,
    options: Values,
    listener: impl FnOnce(String) -> L,
) -> Result<OwnedObjectPath, Failure> {
    let mut options = Options::new(options);
    let description: Option<String> = options.take("description")?;
    let trial = options.trial()?;
    options.done()?;
    let listen = listen_address(listen)?;
    // One that changes meanwhile is refused by its generation.
    let before = || L::of(&network).get(&listen).map(|before| before.description().to_owned()).unwrap_or_default();
    let listener = listener(description.unwrap_or_else(before));
    tried(bus, header, Replace { id: network.id, listen, listener, expected: Some(expected) }, trial).await
}

pub(super) async fn delete<L: Listener>(
    bus: &Bus,
    header: &Header<'_>,
    id: ObjectId,
    listen: &str,
    options: Values,
) -> Result<OwnedObjectPath, Failure> {
    let mut options = Options::new(options);
    let trial = options.trial()?;
    options.done()?;
    tried(bus, header, Delete::<L>::new(id, listen_address(listen)?), trial).await
}
