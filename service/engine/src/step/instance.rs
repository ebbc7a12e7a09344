//! Steps on running instances: launch, shut down, kill, and the cleaning up after a run.

use super::{Context, Ran};
use crate::core::Core;
use crate::instance::Attached;
use crate::ports::{LaunchSpec, Limits};
use crate::{Error, Kind, Result};
use lxhost_model::config::Config;
use lxhost_model::{Instance, ObjectId, size};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the end of what was killed may take to be told.
const TOLD: Duration = Duration::from_secs(2);
/// Where container engines keep layers.
pub(super) const LAYERS: [&str; 2] = ["/var/lib/docker", "/var/lib/containers"];
/// Most processes of an instance when nothing says otherwise.
const TASKS: u64 = 32_768;

pub(super) async fn launch(context: &mut Context<'_>, ran: &Ran) -> Result<()> {
    let core = context.core;
    let instance = core.instance(ran.instance)?;
    let spec = spec(context, &instance).await.map_err(|e| e.context(format!("instance {}", instance.name)))?;
    core.live.expect(instance.id);
    context.at("launch", "joined").await?;
    // The disk works while the guest starts; who is told of the start may rely on both.
    let ready = super::nic::guarded(core, crate::instance::nics(&core.state(), &instance)?);
    let (running, kept) = tokio::join!(core.ports.launcher.launch(spec, ready), keep(core, &instance));
    let running = running?;
    core.live.insert(instance.id, &running);
    core.emit(crate::Event::Live(instance.id));
    context.outcome.running = Some(running);
    kept
}

/// Makes durable what the start has written into the root.
async fn keep(core: &Core, instance: &Instance) -> Result<()> {
    let pool = crate::instance::pool_of(&core.state(), instance)?;
    core.ports.pools.driver(&pool.driver)?.keep_root(&pool, instance.id, instance.name.as_str()).await
}

/// A guest that is not down when its time is over is left to the kill that follows.
pub(super) async fn shut_down(context: &mut Context<'_>, id: ObjectId, seconds: u64) -> Result<()> {
    let core = context.core;
    if core.live.get(id).is_none_or(|live| live.exit.is_some()) {
        return Ok(());
    }
    match core.ports.launcher.shut_down(id).await {
        // It went down by itself a moment before; that is told as an event.
        Err(gone) if gone.kind == Kind::NotRunning => {}
        told => told?,
    }
    match core.live.ended(id, (seconds > 0).then(|| Duration::from_secs(seconds))).await {
        Err(late) if late.kind == Kind::Timeout => {
            tracing::warn!("{late}; it is killed");
            context.outcome.killed = true;
            Ok(())
        }
        ended => {
            context.outcome.exit = core.live.get(id).and_then(|live| live.exit);
            ended
        }
    }
}

pub(super) async fn kill(context: &Context<'_>, ran: &Ran) -> Result<()> {
    let core = context.core;
    // They hold on to the guest's namespaces.
    super::proxy::close_all(core, ran).await;
    core.ports.launcher.kill(ran.instance, &ran.machine).await?;
    // The end of this run is told as an event. Heard later, it would be taken for the end of the next run.
    let ran_on = core.live.get(ran.instance).is_some_and(|live| live.leader != 0);
    if ran_on && core.following.load(Ordering::Relaxed) && core.live.ended(ran.instance, Some(TOLD)).await.is_err() {
        tracing::warn!(LXHOST_INSTANCE = %ran.machine, "it was killed, and its end was not told");
    }
    Ok(())
}

/// Leaves the networks and forgets the run.
pub(super) async fn settle(context: &Context<'_>, ran: &Ran) -> Result<()> {
    let core = context.core;
    super::nic::leave_all(core, ran).await;
    core.live.remove(ran.instance);
    core.emit(crate::Event::Live(ran.instance));
    Ok(())
}

/// Everything the launcher needs, from the records; joins the networks on the way.
async fn spec(context: &Context<'_>, instance: &Instance) -> Result<LaunchSpec> {
    let core = context.core;
    let state = core.state();
    let expanded = crate::instance::expand(&state, instance);
    let pool =
        state.pool(&instance.pool).ok_or_else(|| Error::new(Kind::NoSuchPool, format!("pool {} is gone", instance.pool)))?;
    let disks = crate::instance::disks(&state, instance)?;
    for pool in std::iter::once(pool.as_ref()).chain(disks.iter().filter_map(Attached::pool)) {
        super::ready(&core.ports, pool).await?;
    }
    let driver = core.ports.pools.driver(&pool.driver)?;
    let image = instance.image.as_ref();
    driver.prepare_root(pool, instance.id, image, instance.name.as_str()).await?;
    driver.limit(pool, instance.id, crate::quota::of_root(&state, instance)?, false).await?;
    context.at("launch", "prepared").await?;
    let mut joined = vec![];
    for wired in crate::instance::nics(&state, instance)? {
        joined.push(super::nic::attach(core, &wired).await?);
    }
    let nesting = lxhost_model::config::is_on(&expanded.config, "security.nesting");
    let mounts = if nesting { driver.layer_dirs(pool, instance.id, &LAYERS).await? } else { vec![] };
    let mut mounted = vec![];
    for disk in &disks {
        mounted.push(super::disk::spec(core, instance.id, disk).await?);
    }
    Ok(LaunchSpec {
        id: instance.id,
        machine: instance.machine_name(),
        hostname: instance.name.to_string(),
        ids: instance.ids,
        root: driver.root(pool, instance.id, image),
        nics: joined,
        mounts,
        disks: mounted,
        init: init(&expanded.config)?,
        environment: environment(&expanded.config),
        limits: limits(&expanded.config, core.ports.host.memory())?,
        nesting,
        stop_timeout: crate::instance::stop_seconds(&expanded.config),
    })
}

/// The words of `linux.init`: split at blanks, no quoting, as LXD's raw option has it.
fn init(config: &Config) -> Result<Vec<String>> {
    let words: Vec<String> =
        config.get("linux.init").map(|v| v.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
    match words.first() {
        Some(program) if !program.starts_with('/') => {
            Err(Error::new(Kind::InvalidConfig, "linux.init: the program has to be an absolute path"))
        }
        _ => Ok(words),
    }
}

fn environment(config: &Config) -> std::collections::BTreeMap<String, String> {
    config.iter().filter_map(|(key, value)| Some((key.strip_prefix("environment.")?.to_owned(), value.clone()))).collect()
}

/// Bytes of memory that an instance with this configuration may use, of the `host`'s; `None`: all of them.
///
/// # Errors
/// `InvalidConfig`.
pub fn memory_limit(config: &Config, host: u64) -> Result<Option<u64>> {
    let Some(value) = config.get("limits.memory") else { return Ok(None) };
    match value.strip_suffix('%').and_then(|percent| percent.parse::<u64>().ok()) {
        Some(percent) => Ok(Some(host / 100 * percent)),
        None => size::parse_bytes(value).map(Some),
    }
}

fn limits(config: &Config, memory: u64) -> Result<Limits> {
    Ok(Limits {
        memory: memory_limit(config, memory)?,
        processes: Some(config.get("limits.processes").and_then(|v| v.parse().ok()).unwrap_or(TASKS)),
        cpu_quota: config.get("limits.cpu.allowance").map(|value| size::parse_cpu(value)).transpose()?,
    })
}
