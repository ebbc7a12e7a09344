//! What the first launch makes when nobody chose: the pool, the bridge and the profile `default`.

use crate::ports::State;
use crate::verb::{Verb, View};
use crate::{Error, Result};
use lxhost_model::Profile;
use lxhost_model::config::Config;
use lxhost_model::device::{Device, Devices};
use lxhost_model::name::{NetworkName, PoolName, ProfileName, ProjectName};

/// Name of the default pool and profile.
pub(crate) const DEFAULT: &str = "default";
/// Name of the default bridge.
pub(crate) const BRIDGE: &str = "lxbr0";

fn named<T: std::str::FromStr<Err = Error>>(name: &str) -> Result<T> {
    name.parse()
}

/// The pool, network or profile that is missing for a plain launch, if one is.
pub(crate) async fn missing(view: &View<'_>, project: &ProjectName, profiles: &[ProfileName]) -> Result<Option<Box<dyn Verb>>> {
    let state = &view.state;
    let wants_default = profiles.iter().any(|profile| profile.as_str() == DEFAULT);
    if state.pools.is_empty() {
        let driver = view.ports.pools.default_driver().await?.to_owned();
        let name: PoolName = named(DEFAULT)?;
        return Ok(Some(Box::new(crate::pool::Create::chosen(view, name, driver))));
    }
    // Somebody who has made networks of their own, or a profile, wanted no default bridge.
    if wants_default && state.profile(project, &named(DEFAULT)?).is_none() {
        if state.networks.is_empty() {
            let name: NetworkName = named(BRIDGE)?;
            return Ok(Some(Box::new(crate::network::Create::chosen(view, project.clone(), name))));
        }
        return Ok(Some(Box::new(crate::profile::Create::of(profile(view, state, project)?))));
    }
    Ok(None)
}

/// The profile `default`: a root on the first pool, an interface in the first network.
fn profile(view: &View<'_>, state: &State, project: &ProjectName) -> Result<Profile> {
    let mut devices = Devices::new();
    let pool = state.pools.values().find(|pool| pool.name.as_str() == DEFAULT).or_else(|| state.pools.values().next());
    if let Some(pool) = pool {
        insert(&mut devices, "root", &[("type", "disk"), ("path", "/"), ("pool", pool.name.as_str())])?;
    }
    let network =
        state.networks.values().find(|network| network.name.as_str() == BRIDGE).or_else(|| state.networks.values().next());
    if let Some(network) = network {
        insert(&mut devices, "eth0", &[("type", "nic"), ("name", "eth0"), ("network", network.name.as_str())])?;
    }
    Ok(Profile {
        id: lxhost_model::ObjectId::from_random(view.ports.host.random()),
        project: project.clone(),
        name: named(DEFAULT)?,
        description: "Default profile".to_owned(),
        config: Config::new(),
        devices,
        created: view.now,
        generation: 0,
    })
}

fn insert(devices: &mut Devices, name: &str, keys: &[(&str, &str)]) -> Result<()> {
    let name = named(name)?;
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let device = Device::new(&name, keys)?;
    devices.insert(name, device);
    Ok(())
}
