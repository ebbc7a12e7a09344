//! What lies on the disks and is in no record: read from the definitions that are written beside it. Whoever brought a
//! disk may have written them, so they are checked as a caller's words are, and nothing else is believed. Called by
//! `recover`.

use super::trash;
use crate::ports::{Defined, Definition, Lying, State};
use crate::verb::View;
use crate::{Error, Kind, Ports, Result, defaults};
use lxhost_model::config::{check_instance, check_text};
use lxhost_model::device::Device;
use lxhost_model::instance::InstanceType;
use lxhost_model::name::PoolName;
use lxhost_model::{
    Acl, Fingerprint, Image, Instance, Network, ObjectId, Pool, Profile, Snapshot, Status, Trashed, Volume, VolumeSnapshot,
};
use std::path::PathBuf;
use std::sync::Arc;

/// Something that no record knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A pool.
    Pool(Pool),
    /// A network ACL.
    Acl(Acl),
    /// A network.
    Network(Box<Network>),
    /// A profile.
    Profile(Profile),
    /// An image whose files are here.
    Image(Image),
    /// A volume on a pool that is known or found.
    Volume(Volume),
    /// A snapshot of a volume that is known or found.
    VolumeSnapshot(Box<VolumeSnapshot>),
    /// An instance.
    Instance(Box<Instance>),
    /// A snapshot of an instance that is known or found.
    Snapshot(Box<Snapshot>),
    /// What is in the trash of a pool that is known or found.
    Trashed(Box<Trashed>),
    /// What is left where it lies.
    Left {
        /// What it is: `pool`, `acl`, `network`, `profile`, `image`, `volume`, `instance`, `snapshot`, `trash`.
        kind: &'static str,
        /// Its name, or id.
        name: String,
        /// Where it lies.
        place: String,
        /// Why.
        why: String,
    },
}

/// Everything that is found, each after what it needs.
///
/// # Errors
/// When a directory cannot be read.
pub(super) async fn all(view: &View<'_>, sources: &[PathBuf]) -> Result<Vec<Found>> {
    let (state, ports) = (view.state.as_ref(), view.ports);
    ports.filesystems.bring_back().await?;
    let lying = ports.pools.lying(sources).await?;
    let (mut found, mut lost) = (vec![], vec![]);
    for one in pools(state, lying, ports) {
        match one {
            Found::Pool(pool) => lost.push(pool),
            other => found.push(other),
        }
    }
    let mut there = vec![];
    for pool in state.pools.values().map(|pool| Pool::clone(pool)).chain(lost) {
        match definitions(ports, &pool).await {
            Ok(definitions) => there.push((pool, definitions)),
            Err(error) => found.push(left("pool", &pool.name, ports.filesystems.directory(&pool).display(), error)),
        }
    }
    let is_lost = |pool: &&Pool| !state.pools.contains_key(&pool.id);
    found.extend(there.iter().map(|(pool, _)| pool).filter(is_lost).cloned().map(Found::Pool));
    let kept = ports.images.kept().await?;
    let mut apart = ports.definitions.all().await?;
    apart.sort_by(|one, other| one.of.cmp(&other.of));
    for definition in apart {
        found.extend(without_disk(view, &kept, &found, &definition));
    }
    for (pool, definitions) in there {
        of_pool(view, definitions, &pool, &mut found).await;
    }
    Ok(found)
}

fn left(kind: &'static str, name: impl ToString, place: impl ToString, why: impl ToString) -> Found {
    Found::Left { kind, name: name.to_string(), place: place.to_string(), why: why.to_string() }
}

