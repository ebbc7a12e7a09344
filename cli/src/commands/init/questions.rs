//! `init` without options: a few questions, each with the answer that suits most hosts.

use super::preseed::{NetworkSeed, PoolSeed, Preseed};
use super::{Existing, NETWORK, POOL};
use crate::failure::Failure;
use dialoguer::{Confirm, Input};

/// Asks; what is there already is not asked about.
pub(crate) fn ask(existing: &Existing) -> Result<Preseed, Failure> {
    let mut wanted = Preseed::default();
    let pool = match existing.pools.first() {
        Some(pool) => {
            eprintln!("There is a storage pool already: {pool}");
            Some(pool.clone())
        }
        None => pool(&mut wanted)?,
    };
    let network = match existing.networks.first() {
        Some(network) => {
            eprintln!("There is a network already: {network}");
            Some(network.clone())
        }
        None => network(&mut wanted)?,
    };
    if let Some(pool) = pool {
        wanted.root_and_nic(&pool, network.as_deref());
    }
    if yes("Print this as YAML for `lxctl init --preseed`", false)? {
        crate::render::print(&crate::render::yaml(&wanted)?)?;
    }
    Ok(wanted)
}

fn pool(wanted: &mut Preseed) -> Result<Option<String>, Failure> {
    if !yes("Make a storage pool", true)? {
        return Ok(None);
    }
    let name = text("Name of the pool", POOL)?;
    let driver = text("Driver (auto: what suits the file system of /var/lib/lxhost)", "auto")?;
    let source = text("Directory or device to put it on (auto: below /var/lib/lxhost)", "auto")?;
    let mut seed = PoolSeed { name: name.clone(), ..PoolSeed::default() };
    if driver != "auto" {
        seed.driver = driver;
    }
    if source != "auto" {
        seed.config.insert("source".to_owned(), source);
    }
    wanted.storage_pools.push(seed);
    Ok(Some(name))
}

fn network(wanted: &mut Preseed) -> Result<Option<String>, Failure> {
    if !yes("Make a network bridge", true)? {
        return Ok(None);
    }
    let name = text("Name of the bridge", NETWORK)?;
    let mut seed = NetworkSeed { name: name.clone(), ..NetworkSeed::default() };
    for (family, key) in [("IPv4", "ipv4.address"), ("IPv6", "ipv6.address")] {
        let address = text(&format!("{family} address of the bridge (CIDR, auto or none)"), "auto")?;
        if address != "auto" {
            seed.config.insert(key.to_owned(), address);
        }
    }
    wanted.networks.push(seed);
    Ok(Some(name))
}

fn yes(question: &str, default: bool) -> Result<bool, Failure> {
    Confirm::new().with_prompt(question).default(default).interact().map_err(stopped)
}

fn text(question: &str, default: &str) -> Result<String, Failure> {
    Input::new().with_prompt(question).default(default.to_owned()).interact_text().map_err(stopped)
}

fn stopped(error: dialoguer::Error) -> Failure {
    Failure::of(lxhost_model::Kind::Canceled, format!("the questions were not answered, nothing is made: {error}"))
}
