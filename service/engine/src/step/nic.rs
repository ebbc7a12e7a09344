//! Steps on interfaces: what networks and kinds of interfaces are told about them, and their coming and going
//! while an instance runs.

use super::{Context, Ran, twice};
use crate::core::Core;
use crate::instance::Wired;
use crate::ports::{NicSpec, Ready};
use crate::{Error, Kind, Result};
use lxhost_model::{Network, ObjectId};
use std::sync::Arc;

/// Has the interface's network or kind prepare it, and say how it is made.
pub(super) async fn attach(core: &Core, wired: &Wired) -> Result<NicSpec> {
    match network(core, wired)? {
        Some(network) => {
            let joined = core.ports.networks.driver(&network.kind)?.join(&network, &wired.plan).await;
            joined.map_err(|e| e.context(format!("network {}", network.name)))
        }
        None => core.ports.nics.driver(wired.kind()?)?.attach(&wired.plan).await,
    }
    .map_err(|e| e.context(format!("device {}", wired.device)))
}

/// Has its network or kind keep it from pretending to be another.
async fn guard(core: &Core, wired: &Wired) -> Result<()> {
    match network(core, wired)? {
        Some(network) => core.ports.networks.driver(&network.kind)?.guard(&network, &wired.plan).await,
        None => core.ports.nics.driver(wired.kind()?)?.guard(&wired.plan).await,
    }
    .map_err(|e| e.context(format!("device {}", wired.device)))
}

/// Guards all of them from now on, beside whatever else is done.
pub(super) fn guarded(core: &Arc<Core>, nics: Vec<Wired>) -> Ready {
    let core = core.clone();
    let guards = tokio::spawn(async move {
        for wired in &nics {
            guard(&core, wired).await?;
        }
        Ok(())
    });
    Box::pin(async { guards.await.unwrap_or_else(|lost| Err(Error::failed(format!("guard interfaces: {lost}")))) })
}

async fn detach(core: &Core, wired: &Wired) -> Result<()> {
    match network(core, wired) {
        Ok(Some(network)) => {
            let plan = &wired.plan;
            core.ports.networks.driver(&network.kind)?.leave(&network, plan.instance, Some(&plan.name)).await
        }
        Ok(None) => core.ports.nics.driver(wired.kind()?)?.detach(&wired.plan).await,
        // Nobody remembers an interface of a network that is gone.
        Err(error) if error.kind == Kind::NoSuchNetwork => Ok(()),
        Err(error) => Err(error),
    }
}

fn network(core: &Core, wired: &Wired) -> Result<Option<Arc<Network>>> {
    let Some(name) = &wired.network else { return Ok(None) };
    let state = core.state();
    let found = state.network(&wired.project, name).cloned();
    let gone = || Error::new(Kind::NoSuchNetwork, format!("device {}: network {name} does not exist", wired.device));
    found.map(Some).ok_or_else(gone)
}

/// An interface of a running instance becomes another, comes or goes. In place where its link stays the same.
pub(super) async fn rewire(context: &Context<'_>, id: ObjectId, from: Option<&Wired>, to: Option<&Wired>) -> Result<()> {
    let core = context.core;
    let runs = core.live.get(id).is_some_and(|live| live.exit.is_none());
    if let Some(from) = from.filter(|from| to.is_none_or(|to| !from.is_same_link(to))) {
        core.ports.launcher.unplug(id, &from.plan.name).await.map_err(|e| e.context(format!("device {}", from.device)))?;
        detach(core, from).await?;
        context.at("rewire", "unplugged").await?;
    }
    let Some(to) = to.filter(|_| runs) else { return Ok(()) };
    let spec = attach(core, to).await?;
    context.at("rewire", "attached").await?;
    guard(core, to).await?;
    core.ports.launcher.plug(id, &spec).await.map_err(|e| e.context(format!("device {}", to.device)))
}

/// Has running instances have their interfaces in a network that was made anew: their ends on the host were left
/// without it.
pub(crate) async fn replug(core: &Core, of: &Network) {
    let state = core.state();
    let running = state.instances.values().filter(|i| i.project == of.project && !core.jobs.holds(i.id));
    for instance in running.filter(|i| core.live.get(i.id).is_some_and(|live| live.leader != 0 && live.exit.is_none())) {
        let wired = crate::instance::nics(&state, instance).unwrap_or_default();
        for wired in wired.iter().filter(|wired| wired.network.as_ref() == Some(&of.name)) {
            let plugged = async { core.ports.launcher.plug(instance.id, &attach(core, wired).await?).await };
            if let Err(error) = plugged.await {
                tracing::warn!(LXHOST_INSTANCE = %instance.name, "device {} is without its network: {error}", wired.device);
            }
        }
    }
}

/// Leaves everything that a run has joined. What cannot be left, not even at a second try, does not keep a dead guest
/// alive in the records: its next start or the network's removal makes up for it.
pub(super) async fn leave_all(core: &Core, ran: &Ran) {
    let state = core.state();
    for network in state.networks.values().filter(|network| ran.networks.contains(&network.name)) {
        let leave = || async { core.ports.networks.driver(&network.kind)?.leave(network, ran.instance, None).await };
        if let Err(error) = twice(leave).await {
            tracing::warn!(LXHOST_INSTANCE = %ran.machine, "leaving network {}: {error}", network.name);
        }
    }
    for wired in &ran.nics {
        if let Err(error) = twice(|| detach(core, wired)).await {
            tracing::warn!(LXHOST_INSTANCE = %ran.machine, "giving up device {}: {error}", wired.device);
        }
    }
}