fn pools(state: &State, lying: Vec<Lying>, ports: &Ports) -> Vec<Found> {
    let mut found: Vec<Found> = vec![];
    for one in lying {
        let source = one.source.to_string_lossy().into_owned();
        if one.id.parse::<ObjectId>().is_ok_and(|id| state.pools.contains_key(&id)) {
            continue;
        }
        let taken = |pool: &Pool| {
            let among = |other: &Found| matches!(other, Found::Pool(other) if other.name == pool.name || other.id == pool.id);
            state.pool(&pool.name).is_some() || found.iter().any(among)
        };
        let read = read::<Pool>(&one.text).and_then(|pool| {
            ports.pools.driver(&pool.driver)?;
            check_text("description", &pool.description)?;
            pool.config.iter().try_for_each(|(key, value)| check_text(key, value))?;
            lxhost_model::trash::check(&pool.config)?;
            match pool.id.to_string() == one.id {
                false => Err(Error::new(Kind::Untrusted, "its definition is another pool's")),
                true if taken(&pool) => Err(Error::new(Kind::AlreadyExists, format!("there is a pool {} already", pool.name))),
                true => Ok(pool),
            }
        });
        found.push(match read {
            Ok(mut pool) => {
                // Where a disk is mounted may change, unless that is up to us.
                if !(ports.filesystems.is_own(&pool) && ports.filesystems.directory(&pool) == one.source) {
                    pool.config.retain(|key, _| key.starts_with("user.") || key == lxhost_model::trash::EXPIRY);
                    pool.config.insert("source".to_owned(), source);
                }
                pool.generation = 0;
                Found::Pool(pool)
            }
            Err(error) => left("pool", &one.id, source, error),
        });
    }
    found
}

/// What a definition in a directory of its own is about, if no record knows it. Who may write there may write the store.
fn without_disk(view: &View<'_>, kept: &[Fingerprint], others: &[Found], definition: &Definition<String>) -> Option<Found> {
    let state = view.state.as_ref();
    let (kind, id) = definition.of.split_once('-')?;
    let id: ObjectId = id.parse().ok()?;
    let (kind, found): (&'static str, Result<Found>) = match kind {
        "acl" if !state.acls.contains_key(&id) => (
            "acl",
            read::<Acl>(&definition.text).and_then(|acl| {
                let taken = state.acls.values().any(|other| other.project == acl.project && other.name == acl.name);
                if taken { Err(is_taken("ACL", &acl.name)) } else { Ok(Found::Acl(acl)) }
            }),
        ),
        "network" if !state.networks.contains_key(&id) => (
            "network",
            read::<Network>(&definition.text).and_then(|network| {
                let taken = state.networks.values().any(|other| other.project == network.project && other.name == network.name);
                if taken { Err(is_taken("network", &network.name)) } else { Ok(Found::Network(Box::new(network))) }
            }),
        ),
        "profile" if !state.profiles.contains_key(&id) => (
            "profile",
            read::<Profile>(&definition.text).and_then(|profile| {
                let taken = state.profile(&profile.project, &profile.name).is_some();
                if taken { Err(is_taken("profile", &profile.name)) } else { Ok(Found::Profile(profile)) }
            }),
        ),
        "volume" | "volumesnapshot" if state.trash.contains_key(&id) => return None,
        "volume" | "volumesnapshot"
            if !trash::is_alive(state, id)
                && let Ok(trashed) = read::<Trashed>(&definition.text) =>
        {
            ("trash", trash::apart(view, others, id, trashed))
        }
        "volume" if !state.volumes.contains_key(&id) => {
            let read = read::<Volume>(&definition.text).and_then(|volume| {
                let taken = state.volume(&volume.pool, &volume.project, &volume.name).is_some();
                match is_here(state, others, &volume.pool) {
                    _ if taken => Err(is_taken("volume", &volume.name)),
                    false => Err(Error::new(Kind::NoSuchPool, format!("its pool {} is not here", volume.pool))),
                    true => Ok(Found::Volume(volume)),
                }
            });
            ("volume", read)
        }
        "volumesnapshot" if !state.volume_snapshots.keys().any(|(_, known)| *known == id) => {
            ("snapshot", read(&definition.text).and_then(|snapshot| of_volume(state, others, snapshot)))
        }
        "image" if !state.images.contains_key(&id) => {
            ("image", read::<Image>(&definition.text).map(|image| Found::Image(free(state, image))))
        }
        _ => return None,
    };
    match found {
        // One whose files are gone is gone, and one that came back has a record.
        Ok(Found::Image(image))
            if !kept.contains(&image.fingerprint) || state.image(&image.project, &image.fingerprint).is_some() =>
        {
            None
        }
        Ok(found) => Some(found),
        Err(error) => Some(left(kind, &definition.of, "", error)),
    }
}

