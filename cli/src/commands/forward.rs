//! `network forward`.

use super::listener::{self, Entry, Listener, given, remove};
use crate::args::{Forward as Args, ForwardPort as PortArgs};
use crate::bus::Session;
use crate::definition::scalars;
use crate::failure::Failure;
use crate::pairs;
use crate::render::{self, Format, Table};
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::wire::ForwardRow;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::forward::DEFAULT_TARGET;
use serde::{Deserialize, Serialize};
use zbus::wire::OwnedObjectPath;

/// A forward as YAML, in Incus' words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen_address: Option<String>,
    #[serde(skip_serializing)]
    location: Option<String>,
    description: String,
    #[serde(deserialize_with = "scalars")]
    config: Config,
    ports: Vec<Entry>,
}

impl Definition {
    fn of(row: ForwardRow) -> Self {
        let ForwardRow { listen, description, config, ports } = row;
        let ports = ports.into_iter().map(Entry).collect();
        Definition { listen_address: Some(listen), location: None, description, config, ports }
    }

    fn ports(&self) -> Vec<Config> {
        self.ports.iter().map(|entry| entry.0.clone()).collect()
    }
}

impl Listener for Definition {
    const NOUN: &'static str = "forward";
    const GONE: Kind = Kind::NoSuchForward;

    fn listen(&self) -> Option<&str> {
        self.listen_address.as_deref()
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn config(&mut self) -> &mut Config {
        &mut self.config
    }

    async fn all(network: &NetworkProxy<'static>) -> zbus::Result<(Vec<Self>, u64)> {
        let (rows, generation) = network.list_forwards(&Options::new()).await?;
        Ok((rows.into_iter().map(Definition::of).collect(), generation))
    }

    async fn create(&self, network: &NetworkProxy<'static>, at: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath> {
        network.create_forward(at, &self.config, &self.ports(), options).await
    }

    async fn replace(
        &self,
        network: &NetworkProxy<'static>,
        at: &str,
        generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath> {
        network.replace_forward(at, &self.config, &self.ports(), generation, options).await
    }

    async fn delete(network: &NetworkProxy<'static>, at: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath> {
        network.delete_forward(at, options).await
    }
}

/// Runs a verb of `network forward`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { network, format } => list(session, &network.name, format.format).await,
        Args::Show { forward, format } => listener::show::<Definition>(session, forward, format.format).await,
        Args::Create { forward, keys, description } => {
            listener::create::<Definition>(session, forward, &pairs::config(keys), description.as_deref()).await
        }
        Args::Delete(forward) => listener::delete::<Definition>(session, forward).await,
        Args::Get { forward, key } => listener::get::<Definition>(session, forward, key).await,
        Args::Set { forward, keys } => listener::set::<Definition>(session, forward, keys).await,
        Args::Unset { forward, keys } => listener::unset::<Definition>(session, forward, keys).await,
        Args::Edit(forward) => listener::edit::<Definition>(session, forward).await,
        Args::Port(PortArgs::Add { forward, protocol, listen_ports, target_address, target_ports, description }) => {
            let keys = given([
                ("protocol", Some(protocol)),
                ("listen_port", Some(listen_ports)),
                ("target_address", Some(target_address)),
                ("target_port", target_ports.as_ref()),
                ("description", description.as_ref()),
            ]);
            listener::change(session, forward, |new: &mut Definition| {
                new.ports.push(Entry(keys));
                Ok(())
            })
            .await
        }
        Args::Port(PortArgs::Remove { forward, protocol, listen_ports, force }) => {
            let keys = given([("protocol", protocol.as_ref()), ("listen_port", listen_ports.as_ref())]);
            listener::change(session, forward, |new: &mut Definition| remove(&mut new.ports, &keys, *force)).await
        }
    }
}

async fn list(session: &Session, name: &str, format: Format) -> Result<(), Failure> {
    let (all, _) = listener::all::<Definition>(session, &session.network(name).await?).await?;
    let mut table = Table::new(["LISTEN ADDRESS", "DESCRIPTION", "DEFAULT TARGET ADDRESS", "PORTS"]);
    for one in &all {
        let target = one.config.get(DEFAULT_TARGET).cloned().unwrap_or_default();
        let listen = one.listen_address.clone().unwrap_or_default();
        table.push([listen, one.description.clone(), target, one.ports.len().to_string()]);
    }
    render::show(format, session.quiet, &table, &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::listener::parse;

    #[test]
    fn a_definition_in_incus_words_is_read() {
        let text = "listen_address: 192.0.2.1\nlocation: host\ndescription: Web\nconfig:\n  target_address: 10.9.0.5\n\
                    ports:\n- description: HTTP\n  protocol: tcp\n  listen_port: 80\n  target_port: 8080\n  target_address: 10.9.0.6\n";
        let forward = parse::<Definition>(text).unwrap();
        assert_eq!((forward.ports[0].0["listen_port"].as_str(), forward.config[DEFAULT_TARGET].as_str()), ("80", "10.9.0.5"));
        assert_eq!(parse::<Definition>("prots: []\n").unwrap_err().code, 2);
    }
}
