//! What the engine does about links and routes that change behind its back: networks that somebody deleted, flushed
//! or renamed are brought up again, with the interfaces of the instances in them; subnets that somebody else came to
//! use are told of. Called once, by `Engine::start`.

use crate::core::Core;
use crate::network::Up;
use crate::ports::{NetworkChange, NetworkRecords};
use lxhost_model::{Network, ObjectId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long changes are gathered: they come in bursts.
const GATHER: Duration = Duration::from_millis(300);
/// Repairs of one network within [`WINDOW`], before somebody is left to have it his way.
const REPAIRS: usize = 10;
/// See [`REPAIRS`].
const WINDOW: Duration = Duration::from_secs(60);

/// What has been done and said about networks.
#[derive(Default)]
struct Memory {
    repairs: BTreeMap<ObjectId, Vec<Instant>>,
    warnings: BTreeMap<ObjectId, Vec<String>>,
}

/// Follows changes for as long as the registry tells them.
pub(crate) async fn run(core: Arc<Core>) {
    let mut memory = Memory::default();
    while let Some(first) = core.ports.networks.next_change().await {
        let (mut links, mut routes) = (BTreeSet::new(), false);
        let mut take = |change| match change {
            NetworkChange::Link(name) => drop(links.insert(name)),
            NetworkChange::Routes => routes = true,
        };
        take(first);
        let end = tokio::time::Instant::now() + GATHER;
        while let Ok(Some(change)) = tokio::time::timeout_at(end, core.ports.networks.next_change()).await {
            take(change);
        }
        for network in core.state().networks.values() {
            let Ok(driver) = core.ports.networks.driver(&network.kind) else { continue };
            if links.contains(&driver.interface(network)) {
                repair(&core, network, &mut memory).await;
            }
        }
        if routes {
            warn(&core, &mut memory).await;
        }
    }
}

/// Brings a network up again, unless a job is at it or it is as it has to be.
async fn repair(core: &Arc<Core>, network: &Arc<Network>, memory: &mut Memory) {
    let Ok(driver) = core.ports.networks.driver(&network.kind) else { return };
    if core.jobs.holds(network.id) || driver.is_up(network).await.unwrap_or(false) {
        return;
    }
    let done = memory.repairs.entry(network.id).or_default();
    done.retain(|then| then.elapsed() < WINDOW);
    if done.len() >= REPAIRS {
        tracing::warn!(network = %network.name, "its interface is changed again and again; it is left as it is for a minute");
        return;
    }
    done.push(Instant::now());
    tracing::warn!(network = %network.name, "somebody changed its interface; it is brought up again");
    let Ok(job) = core.open(0, Box::new(Up::new(network.clone()))) else { return };
    match core.jobs.outcome(job).await {
        Ok(_) => crate::step::replug(core, network).await,
        Err(error) => tracing::error!(network = %network.name, "it could not be brought up again: {error}"),
    }
}

/// Says what is new of what is not as it has to be.
async fn warn(core: &Arc<Core>, memory: &mut Memory) {
    let all = NetworkRecords::of(&core.state()).networks;
    for network in &all {
        let others: Vec<_> = all.iter().filter(|other| other.id != network.id).cloned().collect();
        let Ok(driver) = core.ports.networks.driver(&network.kind) else { continue };
        let Ok(state) = driver.state(network, &others).await else { continue };
        let known = memory.warnings.insert(network.id, state.warnings.clone()).unwrap_or_default();
        for warning in state.warnings.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!(network = %network.name, "{warning}");
        }
    }
}
