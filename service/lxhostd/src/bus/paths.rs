//! Paths of the host that a call brings among devices: who is not root shows each of them by a descriptor, opened with
//! his own rights, so that the daemon mounts nothing for him that he could not read. Called by the writers of devices.

use super::options::Options;
use super::{Bus, invalid};
use lxhost_engine::Result;
use lxhost_model::device::{Device, Devices};
use lxhost_model::name::quoted;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use zbus::message::Header;

/// What a caller shows: the option `paths`, taken before the others are refused.
pub(super) fn take(options: &mut Options) -> Result<Vec<OwnedFd>> {
    options.fds("paths")
}

/// Refuses paths of the host in `new` that are not in `old` and that the caller has not shown.
///
/// # Errors
/// `InvalidArgs`.
pub(super) async fn check(bus: &Bus, header: &Header<'_>, files: Vec<OwnedFd>, new: &Devices, old: &Devices) -> Result<()> {
    let of = |devices: &Devices| devices.values().filter_map(Device::host_path).collect::<BTreeSet<String>>();
    let (new, mut may) = (of(new), of(old));
    if new.is_subset(&may) || bus.callers.identify(header).await?.uid == 0 {
        return Ok(());
    }
    for file in files {
        may.insert(bus.engine.host().path_of(file).await?);
    }
    match new.difference(&may).next() {
        None => Ok(()),
        Some(path) => {
            Err(invalid(format!("source {}: who is not root shows it, open for reading, in option paths", quoted(path))))
        }
    }
}
