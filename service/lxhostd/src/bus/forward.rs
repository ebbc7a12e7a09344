//! The part of `org.lxhost1.Network` that is about forwards: rows and verbs. Called by the interface.

use super::Bus;
use super::error::Failure;
use super::options::{self, Options};
use lxhost_dbus::wire::{Config, ForwardRow, Values};
use lxhost_engine::network::forward::{Create, Delete, Replace};
use lxhost_engine::{Question, Result};
use lxhost_model::forward::listen_address;
use lxhost_model::{Action, Forward, Network, ObjectId};
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::OwnedObjectPath;

fn row((listen, forward): (&std::net::IpAddr, &Forward)) -> ForwardRow {
    let Forward { description, config, ports } = forward.clone();
    ForwardRow { listen: listen.to_string(), description, config, ports }
}

pub(super) async fn list(
    bus: &Bus,
    header: &Header<'_>,
    network: Arc<Network>,
    options: Values,
) -> Result<(Vec<ForwardRow>, u64), Failure> {
    options::none(options)?;
    let caller = bus.caller(header).await?;
    let details = vec![("network", network.name.to_string()), ("verb", "network.list-forwards".to_owned())];
    bus.engine.allow(&caller, Question { action: Action::Info, details }).await?;
    Ok((network.forwards.iter().map(row).collect(), network.generation))
}

pub(super) async fn create(
    bus: &Bus,
    header: &Header<'_>,
    id: ObjectId,
    listen: &str,
    (config, ports): (Config, Vec<Config>),
    options: Values,
) -> Result<OwnedObjectPath, Failure> {
    let mut options = Options::new(options);
    let description = options.text("description")?;
    options.done()?;
    let forward = Forward { description, config, ports };
    bus.submit(header, Create { id, listen: listen_address(listen)?, forward }).await
}

pub(super) async fn replace(
    bus: &Bus,
    header: &Header<'_>,
    id: ObjectId,
    listen: &str,
    (config, ports, expected): (Config, Vec<Config>, u64),
    options: Values,
) -> Result<OwnedObjectPath, Failure> {
    let mut options = Options::new(options);
    let description = options.take("description")?;
    options.done()?;
    let listen = listen_address(listen)?;
    bus.submit(header, Replace { id, listen, config, ports, description, expected: Some(expected) }).await
}

pub(super) async fn delete(
    bus: &Bus,
    header: &Header<'_>,
    id: ObjectId,
    listen: &str,
    options: Values,
) -> Result<OwnedObjectPath, Failure> {
    options::none(options)?;
    bus.submit(header, Delete { id, listen: listen_address(listen)? }).await
}
