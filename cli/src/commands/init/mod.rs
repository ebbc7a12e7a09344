//! `init`: choose pool and network before the first launch; or, with an image, `create`.

pub(crate) mod preseed;
mod questions;

use crate::args::{Init, NewInstance};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render;
use lxhost_dbus::{Config, Devices, Options};
use preseed::{NetworkSeed, PoolSeed, Preseed};
use std::collections::BTreeSet;
use std::io::IsTerminal;

/// Names of what a launch without an init makes.
const POOL: &str = "default";
const NETWORK: &str = "lxbr0";
const PROFILE: &str = "default";

/// Runs `init`.
pub(crate) async fn run(session: &Session, args: Init) -> Result<(), Failure> {
    if args.image.is_some() || args.shape.empty {
        let args = NewInstance { image: args.image, name: args.name, shape: args.shape };
        return super::launch::run(session, &args, false).await;
    }
    if args.dump {
        return render::print(&render::yaml(&dump(session).await?)?);
    }
    let wanted = if args.preseed {
        Preseed::parse(&crate::pairs::read_text(&mut std::io::stdin().lock())?)?
    } else if args.auto || args.minimal {
        suited(&Existing::read(session).await?, args.storage_backend.as_deref().unwrap_or_default())
    } else if std::io::stdin().is_terminal() {
        questions::ask(&Existing::read(session).await?)?
    } else {
        return Err(Failure::usage("standard input is no terminal to ask on")
            .hint("lxctl init --auto asks nothing, lxctl init --preseed reads YAML"));
    };
    apply(session, &wanted).await
}

/// Names of what there is.
pub(crate) struct Existing {
    pools: BTreeSet<String>,
    networks: BTreeSet<String>,
}

impl Existing {
    async fn read(session: &Session) -> Result<Self, Failure> {
        let pools = session.manager().await?.list_pools().await?.into_iter().map(|row| row.name).collect();
        let networks = pages::networks(session, None).await?.into_iter().map(|row| row.name).collect();
        Ok(Existing { pools, networks })
    }
}

/// What suits this host; what is there stays.
fn suited(existing: &Existing, driver: &str) -> Preseed {
    let mut wanted = Preseed::default();
    if !existing.pools.contains(POOL) {
        wanted.storage_pools.push(PoolSeed { name: POOL.into(), driver: driver.into(), ..PoolSeed::default() });
    }
    if !existing.networks.contains(NETWORK) {
        wanted.networks.push(NetworkSeed { name: NETWORK.into(), ..NetworkSeed::default() });
    }
    wanted.root_and_nic(POOL, Some(NETWORK));
    wanted
}

/// Makes what is missing. Pools and networks that exist are left alone; profiles get the devices and keys named.
async fn apply(session: &Session, wanted: &Preseed) -> Result<(), Failure> {
    let existing = Existing::read(session).await?;
    for pool in wanted.storage_pools.iter().filter(|pool| !existing.pools.contains(&pool.name)) {
        super::storage::create(session, &pool.name, &pool.driver, &pool.config, pool.description.as_deref()).await?;
        session.say(format!("Storage pool {} created", pool.name));
    }
    for network in wanted.networks.iter().filter(|network| !existing.networks.contains(&network.name)) {
        super::network::create(session, &network.name, network.kind(), &network.config, network.description.as_deref(), None)
            .await?;
        session.say(format!("Network {} created", network.name));
    }
    for profile in &wanted.profiles {
        let name = profile.name.as_deref().unwrap_or(PROFILE);
        merge(session, name, &profile.config, &profile.devices, profile.description.as_deref()).await?;
    }
    Ok(())
}

/// Adds keys and devices to a profile, making it when it is missing.
async fn merge(session: &Session, name: &str, config: &Config, devices: &Devices, about: Option<&str>) -> Result<(), Failure> {
    let options: Options<'_> = about.map(|d| ("description", d.into())).into_iter().collect();
    let manager = session.manager().await?;
    let known = pages::profiles(session, None).await?.iter().any(|row| row.name == name);
    if !known {
        session.allowed(|| manager.create_profile(&session.project, name, config, devices, &options)).await?;
        session.say(format!("Profile {name} created"));
        return Ok(());
    }
    let profile = session.profile(name).await?;
    let none = Options::new();
    let (old_config, old_devices, generation) = session.allowed(|| profile.get_config(&none)).await?;
    let (mut new_config, mut new_devices) = (old_config.clone(), old_devices.clone());
    new_config.extend(config.clone());
    for (device, keys) in devices {
        new_devices.insert(device.clone(), keys.clone());
    }
    if (&new_config, &new_devices) == (&old_config, &old_devices) {
        return Ok(());
    }
    session.allowed(|| profile.replace_config(&new_config, &new_devices, generation, &options)).await?;
    session.say(format!("Profile {name} changed"));
    Ok(())
}

/// What there is, as a preseed.
async fn dump(session: &Session) -> Result<Preseed, Failure> {
    let mut all = Preseed::default();
    for row in session.manager().await?.list_pools().await? {
        let pool = session.pool(&row.name).await?;
        let none = Options::new();
        let (config, _) = session.allowed(|| pool.get_config(&none)).await?;
        all.storage_pools.push(PoolSeed { name: row.name, driver: row.driver, config, ..PoolSeed::default() });
    }
    for row in pages::networks(session, None).await?.into_iter().filter(|row| row.managed) {
        let network = session.network(&row.name).await?;
        let none = Options::new();
        let (config, _) = session.allowed(|| network.get_config(&none)).await?;
        all.networks.push(NetworkSeed { name: row.name, kind: row.kind, config, ..NetworkSeed::default() });
    }
    for row in pages::profiles(session, None).await? {
        let profile = session.profile(&row.name).await?;
        let none = Options::new();
        let (config, devices, _) = session.allowed(|| profile.get_config(&none)).await?;
        let description = Some(row.description).filter(|d| !d.is_empty());
        all.profiles.push(crate::definition::Definition {
            name: Some(row.name),
            description,
            config,
            devices,
            ..Default::default()
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let nothing = Existing { pools: BTreeSet::new(), networks: BTreeSet::new() };
        let wanted = suited(&nothing, "");
        assert_eq!((wanted.storage_pools.len(), wanted.networks.len(), wanted.profiles.len()), (1, 1, 1));
        let all = Existing { pools: [POOL.to_owned()].into(), networks: [NETWORK.to_owned()].into() };
        let wanted = suited(&all, "");
        assert!(wanted.storage_pools.is_empty() && wanted.networks.is_empty());
        assert_eq!(wanted.profiles[0].devices["eth0"]["network"], NETWORK);
    }
}
