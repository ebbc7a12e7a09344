//! What the engine does about links, routes and rules that change behind its back: networks that somebody deleted,
//! flushed or renamed are brought up again, with the interfaces of the instances in them; a firewall that somebody
//! flushed is written again; subnets that somebody else came to use are told of. Called once, by `Engine::start`.

use crate::core::Core;
use crate::network::{FIREWALL, Up};
use crate::ports::{NetworkChange, NetworkRecords};
use lxhost_model::{Network, ObjectId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long changes are gathered: they come in bursts.
const GATHER: Duration = Duration::from_millis(300);
/// The same when the firewall is open meanwhile: until nothing more comes for so long, and no longer than [`GATHER`].
const GATHER_RULES: Duration = Duration::from_millis(30);
/// Repairs of one network, or of the firewall, within [`WINDOW`], before somebody is left to have it his way.
const REPAIRS: usize = 10;
/// See [`REPAIRS`].
const WINDOW: Duration = Duration::from_secs(60);
/// When the firewall is tried again after that, or after a failure.
const LATER: Duration = Duration::from_secs(10);

/// What has been done and said.
#[derive(Default)]
struct Memory {
    /// By network; those of the firewall without one.
    repairs: BTreeMap<Option<ObjectId>, Vec<Instant>>,
    warnings: BTreeMap<ObjectId, Vec<String>>,
    /// When the firewall is written again, after it was left alone.
    later: Option<tokio::time::Instant>,
}

impl Memory {
    /// Whether it may be repaired once more now.
    fn may_repair(&mut self, what: Option<ObjectId>) -> bool {
        let done = self.repairs.entry(what).or_default();
        done.retain(|then| then.elapsed() < WINDOW);
        let may = done.len() < REPAIRS;
        if may {
            done.push(Instant::now());
        }
        may
    }
}

/// Follows changes for as long as the registry tells them.
pub(crate) async fn run(core: Arc<Core>) {
    let mut memory = Memory::default();
    loop {
        let later = memory.later;
        let first = tokio::select! {
            change = core.ports.networks.next_change() => change,
            () = tokio::time::sleep_until(later.unwrap_or_else(tokio::time::Instant::now)), if later.is_some() => {
                Some(NetworkChange::Firewall)
            }
        };
        let Some(first) = first else { return };
        let (mut links, mut routes, mut rules) = (BTreeSet::new(), false, false);
        let mut take = |change| match change {
            NetworkChange::Link(name) => drop(links.insert(name)),
            NetworkChange::Routes => routes = true,
            NetworkChange::Firewall => rules = true,
        };
        let last = tokio::time::Instant::now() + GATHER;
        let until = |change: &NetworkChange, end| match change {
            NetworkChange::Firewall => last.min(tokio::time::Instant::now() + GATHER_RULES),
            _ => end,
        };
        let mut end = until(&first, last);
        take(first);
        while let Ok(Some(change)) = tokio::time::timeout_at(end, core.ports.networks.next_change()).await {
            end = until(&change, end);
            take(change);
        }
        if rules {
            refill(&core, &mut memory).await;
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
    if core.jobs.holds(network.id) || network.is_leaving() || driver.is_up(network).await.unwrap_or(false) {
        return;
    }
    if !memory.may_repair(Some(network.id)) {
        tracing::warn!(network = %network.name, "its interface is changed again and again; it is left as it is for a minute");
        return;
    }
    tracing::warn!(network = %network.name, "somebody changed its interface; it is brought up again");
    let Ok(job) = core.open(0, Box::new(Up::new(network.clone()))) else { return };
    match core.jobs.outcome(job).await {
        Ok(_) => crate::step::replug(core, network).await,
        Err(error) => tracing::error!(network = %network.name, "it could not be brought up again: {error}"),
    }
}

/// Writes the firewall's rules again, with the guards of interfaces.
async fn refill(core: &Arc<Core>, memory: &mut Memory) {
    let now = tokio::time::Instant::now();
    // What was put off is done at its time, however often the rest is changed meanwhile.
    let due = memory.later.is_some_and(|later| later <= now);
    if !due && !memory.may_repair(None) {
        tracing::warn!("the firewall is changed again and again; it is left as it is for a while");
        memory.later.get_or_insert(now + LATER);
        return;
    }
    memory.later = None;
    proxies(core).await;
    // Verbs that change it take turns, and the records say the truth in between.
    let _turn = core.jobs.turn(Some(FIREWALL.to_owned())).await;
    match core.ports.networks.restore_firewall(&NetworkRecords::of(&core.state())).await {
        Ok(()) => tracing::warn!("somebody changed the firewall; its rules for networks are written again"),
        Err(error) => {
            tracing::error!("the firewall could not be written again: {error}");
            memory.later = Some(tokio::time::Instant::now() + LATER);
        }
    }
}

/// Has the proxies of running instances made again that went with the rules of others.
async fn proxies(core: &Arc<Core>) {
    let state = core.state();
    for instance in state.instances.values().filter(|instance| !core.jobs.holds(instance.id)) {
        crate::step::repair(core, &state, instance).await;
    }
}

/// Says which subnets somebody else has come to use.
async fn warn(core: &Arc<Core>, memory: &mut Memory) {
    let all = NetworkRecords::of(&core.state()).networks;
    let Ok(overlaps) = core.ports.networks.overlaps(&all).await else { return };
    memory.warnings.retain(|id, _| overlaps.contains_key(id));
    // A job says itself what is wrong, and what is not done yet is no news.
    for network in all.iter().filter(|network| !core.jobs.holds(network.id)) {
        let Some(warnings) = overlaps.get(&network.id) else { continue };
        let known = memory.warnings.insert(network.id, warnings.clone()).unwrap_or_default();
        for warning in warnings.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!(network = %network.name, "{warning}");
        }
    }
}
