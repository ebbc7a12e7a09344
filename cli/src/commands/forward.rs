//! `network forward`.

use super::keyed::described;
use crate::args::{Document, Forward as Args, ForwardPort as PortArgs, ListenAddress};
use crate::bus::Session;
use crate::definition::scalars;
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::wire::ForwardRow;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::forward::{DEFAULT_TARGET, listen_address};
use serde::{Deserialize, Serialize};
use serde_json::json;
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

/// An entry of ports, whose values may be written as any scalar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Entry(#[serde(deserialize_with = "scalars")] pub(super) Config);

impl Definition {
    fn parse(text: &str) -> Result<Self, Failure> {
        if text.trim().is_empty() {
            return Ok(Definition::default());
        }
        let bad = |e: serde_saphyr::Error| {
            let line = e.to_string();
            Failure::usage(format!("not a forward in YAML: {}", line.lines().next().unwrap_or_default()))
        };
        serde_saphyr::from_str(text).map_err(bad)
    }

    fn of(row: ForwardRow) -> Self {
        let ForwardRow { listen, description, config, ports } = row;
        let ports = ports.into_iter().map(Entry).collect();
        Definition { listen_address: Some(listen), location: None, description, config, ports }
    }

    fn ports(&self) -> Vec<Config> {
        self.ports.iter().map(|entry| entry.0.clone()).collect()
    }
}

/// Runs a verb of `network forward`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { network, format } => list(session, &network.name, format.format).await,
        Args::Show { forward, format } => show(session, forward, format.format).await,
        Args::Create { forward, keys, description } => {
            create(session, forward, &pairs::config(keys), description.as_deref()).await
        }
        Args::Delete(forward) => {
            let (network, none) = (session.network(&forward.network).await?, Options::new());
            let job = session.allowed(|| network.delete_forward(&forward.listen, &none)).await?;
            wait(session, &job, "Deleting", forward).await?;
            session.say(format!("Network forward {} deleted", forward.listen));
            Ok(())
        }
        Args::Get { forward, key } => {
            let (definition, _) = read(session, &session.network(&forward.network).await?, forward).await?;
            render::print(&format!("{}\n", definition.config.get(key).map_or("", String::as_str)))
        }
        Args::Set { forward, keys } => {
            let set = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, forward, |definition| {
                definition.config.extend(set);
                Ok(())
            })
            .await
        }
        Args::Unset { forward, keys } => {
            change(session, forward, |definition| {
                definition.config.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
        }
        Args::Edit(forward) => edit(session, forward).await,
        Args::Port(PortArgs::Add { forward, protocol, listen_ports, target_address, target_ports, description }) => {
            let keys = [
                ("protocol", Some(protocol)),
                ("listen_port", Some(listen_ports)),
                ("target_address", Some(target_address)),
                ("target_port", target_ports.as_ref()),
                ("description", description.as_ref()),
            ];
            let keys = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone()))).collect();
            change(session, forward, |definition| {
                definition.ports.push(Entry(keys));
                Ok(())
            })
            .await
        }
        Args::Port(PortArgs::Remove { forward, protocol, listen_ports, force }) => {
            let keys = [("protocol", protocol), ("listen_port", listen_ports)];
            let keys: Config = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))).collect();
            change(session, forward, |definition| remove(&mut definition.ports, &keys, *force)).await
        }
    }
}

/// Takes away the entry that has these keys, or with `force` all that have them.
pub(super) fn remove(entries: &mut Vec<Entry>, keys: &Config, force: bool) -> Result<(), Failure> {
    let meant = |entry: &Entry| keys.iter().all(|(key, value)| entry.0.get(key) == Some(value));
    match entries.iter().filter(|entry| meant(entry)).count() {
        0 => return Err(Failure::of(Kind::InvalidConfig, "there are no such ports")),
        several if several > 1 && !force => {
            let what = format!("{several} entries of ports fit; name protocol and ports, or --force");
            return Err(Failure::of(Kind::InvalidConfig, what));
        }
        _ => entries.retain(|entry| !meant(entry)),
    }
    Ok(())
}

async fn rows(session: &Session, network: &NetworkProxy<'static>) -> Result<(Vec<ForwardRow>, u64), Failure> {
    let none = Options::new();
    session.allowed(|| network.list_forwards(&none)).await
}

async fn list(session: &Session, name: &str, format: Format) -> Result<(), Failure> {
    let (rows, _) = rows(session, &session.network(name).await?).await?;
    let mut table = Table::new(["LISTEN ADDRESS", "DESCRIPTION", "DEFAULT TARGET ADDRESS", "PORTS"]);
    for row in &rows {
        let target = row.config.get(DEFAULT_TARGET).cloned().unwrap_or_default();
        table.push([row.listen.clone(), row.description.clone(), target, row.ports.len().to_string()]);
    }
    let data: Vec<_> = rows
        .iter()
        .map(|r| json!({ "listen_address": r.listen, "description": r.description, "config": r.config, "ports": r.ports }))
        .collect();
    render::show(format, session.quiet, &table, &data)
}

