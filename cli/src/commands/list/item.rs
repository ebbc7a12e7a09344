//! An instance as `list` knows it: its row, and what else was asked for.

use crate::bus::Session;
use crate::failure::Failure;
use crate::values;
use lxhost_dbus::proxy::InstanceProxy;
use lxhost_dbus::wire::{InstanceRow, Values};
use lxhost_dbus::{Config, Options};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use zbus::wire::ObjectPath;

/// What is read beside the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Properties of the objects.
    pub(crate) properties: bool,
    /// Fields of `GetStates`.
    pub(crate) state: BTreeSet<&'static str>,
    /// Expanded configuration.
    pub(crate) config: bool,
}

impl Needs {
    /// Adds the needs of another column or filter.
    pub(crate) fn add(&mut self, other: Needs) {
        self.properties |= other.properties;
        self.state.extend(other.state);
        self.config |= other.config;
    }
}

/// An instance.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) row: InstanceRow,
    pub(crate) properties: Values,
    pub(crate) state: Values,
    pub(crate) config: Config,
}

impl Item {
    /// Addresses of one family, `address (interface)`.
    pub(crate) fn addresses(&self, v6: bool) -> Vec<String> {
        let of_family = self.row.addresses.iter().filter(|a| a.split('@').next().unwrap_or_default().contains(':') == v6);
        of_family
            .map(|address| match address.split_once('@') {
                Some((address, interface)) => format!("{address} ({interface})"),
                None => address.clone(),
            })
            .collect()
    }

    /// Everything known about it.
    pub(crate) fn json(&self) -> Value {
        let row = &self.row;
        let addresses: Vec<Value> = row
            .addresses
            .iter()
            .map(|a| {
                let (address, interface) = a.split_once('@').unwrap_or((a, ""));
                json!({ "address": address, "interface": interface, "family": if address.contains(':') { "inet6" } else { "inet" } })
            })
            .collect();
        let mut map = Map::new();
        map.insert("name".into(), row.name.clone().into());
        map.insert("project".into(), row.project.clone().into());
        map.insert("type".into(), row.kind.clone().into());
        map.insert("status".into(), row.state.clone().into());
        map.insert("status_since".into(), values::time(row.state_usec));
        map.insert("addresses".into(), addresses.into());
        for (key, name) in
            [("Architecture", "architecture"), ("Description", "description"), ("Pool", "pool"), ("Image", "image")]
        {
            if self.properties.contains_key(key) {
                map.insert(name.into(), values::text(&self.properties, key).into());
            }
        }
        if let Some(count) = values::number(&self.properties, "SnapshotCount") {
            map.insert("snapshots".into(), count.into());
        }
        if self.properties.contains_key("Profiles") {
            map.insert("profiles".into(), values::list(&self.properties, "Profiles").into());
        }
        for (key, name) in [("CreatedTimestamp", "created_at"), ("LastUsedTimestamp", "last_used_at")] {
            if let Some(usec) = values::number(&self.properties, key) {
                map.insert(name.into(), values::time(usec));
            }
        }
        if !self.state.is_empty() {
            map.insert("state".into(), values::object(&self.state).into());
        }
        if !self.config.is_empty() {
            map.insert("expanded_config".into(), json!(self.config));
        }
        map.into()
    }
}

/// Reads what is needed: properties and live states in a call each, configurations in a call per instance, side by side.
pub(crate) async fn load(session: &Session, rows: Vec<InstanceRow>, needs: Needs) -> Result<Vec<Item>, Failure> {
    let empty = |row| Item { row, properties: Values::new(), state: Values::new(), config: Config::new() };
    let mut items: Vec<Item> = rows.into_iter().map(empty).collect();
    if items.is_empty() {
        return Ok(items);
    }
    if needs.properties {
        let mut objects = session.collection("instance").await?;
        for item in &mut items {
            // One that was deleted since the list was made keeps its row alone.
            if let Some(mut interfaces) = objects.remove(&item.row.path) {
                item.properties = interfaces.remove("org.lxhost1.Instance").unwrap_or_default();
            }
        }
    }
    if !needs.state.is_empty() {
        let fields: Vec<&str> = needs.state.iter().copied().collect();
        let running: Vec<ObjectPath<'_>> =
            items.iter().filter(|i| matches!(i.row.state.as_str(), "running" | "frozen")).map(|i| i.row.path.as_ref()).collect();
        if !running.is_empty() {
            let mut states: std::collections::HashMap<_, _> =
                session.manager().await?.get_states(&running, &fields).await?.into_iter().collect();
            for item in &mut items {
                item.state = states.remove(&item.row.path).unwrap_or_default();
            }
        }
    }
    if needs.config {
        for some in items.chunks_mut(crate::commands::power::AT_ONCE) {
            let configs = futures_util::future::join_all(some.iter().map(|item| config(session, item))).await;
            for (item, config) in some.iter_mut().zip(configs) {
                item.config = config?;
            }
        }
    }
    Ok(items)
}

async fn config(session: &Session, item: &Item) -> Result<Config, Failure> {
    let instance: InstanceProxy<'static> = session.object(&item.row.path).await?;
    let expanded = Options::from([("expanded", true.into())]);
    let (config, _, _, _) = session.allowed(|| instance.get_config(&expanded)).await?;
    Ok(config)
}
