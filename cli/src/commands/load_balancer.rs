//! `network load-balancer`.

use super::forward::{Entry, remove};
use super::keyed::described;
use crate::args::{Backend as BackendArgs, BalancerPort as PortArgs, Document, ListenAddress, LoadBalancer as Args};
use crate::bus::Session;
use crate::definition::scalars;
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::wire::LoadBalancerRow;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::forward::listen_address;
use serde::{Deserialize, Serialize};
use serde_json::json;
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
    fn parse(text: &str) -> Result<Self, Failure> {
        if text.trim().is_empty() {
            return Ok(Definition::default());
        }
        let bad = |e: serde_saphyr::Error| {
            let line = e.to_string();
            Failure::usage(format!("not a load balancer in YAML: {}", line.lines().next().unwrap_or_default()))
        };
        serde_saphyr::from_str(text).map_err(bad)
    }

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

/// Keys that have a value.
fn given<const N: usize>(pairs: [(&str, Option<&String>); N]) -> Config {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone()))).collect()
}

/// Runs a verb of `network load-balancer`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { network, format } => list(session, &network.name, format.format).await,
        Args::Show { listen, format } => show(session, listen, format.format).await,
        Args::Create { listen, keys, description } => create(session, listen, &pairs::config(keys), description.as_deref()).await,
        Args::Delete(listen) => {
            let (network, none) = (session.network(&listen.network).await?, Options::new());
            let job = session.allowed(|| network.delete_load_balancer(&listen.listen, &none)).await?;
            wait(session, &job, "Deleting", listen).await?;
            session.say(format!("Network load balancer {} deleted", listen.listen));
            Ok(())
        }
        Args::Get { listen, key } => {
            let (definition, _) = read(session, &session.network(&listen.network).await?, listen).await?;
            render::print(&format!("{}\n", definition.config.get(key).map_or("", String::as_str)))
        }
        Args::Set { listen, keys } => {
            let set = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, listen, |new| {
                new.config.extend(set);
                Ok(())
            })
            .await
        }
        Args::Unset { listen, keys } => {
            change(session, listen, |new| {
                new.config.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
        }
        Args::Edit(listen) => edit(session, listen).await,
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
            change(session, listen, |new| {
                new.backends.push(Entry(keys));
                Ok(())
            })
            .await
        }
        BackendArgs::Remove { listen, backend } => {
            change(session, listen, |new| {
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
            change(session, listen, |new| {
                new.ports.push(Ports::of(keys));
                Ok(())
            })
            .await
        }
        PortArgs::Remove { listen, protocol, listen_ports, force } => {
            let keys = given([("protocol", protocol.as_ref()), ("listen_port", listen_ports.as_ref())]);
            change(session, listen, |new| {
                let mut entries = new.ports.iter().map(|ports| Entry(ports.keys())).collect();
                remove(&mut entries, &keys, *force)?;
                new.ports = entries.into_iter().map(|entry| Ports::of(entry.0)).collect();
                Ok(())
            })
            .await
        }
    }
}

async fn rows(session: &Session, network: &NetworkProxy<'static>) -> Result<(Vec<LoadBalancerRow>, u64), Failure> {
    let none = Options::new();
    session.allowed(|| network.list_load_balancers(&none)).await
}

async fn list(session: &Session, name: &str, format: Format) -> Result<(), Failure> {
    let (rows, _) = rows(session, &session.network(name).await?).await?;
    let mut table = Table::new(["LISTEN ADDRESS", "DESCRIPTION", "BACKENDS", "PORTS"]);
    for row in &rows {
        table.push([row.listen.clone(), row.description.clone(), row.backends.len().to_string(), row.ports.len().to_string()]);
    }
    let json = |r: &LoadBalancerRow| {
        json!({
            "listen_address": r.listen, "description": r.description, "config": r.config, "backends": r.backends, "ports": r.ports,
        })
    };
    render::show(format, session.quiet, &table, &rows.iter().map(json).collect::<Vec<_>>())
}

/// A load balancer, and the generation that a change of it has to name.
async fn read(session: &Session, network: &NetworkProxy<'static>, listen: &ListenAddress) -> Result<(Definition, u64), Failure> {
    let address = listen_address(&listen.listen).map_err(|e| Failure::of(e.kind, e.message))?.to_string();
    let (rows, generation) = rows(session, network).await?;
    let gone = || Failure::of(Kind::NoSuchLoadBalancer, format!("network {} has no load balancer of {address}", listen.network));
    let row = rows.into_iter().find(|row| row.listen == address).ok_or_else(gone)?;
    Ok((Definition::of(row), generation))
}

async fn show(session: &Session, listen: &ListenAddress, format: Document) -> Result<(), Failure> {
    let (definition, _) = read(session, &session.network(&listen.network).await?, listen).await?;
    render::document(format, &definition)
}

async fn create(session: &Session, listen: &ListenAddress, keys: &Config, description: Option<&str>) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    let mut new = match crate::definition::is_redirected(&stdin)? {
        true => Definition::parse(&pairs::read_text(&mut stdin.lock())?)?,
        false => Definition::default(),
    };
    new.config.extend(keys.clone());
    let description = description.unwrap_or(&new.description);
    let options = described(Some(description).filter(|text| !text.is_empty()));
    let (network, (backends, ports)) = (session.network(&listen.network).await?, new.parts());
    let call = || network.create_load_balancer(&listen.listen, &new.config, &backends, &ports, &options);
    let job = session.allowed(call).await?;
    wait(session, &job, "Creating", listen).await?;
    session.name_or(&listen.listen, format!("Network load balancer {} created", listen.listen))
}

