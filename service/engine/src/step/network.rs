//! Steps on networks.

use super::Context;
use crate::Result;
use crate::job::Output;
use crate::ports::NetworkRecords;
use lxhost_model::checkpoint::Undoes;
use lxhost_model::{Acl, Checkpoint, Network};
use std::sync::Arc;

pub(super) async fn up(context: &Context<'_>, network: &Network) -> Result<()> {
    let driver = context.core.ports.networks.driver(&network.kind)?;
    driver.up(network, &records(context).with(network)).await?;
    // Its maker is told once what has been done beside it.
    if let Some(job) = context.job.filter(|_| context.verb == "network.create") {
        job.note(Output { notes: driver.remarks(network).await, ..Output::default() });
    }
    Ok(())
}

pub(super) async fn down(context: &Context<'_>, network: &Network) -> Result<()> {
    context.core.ports.networks.driver(&network.kind)?.down(network, &records(context).without(network.id)).await
}

/// Undo of `up`: one that was being made goes, one that was being changed becomes what its record says again.
pub(super) async fn down_if_unknown(context: &Context<'_>, network: &Network) -> Result<()> {
    let known = context.core.state().networks.get(&network.id).cloned();
    match known {
        Some(known) if *known == *network => return Ok(()),
        Some(known) => become_again(context, network, &known).await?,
        None => down(context, network).await?,
    }
    regain(context, network.checkpoint.as_deref()).await
}

/// Undo of `down`, which is for a network whose deletion would have waited to be confirmed.
pub(super) async fn up_again(context: &Context<'_>, network: &Network) -> Result<()> {
    if !network.is_leaving() {
        return Ok(());
    }
    up(context, network).await?;
    regain(context, network.checkpoint.as_deref()).await
}

/// Undoes the change of `network` that waits to be confirmed, also where half of that is done.
pub(super) async fn back(context: &Context<'_>, network: &Network) -> Result<()> {
    let Some(checkpoint) = &network.checkpoint else { return Ok(()) };
    match &checkpoint.undoes {
        Undoes::Creation => down(context, network).await?,
        Undoes::Change(before) => become_again(context, network, before).await?,
        Undoes::Deletion => up(context, network).await?,
    }
    regain(context, Some(checkpoint)).await
}

async fn become_again(context: &Context<'_>, network: &Network, before: &Network) -> Result<()> {
    let driver = context.core.ports.networks.driver(&network.kind)?;
    if driver.interface(before) != driver.interface(network) {
        down(context, network).await?;
    }
    up(context, before).await
}

/// Gives the host's interfaces back what they had, if they are the same that they were.
async fn regain(context: &Context<'_>, checkpoint: Option<&Checkpoint>) -> Result<()> {
    let ports = &context.core.ports;
    match checkpoint.filter(|checkpoint| checkpoint.boot == ports.host.boot_id()) {
        Some(checkpoint) => ports.networks.regain(&checkpoint.links).await,
        None => Ok(()),
    }
}

/// Writes the firewall's rules with `acl` in its place.
pub(super) async fn filter(context: &Context<'_>, acl: &Acl) -> Result<()> {
    let mut records = records(context);
    records.acls.retain(|other| other.id != acl.id);
    records.acls.push(Arc::new(acl.clone()));
    context.core.ports.networks.firewall(&records).await
}

/// Undo of `filter`: the rules are those of the records.
pub(super) async fn filter_as_recorded(context: &Context<'_>) -> Result<()> {
    context.core.ports.networks.firewall(&records(context)).await
}

fn records(context: &Context<'_>) -> NetworkRecords {
    NetworkRecords::of(&context.core.state())
}
