//! Start of the daemon: what runs is adopted, what a crash interrupted is undone or finished, and the
//! records are made to say what is true.

use crate::Result;
use crate::core::Core;
use crate::instance::Exited;
use crate::network::Up;
use crate::ports::{RowKey, State, Write};
use crate::verb::Plan;
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::{Instance, Status, Trigger};
use std::sync::Arc;

/// Adopts and recovers. Errors are logged: one broken instance must not keep the daemon from starting.
pub(crate) async fn run(core: &Arc<Core>) {
    let state = core.state();
    core.jobs.continue_after(state.jobs.keys().copied().max().unwrap_or(0));
    for pool in state.pools.values() {
        if let Err(error) = crate::step::ready(&core.ports, pool).await {
            tracing::error!(pool = %pool.name, "{error}");
        }
    }
    for instance in state.instances.values().filter(|instance| instance.status.is_live()) {
        adopt(core, instance).await;
    }
    // Before the jobs are forgotten which say that something was left.
    if let Err(error) = sweep(core, &state).await {
        tracing::warn!("leftovers of image imports: {error}");
    }
    for job in state.jobs.values() {
        match serde_json::from_str::<Plan>(&job.plan) {
            Ok(plan) => {
                tracing::info!(LXHOST_JOB = job.id, "{} was interrupted; recovering", job.verb);
                if let Err(error) = crate::run::recover(core, job, &plan).await {
                    tracing::error!(LXHOST_JOB = job.id, "{} could not be recovered: {error}", job.verb);
                }
            }
            Err(error) => {
                tracing::error!(LXHOST_JOB = job.id, "{}: its plan is unreadable: {error}", job.verb);
                if let Err(error) = core.commit(vec![Write::Delete(RowKey::Job(job.id))]).await {
                    tracing::error!(LXHOST_JOB = job.id, "{error}");
                }
            }
        }
    }
    for instance in core.state().instances.values() {
        correct(core, instance).await;
        crate::step::repair(core, &core.state(), instance).await;
    }
    for pool in core.state().pools.values() {
        let swept = async {
            let driver = core.ports.pools.driver(&pool.driver)?;
            driver.sweep(pool).await?;
            let volumes = driver.volumes(pool);
            core.ports.pools.driver(&volumes.driver)?.sweep(&volumes).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(pool = %pool.name, "leftovers of deletions: {error}");
        }
    }
    networks(core);
}

/// Removes what imports left that a crash interrupted. Without such an import, files without a record stay:
/// then it is the records that were lost.
async fn sweep(core: &Arc<Core>, before: &State) -> Result<()> {
    core.ports.images.sweep().await?;
    if !before.jobs.values().any(|job| matches!(job.verb.as_str(), "image.import" | "image.pull" | "instance.publish")) {
        return Ok(());
    }
    for fingerprint in core.ports.images.kept().await? {
        if !crate::image::is_recorded(&core.state(), &fingerprint) {
            core.ports.images.remove(&fingerprint).await?;
        }
    }
    Ok(())
}

/// Has every network brought up, in jobs of their own.
pub(crate) fn networks(core: &Arc<Core>) {
    for network in core.state().networks.values().filter(|network| !network.is_leaving()) {
        if let Err(error) = core.open(0, Box::new(Up::new(network.clone()))) {
            tracing::error!(network = %network.name, "{error}");
        }
    }
}

/// Takes over an instance that may have outlived the last daemon.
async fn adopt(core: &Arc<Core>, instance: &Instance) {
    core.live.expect(instance.id);
    match core.ports.launcher.adopt(instance.id, &instance.machine_name()).await {
        Ok(Some(running)) => {
            core.live.insert(instance.id, &running);
            running.sessions.iter().for_each(|session| core.sessions.adopt(*session, instance.id));
        }
        Ok(None) => core.live.remove(instance.id),
        Err(error) => {
            tracing::error!(LXHOST_INSTANCE = %instance.name, "it could not be adopted: {error}");
            core.live.remove(instance.id);
        }
    }
}

/// Makes the status of an instance without a job say what is true.
async fn correct(core: &Arc<Core>, instance: &Instance) {
    let running = core.live.get(instance.id);
    let result = match (instance.status, running) {
        // One that is half deleted can be deleted again, and nothing else.
        (Status::Creating, _) => core.commit(vec![Write::Transition(instance.id, Trigger::Broken)]).await.map(drop),
        (status, None) if status.is_live() => {
            let exit = Exit { reason: ExitReason::Lost, status: 0 };
            core.open(0, Box::new(Exited::new(instance.id, exit))).map(drop)
        }
        (Status::Stopping, Some(_)) => core.commit(vec![Write::Transition(instance.id, Trigger::StopFailed)]).await.map(drop),
        (Status::Starting, Some(_)) => core.commit(vec![Write::Transition(instance.id, Trigger::Started)]).await.map(drop),
        (Status::Freezing, Some(_)) => core.commit(vec![Write::Transition(instance.id, Trigger::FreezeDone)]).await.map(drop),
        _ => Ok(()),
    };
    if let Err(error) = result {
        tracing::error!(LXHOST_INSTANCE = %instance.name, "its status could not be corrected: {error}");
    }
}
