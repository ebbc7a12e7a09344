//! Volumes that an instance has among its devices: from devices to what is mounted at its start. Changes nothing.

use super::expand;
use crate::ports::{MountSpec, RootSpec, State};
use crate::{Error, Kind, Ports, Result};
use lxhost_model::device::{Devices, Disk};
use lxhost_model::name::{DeviceName, ProjectName};
use lxhost_model::{Instance, ObjectId, Pool, Volume};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A volume of an instance, and where it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attached {
    device: DeviceName,
    disk: Disk,
    pool: Arc<Pool>,
    volume: ObjectId,
}

/// The volumes of `instance`, those whose paths lead to others first.
///
/// # Errors
/// `NoSuchPool`, `NoSuchVolume`; `InvalidConfig` for two at one path.
pub(crate) fn disks(state: &State, instance: &Instance) -> Result<Vec<Attached>> {
    let mut found: Vec<Attached> = vec![];
    for (name, device) in expand(state, instance).devices.iter().filter(|(_, device)| !device.is_root()) {
        let attached =
            attached(state, &instance.project, name, device.keys()).map_err(|e| e.context(format!("device {name}")))?;
        let Some(attached) = attached else { continue };
        let same = |other: &&Attached| other.disk.path.trim_end_matches('/') == attached.disk.path.trim_end_matches('/');
        if let Some(other) = found.iter().find(same) {
            let what = format!("device {name}: device {} is at {}, too", other.device, attached.disk.path);
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        found.push(attached);
    }
    found.sort_by(|a, b| a.disk.path.cmp(&b.disk.path));
    Ok(found)
}

fn attached(
    state: &State,
    project: &ProjectName,
    name: &DeviceName,
    keys: &std::collections::BTreeMap<String, String>,
) -> Result<Option<Attached>> {
    let Some(disk) = Disk::read(keys)? else { return Ok(None) };
    let no_pool = || Error::new(Kind::NoSuchPool, format!("pool {} does not exist", disk.pool));
    let pool = state.pool(&disk.pool).cloned().ok_or_else(no_pool)?;
    let no_volume = || Error::new(Kind::NoSuchVolume, format!("volume {}/{} does not exist", disk.pool, disk.volume));
    let volume = state.volume(&disk.pool, project, &disk.volume).ok_or_else(no_volume)?.id;
    Ok(Some(Attached { device: name.clone(), disk, pool, volume }))
}

/// What is mounted for them.
///
/// # Errors
/// Those of the registry of drivers.
pub(crate) fn mounts(ports: &Ports, attached: &[Attached]) -> Result<Vec<MountSpec>> {
    let mount = |one: &Attached| {
        let volumes = ports.pools.driver(&one.pool.driver)?.volumes(&one.pool);
        match ports.pools.driver(&volumes.driver)?.root(&volumes, one.volume, None) {
            RootSpec::Tree { path } => {
                Ok(MountSpec { source: path, target: one.disk.path.clone(), read_only: one.disk.read_only })
            }
            RootSpec::Overlay { .. } => Err(Error::failed(format!("device {}: its volume is no single tree", one.device))),
        }
    };
    attached.iter().map(mount).collect()
}

/// The volumes that `devices` name: they may not go while these are written.
pub(crate) fn named(state: &State, project: &ProjectName, devices: &Devices) -> Vec<ObjectId> {
    let is_named = |volume: &&Arc<Volume>| volume.project == *project && devices.values().any(|device| volume.is_of(device));
    let found: BTreeSet<ObjectId> = state.volumes.values().filter(is_named).map(|volume| volume.id).collect();
    found.into_iter().collect()
}
