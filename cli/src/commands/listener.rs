//! What `network forward` and `network load-balancer` do alike: something of a network that listens at an address, read
//! and written whole. Called by both.

use super::keyed::described;
use super::network::trial;
use crate::args::{Document, ListenAddress, ListenChange};
use crate::bus::Session;
use crate::definition::{is_redirected, scalars};
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render;
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::forward::listen_address;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zbus::wire::OwnedObjectPath;

/// One of them, as YAML has it.
pub(super) trait Listener: Default + Serialize + DeserializeOwned {
    /// What it is called.
    const NOUN: &'static str;
    /// The error where there is none.
    const GONE: Kind;

    fn listen(&self) -> Option<&str>;
    fn description(&self) -> &str;
    fn config(&mut self) -> &mut Config;
    /// All of a network, and the generation that a change has to name.
    async fn all(network: &NetworkProxy<'static>) -> zbus::Result<(Vec<Self>, u64)>;
    async fn create(&self, network: &NetworkProxy<'static>, at: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
    async fn replace(
        &self,
        network: &NetworkProxy<'static>,
        at: &str,
        generation: u64,
        options: &Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    async fn delete(network: &NetworkProxy<'static>, at: &str, options: &Options<'_>) -> zbus::Result<OwnedObjectPath>;
}

/// An entry of a list in it, whose values may be written as any scalar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Entry(#[serde(deserialize_with = "scalars")] pub(super) Config);

/// Keys that have a value.
pub(super) fn given<const N: usize>(pairs: [(&str, Option<&String>); N]) -> Config {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone()))).collect()
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

/// Reads one from YAML; no text is one without anything.
pub(super) fn parse<L: Listener>(text: &str) -> Result<L, Failure> {
    if text.trim().is_empty() {
        return Ok(L::default());
    }
    let bad = |e: serde_saphyr::Error| {
        let line = e.to_string();
        Failure::usage(format!("not a {} in YAML: {}", L::NOUN, line.lines().next().unwrap_or_default()))
    };
    serde_saphyr::from_str(text).map_err(bad)
}

/// All of a network, and the generation that a change has to name.
pub(super) async fn all<L: Listener>(session: &Session, network: &NetworkProxy<'static>) -> Result<(Vec<L>, u64), Failure> {
    session.allowed(|| L::all(network)).await
}

/// The one at that address.
async fn read<L: Listener>(session: &Session, network: &NetworkProxy<'static>, at: &ListenAddress) -> Result<(L, u64), Failure> {
    let address = listen_address(&at.listen).map_err(|e| Failure::of(e.kind, e.message))?.to_string();
    let (all, generation) = all::<L>(session, network).await?;
    let gone = || Failure::of(L::GONE, format!("network {} has no {} of {address}", at.network, L::NOUN));
    let found = all.into_iter().find(|one| one.listen() == Some(&address)).ok_or_else(gone)?;
    Ok((found, generation))
}

pub(super) async fn show<L: Listener>(session: &Session, at: &ListenAddress, format: Document) -> Result<(), Failure> {
    let (found, _) = read::<L>(session, &session.network(&at.network).await?, at).await?;
    render::document(format, &found)
}

pub(super) async fn get<L: Listener>(session: &Session, at: &ListenAddress, key: &str) -> Result<(), Failure> {
    let (mut found, _) = read::<L>(session, &session.network(&at.network).await?, at).await?;
    render::print(&format!("{}\n", found.config().get(key).map_or("", String::as_str)))
}

pub(super) async fn set<L: Listener>(session: &Session, at: &ListenChange, keys: &[String]) -> Result<(), Failure> {
    let set = pairs::from_words(keys, &mut std::io::stdin())?;
    change::<L>(session, at, |new| {
        new.config().extend(set);
        Ok(())
    })
    .await
}

pub(super) async fn unset<L: Listener>(session: &Session, at: &ListenChange, keys: &[String]) -> Result<(), Failure> {
    change::<L>(session, at, |new| {
        new.config().retain(|key, _| !keys.contains(key));
        Ok(())
    })
    .await
}

pub(super) async fn create<L: Listener>(
    session: &Session,
    change: &ListenChange,
    keys: &Config,
    description: Option<&str>,
) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    let mut new: L = match is_redirected(&stdin)? {
        true => parse(&pairs::read_text(&mut stdin.lock())?)?,
        false => L::default(),
    };
    new.config().extend(keys.clone());
    let description = description.unwrap_or(new.description());
    let ListenChange { at, trial } = change;
    let options = trial::within(described(Some(description).filter(|text| !text.is_empty())), trial.within);
    let network = session.network(&at.network).await?;
    let job = session.allowed(|| new.create(&network, &at.listen, &options)).await?;
    wait::<L>(session, &job, "Creating", at).await?;
    session.name_or(&at.listen, format!("Network {} {} created", L::NOUN, at.listen))?;
    settle(session, change).await
}

pub(super) async fn delete<L: Listener>(session: &Session, change: &ListenChange) -> Result<(), Failure> {
    let ListenChange { at, trial } = change;
    let options = trial::within(Options::new(), trial.within);
    let network = session.network(&at.network).await?;
    let job = session.allowed(|| L::delete(&network, &at.listen, &options)).await?;
    wait::<L>(session, &job, "Deleting", at).await?;
    session.say(format!("Network {} {} deleted", L::NOUN, at.listen));
    settle(session, change).await
}

pub(super) async fn change<L: Listener>(
    session: &Session,
    at: &ListenChange,
    change: impl FnOnce(&mut L) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let network = session.network(&at.at.network).await?;
    let (mut new, generation) = read::<L>(session, &network, &at.at).await?;
    change(&mut new)?;
    replace(session, at, &network, &new, generation).await?;
    settle(session, at).await
}

pub(super) async fn edit<L: Listener>(session: &Session, at: &ListenChange) -> Result<(), Failure> {
    let network = session.network(&at.at.network).await?;
    let (before, generation) = read::<L>(session, &network, &at.at).await?;
    let mut changed = false;
    crate::editor::edit(&render::yaml(&before)?, async |text| {
        replace(session, at, &network, &parse::<L>(text)?, generation).await?;
        changed = true;
        Ok(())
    })
    .await?;
    if changed { settle(session, at).await } else { Ok(()) }
}

async fn replace<L: Listener>(
    session: &Session,
    change: &ListenChange,
    network: &NetworkProxy<'static>,
    new: &L,
    generation: u64,
) -> Result<(), Failure> {
    let ListenChange { at, trial } = change;
    let options = trial::within(described(Some(new.description())), trial.within);
    let job = session.allowed(|| new.replace(network, &at.listen, generation, &options)).await?;
    wait::<L>(session, &job, "Configuring", at).await
}

async fn wait<L: Listener>(session: &Session, job: &OwnedObjectPath, doing: &str, at: &ListenAddress) -> Result<(), Failure> {
    progress::wait(session, job, &format!("{doing} {} {}", L::NOUN, at.listen), OnInterrupt::Leave).await.map(drop)
}

/// Has the change confirmed, if it waits for that.
async fn settle(session: &Session, change: &ListenChange) -> Result<(), Failure> {
    trial::settle(session, std::slice::from_ref(&change.at.network), change.trial.within).await
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
}
