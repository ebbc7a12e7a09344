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

/// Undo of `up` for a network that is being made; one that has a record stays as it was.
pub(super) async fn down_if_unknown(context: &Context<'_>, network: &Network) -> Result<()> {
    match context.core.state().networks.contains_key(&network.id) {
        true => Ok(()),
        false => down(context, network).await,
    }
}

fn others(context: &Context<'_>, network: &Network) -> Vec<Arc<Network>> {
    context.core.state().networks.values().filter(|other| other.id != network.id).cloned().collect()
}
