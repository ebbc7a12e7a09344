//! Verbs on instances, one file each, and what several of them share.

mod across;
mod bulk;
mod configure;
mod copy;
mod create;
mod delete;
mod disks;
mod exited;
mod export;
mod freeze;
mod import;
mod nics;
mod proxies;
mod publish;
mod refresh;
mod relocate;
mod rename;
mod restart;
mod rewired;
mod start;
mod stop;

pub use bulk::{Bulk, BulkVerb};
pub use configure::{Change, Configure};
pub use copy::Original;
pub use create::{Create, Source, Spec};
pub(crate) use create::{free_ids, is_block};
pub use delete::Delete;
pub(crate) use delete::is_orphan;
pub use disks::Attached;
pub(crate) use disks::{disks, named, reattach, spec};
pub(crate) use exited::{Exited, end_of_run};
pub use export::Export;
pub use freeze::{Freeze, Thaw};
pub(crate) use import::free_mac;
pub use import::{Import, Wanted};
pub use nics::Wired;
pub(crate) use nics::{needed, nics, refuse_clashes, rewire};
pub(crate) use proxies::{proxies, refuse_diversion, refuse_taken, reproxy};
pub use publish::{Edition, Publish};
pub use refresh::Refresh;
pub use relocate::Move;
pub use rename::Rename;
pub use restart::Restart;
pub(crate) use rewired::rewired;
pub use start::Start;
pub use stop::Stop;

use crate::ports::State;
use crate::step::Ran;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::instance::Expanded;
use lxhost_model::name::DeviceName;
use lxhost_model::{Action, Instance, ObjectId, Pool};

/// Seconds an instance gets for an orderly stop when nothing says otherwise.
const STOP_SECONDS: u32 = 30;

/// The configuration of `instance` with its profiles applied.
pub fn expand(state: &State, instance: &Instance) -> Expanded {
    let profiles = instance.profiles.iter().filter_map(|name| state.profile(&instance.project, name));
    instance.expand(profiles.map(AsRef::as_ref))
}

/// The one guard that every writer of configuration calls, on the final merged result: what equals
/// root on the host is asked about by name, and so is what reaches links of the host.
pub(crate) fn guard(state: &State, instance: &Instance, verb: &str) -> Vec<Question> {
    let asked = guarded(&expand(state, instance));
    asked.into_iter().map(|action| Question::about(action, instance, verb)).collect()
}

/// What a merged configuration asks beside the right to write it.
pub(crate) fn guarded(merged: &Expanded) -> Vec<Action> {
    let physical = merged.devices.values().any(lxhost_model::device::Device::reaches_links);
    let asked = [(merged.is_privileged(), Action::InstanceConfigurePrivileged), (physical, Action::NetworkAttachPhysical)];
    asked.into_iter().filter(|(asked, _)| *asked).map(|(_, action)| action).collect()
}

/// Questions of a verb that acts on one existing instance. An instance that is gone is asked about
/// too, without details: who may not act learns nothing.
pub(crate) fn questions(state: &State, id: ObjectId, action: Action, verb: &str) -> Vec<Question> {
    match state.instances.get(&id) {
        Some(instance) => vec![Question::about(action, instance, verb)],
        None => vec![Question { action, details: vec![("instance-id", id.to_string()), ("verb", verb.to_owned())] }],
    }
}

/// What a run of `instance` uses outside of it.
pub(crate) fn ran(state: &State, instance: &Instance) -> Ran {
    let nics = nics(state, instance).unwrap_or_default();
    let networks = nics.iter().filter_map(|nic| nic.network.clone()).collect();
    let nics = nics.into_iter().filter(|nic| nic.network.is_none()).collect();
    let proxies = proxies(state, instance).unwrap_or_default();
    Ran { instance: instance.id, machine: instance.machine_name(), networks, nics, proxies }
}

/// The pool an instance lies on.
pub(crate) fn pool_of(state: &State, instance: &Instance) -> Result<Pool> {
    let pool = state
        .pool(&instance.pool)
        .ok_or_else(|| Error::new(Kind::NoSuchPool, format!("pool {} does not exist", instance.pool)))?;
    Ok(Pool::clone(pool))
}

/// Bytes that the root of an instance takes on its pool, without what it shares with others, and those that it may take.
///
/// # Errors
/// `NoSuchInstance`; `Failed`, as when its pool cannot be reached.
pub async fn used(state: &State, ports: &crate::Ports, id: ObjectId) -> Result<(u64, Option<u64>)> {
    let instance = crate::core::instance_of(state, id)?;
    let pool = pool_of(state, &instance)?;
    crate::step::ready(ports, &pool).await?;
    let used = ports.pools.driver(&pool.driver)?.used(&pool, id).await;
    let used = used.map_err(|error| error.context(format!("instance {}", instance.name)))?;
    Ok((used, crate::quota::of_root(state, &instance)?))
}

/// Volatile key that keeps the hardware address of an interface.
pub(crate) fn mac_key(device: &DeviceName) -> String {
    format!("{device}.hwaddr")
}

/// A hardware address for an interface: locally administered, from the instance's id and the device's name.
pub(crate) fn mac(id: ObjectId, device: &DeviceName) -> String {
    // FNV-1a: a stable spread of the name over the id's random bytes is all that is needed.
    let hash = device.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let (id, hash) = (id.bytes(), hash.to_be_bytes());
    format!("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", id[0], id[1], id[2] ^ hash[5], id[3] ^ hash[6], id[4] ^ hash[7])
}

/// Seconds an instance gets for an orderly stop.
pub(crate) fn stop_seconds(config: &lxhost_model::config::Config) -> u32 {
    config.get("boot.host_shutdown_timeout").and_then(|value| value.parse().ok()).unwrap_or(STOP_SECONDS)
}

/// That an instance does not run.
pub(crate) fn not_running(instance: &Instance) -> Error {
    Error::new(Kind::NotRunning, format!("instance {} is {}", instance.name, instance.status))
}