/// Whether a pool is known or found, and may be looked into.
pub(super) fn is_here(state: &State, found: &[Found], pool: &PoolName) -> bool {
    let refused = |one: &Found| matches!(one, Found::Left { kind: "pool", name, .. } if *name == pool.to_string());
    let among = |one: &Found| matches!(one, Found::Pool(found) if found.name == *pool);
    found.iter().any(among) || (state.pool(pool).is_some() && !found.iter().any(refused))
}

/// The snapshot, of a volume that is known or found.
fn of_volume(state: &State, others: &[Found], snapshot: VolumeSnapshot) -> Result<Found> {
    let of = &snapshot.volume;
    let is_there = |one: &Found| matches!(one, Found::Volume(volume) if volume.id == of.id);
    match state.volumes.contains_key(&of.id) || others.iter().any(is_there) {
        false => Err(Error::new(Kind::NoSuchVolume, format!("its volume {} is not here", of.title()))),
        true if state.volume_snapshot(of.id, &snapshot.name).is_some() => Err(is_taken("snapshot", &snapshot.name)),
        true => Ok(Found::VolumeSnapshot(Box::new(VolumeSnapshot { generation: 0, ..snapshot }))),
    }
}

fn is_taken(kind: &str, name: impl std::fmt::Display) -> Error {
    Error::new(Kind::AlreadyExists, format!("there is a {kind} {name} already"))
}

/// The image without names that others have by now.
fn free(state: &State, mut image: Image) -> Image {
    let others = || state.images.values().filter(|other| other.project == image.project);
    let (aliases, source) = (
        others().flat_map(|other| other.aliases.clone()).collect::<Vec<_>>(),
        others().any(|other| other.source == image.source),
    );
    image.aliases.retain(|alias| !aliases.contains(alias));
    if source {
        image.source.clear();
    }
    image
}

/// What is written on a pool about what lies there, instances before snapshots.
async fn definitions(ports: &Ports, pool: &Pool) -> Result<Vec<Definition>> {
    crate::step::ready(ports, pool).await?;
    let mut definitions = ports.pools.driver(&pool.driver)?.definitions(pool).await?;
    definitions.sort_by_key(|definition| definition.of);
    Ok(definitions)
}

async fn of_pool(view: &View<'_>, definitions: Vec<Definition>, pool: &Pool, found: &mut Vec<Found>) {
    let state = &view.state;
    let lying: Vec<Defined> = definitions.iter().map(|definition| definition.of).collect();
    for definition in definitions {
        match definition.of {
            Defined::Pool => {}
            Defined::Instance(id) if state.instances.contains_key(&id) || crate::trash::holds(state, id) => {}
            Defined::Snapshot(id) if crate::trash::holds(state, id) || trash::has(found, id) => {}
            Defined::Snapshot(id) if state.snapshots.keys().any(|(_, known)| *known == id) => {}
            Defined::Instance(_) | Defined::Snapshot(_) if let Some(one) = trash::beside(view, pool, &definition, &lying) => {
                found.push(one.unwrap_or_else(|(name, error)| left("trash", name, &pool.name, error)));
            }
            Defined::Instance(id) => {
                let read = read::<Instance>(&definition.text).map_err(|error| (id.to_string(), error));
                let read = read.and_then(|instance| checked(state, found, instance, (id, pool)));
                let one = match read {
                    // One that has outlived the records has to be stopped by other means.
                    Ok(instance) => match view.ports.launcher.adopt(id, &instance.machine_name()).await {
                        Ok(None) => Found::Instance(Box::new(instance)),
                        _ => left(
                            "instance",
                            &instance.name,
                            &pool.name,
                            format!("it runs; machinectl terminate {} ends it", instance.machine_name()),
                        ),
                    },
                    Err((name, error)) => left("instance", name, &pool.name, error),
                };
                found.push(one);
            }
            Defined::Snapshot(id) => {
                let read = read::<Snapshot>(&definition.text).map_err(|error| (id.to_string(), error));
                let read = read.and_then(|snapshot| whose(state, found, snapshot, (id, pool)));
                found.push(match read {
                    Ok(snapshot) => Found::Snapshot(Box::new(snapshot)),
                    Err((name, error)) => left("snapshot", name, &pool.name, error),
                });
            }
        }
    }
}

