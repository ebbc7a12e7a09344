//! Steps on networks.

use super::Context;
use crate::Result;
use crate::job::Output;
use crate::ports::NetworkRecords;
use lxhost_model::{Acl, Network};
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
