//! Steps on proxies: their coming and going while an instance runs.

use super::{Context, Ran, twice};
use crate::Result;
use crate::core::Core;
use crate::ports::{ProxyPlan, State};
use lxhost_model::Instance;

/// A proxy of a running instance becomes another, comes or goes.
pub(super) async fn change(context: &Context<'_>, from: Option<&ProxyPlan>, to: Option<&ProxyPlan>) -> Result<()> {
    let core = context.core;
    if let Some(from) = from {
        core.ports.proxies.close(from).await.map_err(|e| e.context(format!("device {}", from.device)))?;
        context.at("proxy", "closed").await?;
    }
    let Some(to) = to else { return Ok(()) };
    // One that has ended in this moment needs none any more.
    let Some(live) = core.live.get(to.instance).filter(|live| live.exit.is_none()) else { return Ok(()) };
    core.ports.proxies.open(to, live.leader).await.map_err(|e| e.context(format!("device {}", to.device)))
}

/// Removes the proxies of a run. What cannot be removed, not even at a second try, does not keep a guest alive: it ends
/// with the guest's scope.
pub(super) async fn close_all(core: &Core, ran: &Ran) {
    for plan in &ran.proxies {
        if let Err(error) = twice(|| core.ports.proxies.close(plan)).await {
            tracing::warn!(LXHOST_INSTANCE = %ran.machine, "device {}: {error}", plan.device);
        }
    }
    if let Err(error) = core.ports.proxies.sweep(ran.instance).await {
        tracing::warn!(LXHOST_INSTANCE = %ran.machine, "its proxies: {error}");
    }
}

/// Opens what is not open of an instance that runs, as after a daemon's or a relay's death.
pub(crate) async fn repair(core: &Core, state: &State, instance: &Instance) {
    let Some(live) = core.live.get(instance.id).filter(|live| live.leader != 0 && live.exit.is_none()) else { return };
    for plan in &crate::instance::proxies(state, instance).unwrap_or_default() {
        let repaired = async {
            match core.ports.proxies.is_open(plan).await? {
                true => Ok(()),
                false => core.ports.proxies.open(plan, live.leader).await,
            }
        };
        if let Err(error) = repaired.await {
            tracing::warn!(LXHOST_INSTANCE = %plan.machine, "device {}: {error}", plan.device);
        }
    }
}