/// A record from what is written beside a disk.
pub(super) fn read<T: serde::de::DeserializeOwned>(text: &Result<String>) -> Result<T> {
    let text = text.as_ref().map_err(Clone::clone)?;
    serde_json::from_str(text).map_err(|e| Error::new(Kind::Untrusted, format!("its definition is malformed: {e}")))
}

type Judged<T> = std::result::Result<T, (String, Error)>;

/// The instance as it may be had here.
fn checked(state: &State, found: &[Found], mut instance: Instance, (id, pool): (ObjectId, &Pool)) -> Judged<Instance> {
    let name = instance.name.to_string();
    let check = || {
        if instance.id != id {
            return Err(Error::new(Kind::Untrusted, "its definition is another instance's"));
        }
        if instance.kind != InstanceType::Container {
            return Err(Error::new(Kind::Unsupported, "it is a virtual machine"));
        }
        words(&instance)?;
        let among = |one: &Found| matches!(one, Found::Instance(other) if other.id == id || (other.name == instance.name && other.project == instance.project));
        if state.instance(&instance.project, &instance.name).is_some() || found.iter().any(among) {
            let what = format!("there is an instance {} already; rename that one first", instance.name);
            return Err(Error::new(Kind::AlreadyExists, what));
        }
        let is_missing = |profile: &&lxhost_model::name::ProfileName| {
            let among = |one: &Found| matches!(one, Found::Profile(found) if found.name == **profile);
            profile.as_str() != defaults::DEFAULT
                && state.profile(&instance.project, profile).is_none()
                && !found.iter().any(among)
        };
        match instance.profiles.iter().find(is_missing) {
            Some(profile) => {
                Err(Error::new(Kind::NoSuchProfile, format!("its profile {profile} is missing; lxctl profile create {profile}")))
            }
            None => Ok(()),
        }
    };
    check().map_err(|error| (name, error))?;
    instance.pool = pool.name.clone();
    instance.status = Status::Stopped;
    (instance.generation, instance.last_exit) = (0, None);
    Ok(instance)
}

/// The snapshot, of an instance that is known or found.
fn whose(state: &State, found: &[Found], mut snapshot: Snapshot, (id, pool): (ObjectId, &Pool)) -> Judged<Snapshot> {
    let name = format!("{}/{}", snapshot.instance.name, snapshot.name);
    let of = snapshot.instance.id;
    let check = || {
        if snapshot.id != id {
            return Err(Error::new(Kind::Untrusted, "its definition is another snapshot's"));
        }
        check_text("description", &snapshot.description)?;
        words(&snapshot.instance)?;
        let mut there = state.instances.get(&of).cloned();
        for one in found {
            match one {
                Found::Instance(instance) if instance.id == of => there = Some(Arc::new(Instance::clone(instance))),
                Found::Snapshot(other) if other.instance.id == of && other.name == snapshot.name => {
                    return Err(Error::new(Kind::AlreadyExists, "another snapshot has its name"));
                }
                _ => {}
            }
        }
        match there {
            None => Err(Error::new(Kind::NoSuchInstance, "its instance is not here")),
            Some(instance) if instance.pool != pool.name => Err(Error::new(Kind::Conflict, "its instance is on another pool")),
            Some(_) if state.snapshot(of, &snapshot.name).is_some() => {
                Err(Error::new(Kind::AlreadyExists, "another snapshot has its name"))
            }
            Some(_) => Ok(()),
        }
    };
    check().map_err(|error| (name, error))?;
    snapshot.instance.pool = pool.name.clone();
    snapshot.generation = 0;
    Ok(snapshot)
}

/// Checks everything that people write about an instance.
pub(super) fn words(instance: &Instance) -> Result<()> {
    check_text("description", &instance.description)?;
    instance.config.iter().try_for_each(|(key, value)| check_instance(key, value))?;
    check_text("architecture", &instance.architecture)?;
    for (key, value) in instance.volatile.iter().chain(&instance.image_properties) {
        check_text("a key", key).and_then(|()| check_text(key, value))?;
    }
    instance.devices.iter().try_for_each(|(name, device)| Device::new(name, device.keys().clone()).map(drop))
}