/// A forward, and the generation that a change of it has to name.
async fn read(session: &Session, network: &NetworkProxy<'static>, forward: &ListenAddress) -> Result<(Definition, u64), Failure> {
    let listen = listen_address(&forward.listen).map_err(|e| Failure::of(e.kind, e.message))?.to_string();
    let (rows, generation) = rows(session, network).await?;
    let gone = || Failure::of(Kind::NoSuchForward, format!("network {} has no forward of {listen}", forward.network));
    let row = rows.into_iter().find(|row| row.listen == listen).ok_or_else(gone)?;
    Ok((Definition::of(row), generation))
}

async fn show(session: &Session, forward: &ListenAddress, format: Document) -> Result<(), Failure> {
    let (definition, _) = read(session, &session.network(&forward.network).await?, forward).await?;
    render::document(format, &definition)
}

async fn create(session: &Session, forward: &ListenAddress, keys: &Config, description: Option<&str>) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    let mut new = match crate::definition::is_redirected(&stdin)? {
        true => Definition::parse(&pairs::read_text(&mut stdin.lock())?)?,
        false => Definition::default(),
    };
    new.config.extend(keys.clone());
    let description = description.unwrap_or(&new.description);
    let options = described(Some(description).filter(|text| !text.is_empty()));
    let (network, ports) = (session.network(&forward.network).await?, new.ports());
    let job = session.allowed(|| network.create_forward(&forward.listen, &new.config, &ports, &options)).await?;
    wait(session, &job, "Creating", forward).await?;
    session.name_or(&forward.listen, format!("Network forward {} created", forward.listen))
}

async fn change(
    session: &Session,
    forward: &ListenAddress,
    change: impl FnOnce(&mut Definition) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let network = session.network(&forward.network).await?;
    let (mut definition, generation) = read(session, &network, forward).await?;
    change(&mut definition)?;
    replace(session, forward, &network, &definition, generation).await
}

async fn edit(session: &Session, forward: &ListenAddress) -> Result<(), Failure> {
    let network = session.network(&forward.network).await?;
    let (before, generation) = read(session, &network, forward).await?;
    crate::editor::edit(&render::yaml(&before)?, async |text| {
        replace(session, forward, &network, &Definition::parse(text)?, generation).await
    })
    .await
}

async fn replace(
    session: &Session,
    forward: &ListenAddress,
    network: &NetworkProxy<'static>,
    new: &Definition,
    generation: u64,
) -> Result<(), Failure> {
    let (options, ports) = (described(Some(&new.description)), new.ports());
    let job = session.allowed(|| network.replace_forward(&forward.listen, &new.config, &ports, generation, &options)).await?;
    wait(session, &job, "Configuring", forward).await
}

async fn wait(session: &Session, job: &OwnedObjectPath, doing: &str, forward: &ListenAddress) -> Result<(), Failure> {
    progress::wait(session, job, &format!("{doing} forward {}", forward.listen), OnInterrupt::Leave).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(protocol: &str, port: &str) -> Entry {
        Entry(Config::from([("protocol".to_owned(), protocol.to_owned()), ("listen_port".to_owned(), port.to_owned())]))
    }

    #[test]
    fn one_entry_is_removed_and_several_only_by_force() {
        let mut entries = vec![entry("tcp", "80"), entry("udp", "80"), entry("tcp", "443")];
        let tcp = Config::from([("protocol".to_owned(), "tcp".to_owned())]);
        assert!(remove(&mut entries, &tcp, false).is_err());
        remove(&mut entries, &entry("tcp", "443").0, false).unwrap();
        remove(&mut entries, &tcp, false).unwrap();
        assert_eq!(entries, [entry("udp", "80")]);
        assert!(remove(&mut entries, &tcp, true).is_err());
        remove(&mut entries, &Config::new(), true).unwrap();
        assert!(entries.is_empty());
    }

    #[test]
    fn a_definition_in_incus_words_is_read() {
        let text = "listen_address: 192.0.2.1\nlocation: host\ndescription: Web\nconfig:\n  target_address: 10.9.0.5\n\
                    ports:\n- description: HTTP\n  protocol: tcp\n  listen_port: 80\n  target_port: 8080\n  target_address: 10.9.0.6\n";
        let forward = Definition::parse(text).unwrap();
        assert_eq!((forward.ports[0].0["listen_port"].as_str(), forward.config[DEFAULT_TARGET].as_str()), ("80", "10.9.0.5"));
        assert_eq!(Definition::parse("prots: []\n").unwrap_err().code, 2);
    }
}
