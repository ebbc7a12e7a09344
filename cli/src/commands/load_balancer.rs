//! `network load-balancer`.

use super::listener::{self, Entry, Listener, given, remove};
use crate::args::{Backend as BackendArgs, BalancerPort as PortArgs, LoadBalancer as Args};
use crate::bus::Session;
use crate::definition::scalars;
use crate::failure::Failure;
use crate::pairs;
use crate::render::{self, Format, Table};
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::wire::LoadBalancerRow;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use serde::{Deserialize, Serialize};
use zbus::wire::OwnedObjectPath;

/// A load balancer as YAML, in Incus' words.
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
    backends: Vec<Entry>,
    ports: Vec<Ports>,
}

/// An entry of ports; Incus has its backends as a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ports {
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    protocol: String,
    listen_port: String,
    target_backend: Vec<String>,
}

impl Ports {
    fn of(mut keys: Config) -> Self {
        let mut take = |key: &str| keys.remove(key).unwrap_or_default();
        let backends = take("target_backend");
        Ports {
            description: take("description"),
            protocol: take("protocol"),
            listen_port: take("listen_port"),
            target_backend: backends.split(',').map(|name| name.trim().to_owned()).collect(),
        }
    }

    fn keys(&self) -> Config {
        let keys = [
            ("description", self.description.clone()),
            ("protocol", self.protocol.clone()),
            ("listen_port", self.listen_port.clone()),
            ("target_backend", self.target_backend.join(",")),
        ];
        keys.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

impl Definition {
    fn of(row: LoadBalancerRow) -> Self {
        let LoadBalancerRow { listen, description, config, backends, ports } = row;
        let (backends, ports) = (backends.into_iter().map(Entry).collect(), ports.into_iter().map(Ports::of).collect());
        Definition { listen_address: Some(listen), location: None, description, config, backends, ports }
    }

    /// Backends and ports for the wire.
    fn parts(&self) -> (Vec<Config>, Vec<Config>) {
        (self.backends.iter().map(|entry| entry.0.clone()).collect(), self.ports.iter().map(Ports::keys).collect())
    }
}

impl Listener for Definition {
    const NOUN: &'static str = "load balancer";
    const GONE: Kind = Kind::NoSuchLoadBalancer;

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
        let (rows, generation) = network.list_load_balancers(&Options::new()).await?;
        Ok((rows.into_iter().map(Definition::of).collect(), generation))
    }

    async fn create(&self, network: &NetworkProxy<'static>, at: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath> {
        let (backends, ports) = self.parts();
        network.create_load_balancer(at, &self.config, &backends, &ports, options).await
    }

    async fn replace(
        &self,
        network: &NetworkProxy<'static>,
        at: &str,
        generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath> {
        let (backends, ports) = self.parts();
        network.replace_load_balancer(at, &self.config, &backends, &ports, generation, options).await
    }

    async fn delete(network: &NetworkProxy<'static>, at: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath> {
        network.delete_load_balancer(at, options).await
    }
}

/// Runs a verb of `network load-balancer`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { network, format } => list(session, &network.name, format.format).await,
        Args::Show { listen, format } => listener::show::<Definition>(session, listen, format.format).await,
        Args::Create { listen, keys, description } => {
            listener::create::<Definition>(session, listen, &pairs::config(keys), description.as_deref()).await
        }
        Args::Delete(listen) => listener::delete::<Definition>(session, listen).await,
        Args::Get { listen, key } => listener::get::<Definition>(session, listen, key).await,
        Args::Set { listen, keys } => listener::set::<Definition>(session, listen, keys).await,
        Args::Unset { listen, keys } => listener::unset::<Definition>(session, listen, keys).await,
        Args::Edit(listen) => listener::edit::<Definition>(session, listen).await,
        Args::Backend(args) => backend(session, args).await,
        Args::Port(args) => port(session, args).await,
    }
}

async fn backend(session: &Session, args: &BackendArgs) -> Result<(), Failure> {
    match args {
        BackendArgs::Add { listen, backend, target_address, target_ports, description } => {
            let keys = given([
                ("name", Some(backend)),
                ("target_address", Some(target_address)),
                ("target_port", target_ports.as_ref()),
                ("description", description.as_ref()),
            ]);
            listener::change(session, listen, |new: &mut Definition| {
                new.backends.push(Entry(keys));
                Ok(())
            })
            .await
        }
        BackendArgs::Remove { listen, backend } => {
            listener::change(session, listen, |new: &mut Definition| {
                let before = new.backends.len();
                new.backends.retain(|entry| entry.0.get("name") != Some(backend));
                match new.backends.len() < before {
                    true => Ok(()),
                    false => Err(Failure::of(Kind::InvalidConfig, "the load balancer has no such backend")),
                }
            })
            .await
        }
    }
}

async fn port(session: &Session, args: &PortArgs) -> Result<(), Failure> {
    match args {
        PortArgs::Add { listen, protocol, listen_ports, backends, description } => {
            let keys = given([
                ("protocol", Some(protocol)),
                ("listen_port", Some(listen_ports)),
                ("target_backend", Some(backends)),
                ("description", description.as_ref()),
            ]);
            listener::change(session, listen, |new: &mut Definition| {
                new.ports.push(Ports::of(keys));
                Ok(())
            })
            .await
        }
        PortArgs::Remove { listen, protocol, listen_ports, force } => {
            let keys = given([("protocol", protocol.as_ref()), ("listen_port", listen_ports.as_ref())]);
            listener::change(session, listen, |new: &mut Definition| {
                let mut entries = new.ports.iter().map(|ports| Entry(ports.keys())).collect();
                remove(&mut entries, &keys, *force)?;
                new.ports = entries.into_iter().map(|entry| Ports::of(entry.0)).collect();
                Ok(())
            })
            .await
        }
    }
}

async fn list(session: &Session, name: &str, format: Format) -> Result<(), Failure> {
    let (all, _) = listener::all::<Definition>(session, &session.network(name).await?).await?;
    let mut table = Table::new(["LISTEN ADDRESS", "DESCRIPTION", "BACKENDS", "PORTS"]);
    for one in &all {
        let listen = one.listen_address.clone().unwrap_or_default();
        table.push([listen, one.description.clone(), one.backends.len().to_string(), one.ports.len().to_string()]);
    }
    render::show(format, session.quiet, &table, &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::listener::parse;

    #[test]
    fn a_definition_in_incus_words_is_read_and_written() {
        let text = "listen_address: 192.0.2.2\nlocation: \"\"\ndescription: Web\nconfig: {}\n\
                    backends:\n- name: w1\n  description: One\n  target_port: 8080\n  target_address: 10.9.0.5\n\
                    ports:\n- description: HTTP\n  protocol: tcp\n  listen_port: 80\n  target_backend:\n  - w1\n  - w2\n";
        let balancer = parse::<Definition>(text).unwrap();
        let (backends, ports) = balancer.parts();
        assert_eq!((backends[0]["target_port"].as_str(), ports[0]["target_backend"].as_str()), ("8080", "w1,w2"));
        assert_eq!(balancer.ports[0], Ports::of(ports[0].clone()));
        assert_eq!(parse::<Definition>("backend: []\n").unwrap_err().code, 2);
    }
}
