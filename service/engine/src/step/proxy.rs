//! Steps on proxies: their coming and going while an instance runs.

use super::{Context, Ran};
use crate::Result;
use crate::core::Core;
use crate::ports::ProxyPlan;

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
        let closed = match core.ports.proxies.close(plan).await {
            Ok(()) => Ok(()),
            Err(_) => core.ports.proxies.close(plan).await,
        };
        if let Err(error) = closed {
            tracing::warn!(LXHOST_INSTANCE = %ran.machine, "device {}: {error}", plan.device);
        }
    }
}

/// Opens what is not open of a running instance, as after a daemon's or a relay's death.
pub(crate) async fn repair(core: &Core, leader: u32, plans: &[ProxyPlan]) {
    for plan in plans {
        let repaired =
            async { if core.ports.proxies.is_open(plan).await? { Ok(()) } else { core.ports.proxies.open(plan, leader).await } };
        if let Err(error) = repaired.await {
            tracing::warn!(LXHOST_INSTANCE = %plan.machine, "device {}: {error}", plan.device);
        }
    }
}