async fn change(
    session: &Session,
    listen: &ListenAddress,
    change: impl FnOnce(&mut Definition) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let network = session.network(&listen.network).await?;
    let (mut definition, generation) = read(session, &network, listen).await?;
    change(&mut definition)?;
    replace(session, listen, &network, &definition, generation).await
}

async fn edit(session: &Session, listen: &ListenAddress) -> Result<(), Failure> {
    let network = session.network(&listen.network).await?;
    let (before, generation) = read(session, &network, listen).await?;
    crate::editor::edit(&render::yaml(&before)?, async |text| {
        replace(session, listen, &network, &Definition::parse(text)?, generation).await
    })
    .await
}

async fn replace(
    session: &Session,
    listen: &ListenAddress,
    network: &NetworkProxy<'static>,
    new: &Definition,
    generation: u64,
) -> Result<(), Failure> {
    let (options, (backends, ports)) = (described(Some(&new.description)), new.parts());
    let call = || network.replace_load_balancer(&listen.listen, &new.config, &backends, &ports, generation, &options);
    let job = session.allowed(call).await?;
    wait(session, &job, "Configuring", listen).await
}

async fn wait(session: &Session, job: &OwnedObjectPath, doing: &str, listen: &ListenAddress) -> Result<(), Failure> {
    progress::wait(session, job, &format!("{doing} load balancer {}", listen.listen), OnInterrupt::Leave).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_in_incus_words_is_read_and_written() {
        let text = "listen_address: 192.0.2.2\nlocation: \"\"\ndescription: Web\nconfig: {}\n\
                    backends:\n- name: w1\n  description: One\n  target_port: 8080\n  target_address: 10.9.0.5\n\
                    ports:\n- description: HTTP\n  protocol: tcp\n  listen_port: 80\n  target_backend:\n  - w1\n  - w2\n";
        let balancer = Definition::parse(text).unwrap();
        let (backends, ports) = balancer.parts();
        assert_eq!((backends[0]["target_port"].as_str(), ports[0]["target_backend"].as_str()), ("8080", "w1,w2"));
        assert_eq!(balancer.ports[0], Ports::of(ports[0].clone()));
        assert_eq!(Definition::parse("backend: []\n").unwrap_err().code, 2);
    }
}
