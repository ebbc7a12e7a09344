//! Steps on networks.

use super::Context;
use crate::Result;
use lxhost_model::Network;
use std::sync::Arc;

pub(super) async fn up(context: &Context<'_>, network: &Network) -> Result<()> {
    let driver = context.core.ports.networks.driver(&network.kind)?;
    let mut all = others(context, network);
    all.push(Arc::new(network.clone()));
    driver.up(network, &all).await
}

pub(super) async fn down(context: &Context<'_>, network: &Network) -> Result<()> {
    context.core.ports.networks.driver(&network.kind)?.down(network, &others(context, network)).await
}

/// Undo of `up`: one that was being made goes, one that was being changed becomes what its record says again.
pub(super) async fn down_if_unknown(context: &Context<'_>, network: &Network) -> Result<()> {
    let known = context.core.state().networks.get(&network.id).cloned();
    match known {
        Some(known) if *known == *network => Ok(()),
        Some(known) => {
            if known.interface() != network.interface() {
                down(context, network).await?;
            }
            up(context, &known).await
        }
        None => down(context, network).await,
    }
}

fn others(context: &Context<'_>, network: &Network) -> Vec<Arc<Network>> {
    context.core.state().networks.values().filter(|other| other.id != network.id).cloned().collect()
}
