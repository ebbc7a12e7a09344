//! Disks that an instance has beside its root: from devices to what is mounted, and from one configuration to the next.
//! Changes nothing.

use super::expand;
use crate::ports::{DiskSource as Source, DiskSpec, RootSpec, State};
use crate::step::Step;
use crate::{Error, Kind, Ports, Result};
use lxhost_model::device::{Devices, Disk, DiskSource};
use lxhost_model::name::{DeviceName, ProjectName};
use lxhost_model::volume::Content;
use lxhost_model::{Instance, ObjectId, Pool, Volume};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A disk of an instance.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attached {
    /// The device.
    pub device: DeviceName,
    disk: Disk,
    /// The volume that it is, and that one's pool.
    volume: Option<(Box<Pool>, ObjectId)>,
}

impl Attached {
    /// The pool of its volume.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.volume.as_ref().map(|(pool, _)| pool.as_ref())
    }

    /// Where it is inside.
    pub(crate) fn path(&self) -> &str {
        &self.disk.path
    }

    /// The volume that it is, and that one's pool.
    pub(crate) fn volume(&self) -> Option<(&Pool, ObjectId)> {
        self.volume.as_ref().map(|(pool, volume)| (pool.as_ref(), *volume))
    }
}

/// The disks of `instance`, those whose paths lead to others first.
///
/// # Errors
/// `NoSuchPool`, `NoSuchVolume`; `InvalidConfig` for two at one path.
pub(crate) fn disks(state: &State, instance: &Instance) -> Result<Vec<Attached>> {
    let mut found: Vec<Attached> = vec![];
    for (name, device) in &expand(state, instance).devices {
        let attached =
            attached(state, &instance.project, name, device.keys()).map_err(|e| e.context(format!("device {name}")))?;
        let Some(attached) = attached else { continue };
        if let Some(other) = found.iter().find(|other| other.path() == attached.path()) {
            let what = format!("device {name}: device {} is at {}, too", other.device, attached.path());
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        found.push(attached);
    }
    found.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(found)
}

fn attached(
    state: &State,
    project: &ProjectName,
    name: &DeviceName,
    keys: &BTreeMap<String, String>,
) -> Result<Option<Attached>> {
    let Some(disk) = Disk::read(keys)? else { return Ok(None) };
    let DiskSource::Volume { pool, volume } = &disk.source else {
        return Ok(Some(Attached { device: name.clone(), disk, volume: None }));
    };
    let no_pool = || Error::new(Kind::NoSuchPool, format!("pool {pool} does not exist"));
    let found = state.pool(pool).ok_or_else(no_pool)?;
    let no_volume = || Error::new(Kind::NoSuchVolume, format!("volume {pool}/{volume} does not exist"));
    let record = state.volume(pool, project, volume).ok_or_else(no_volume)?;
    if record.content == Content::Block {
        let what = format!("volume {} is a block volume: it needs a virtual machine", record.title());
        return Err(Error::new(Kind::Unsupported, what));
    }
    let volume = record.id;
    let volume = Some((Box::new(Pool::clone(found)), volume));
    Ok(Some(Attached { device: name.clone(), disk, volume }))
}

/// What is mounted for it.
///
/// # Errors
/// Those of the registry of drivers.
pub(crate) fn spec(ports: &Ports, attached: &Attached) -> Result<DiskSpec> {
    let source = match (&attached.disk.source, &attached.volume) {
        (DiskSource::Host(host), _) => Source::Host(host.clone()),
        (DiskSource::Memory { size }, _) => Source::Memory(*size),
        (DiskSource::Volume { .. }, Some((pool, volume))) => {
            let volumes = ports.pools.driver(&pool.driver)?.volumes(pool);
            match ports.pools.driver(&volumes.driver)?.root(&volumes, *volume, None) {
                RootSpec::Tree { path } => Source::Tree(path),
                RootSpec::Overlay { .. } => return Err(Error::failed("its volume is no single tree")),
            }
        }
        (DiskSource::Volume { .. }, None) => return Err(Error::failed("its volume is not known")),
    };
    Ok(DiskSpec { source, target: attached.disk.path.clone(), read_only: attached.disk.read_only })
}

/// The steps from the disks that a running instance has to those it shall have. Those that go make room first, and what
/// lies below another goes before it and comes after it.
pub(crate) fn reattach(id: ObjectId, before: &[Attached], after: &[Attached]) -> Vec<Step> {
    let gone = before.iter().rev().filter(|disk| !after.contains(disk)).cloned();
    let come = after.iter().filter(|disk| !before.contains(disk)).cloned();
    let detach = |disk| Step::DetachDisk { instance: id, disk: Box::new(disk) };
    let attach = |disk| Step::AttachDisk { instance: id, disk: Box::new(disk) };
    gone.map(detach).chain(come.map(attach)).collect()
}

/// The volumes that `devices` name: they may not go while these are written.
pub(crate) fn named(state: &State, project: &ProjectName, devices: &Devices) -> Vec<ObjectId> {
    let is_named = |volume: &&Arc<Volume>| volume.project == *project && devices.values().any(|device| volume.is_of(device));
    let found: BTreeSet<ObjectId> = state.volumes.values().filter(is_named).map(|volume| volume.id).collect();
    found.into_iter().collect()
}
