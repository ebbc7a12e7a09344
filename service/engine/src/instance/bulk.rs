//! One verb on many instances: `start --all`, `stop --all`, boot and shutdown of the host. Instances of
//! one priority go together, higher priorities first; at boot, one with a delay is waited for.

use super::{Delete, Freeze, Restart, Start, Stop, questions};
use crate::core::Core;
use crate::job::{JobHandle, Output};
use crate::ports::{Caller, Row, State, Write};
use crate::{Engine, Error, Kind, Result};
use lxhost_model::job::JobId;
use lxhost_model::{Action, Instance, ObjectId, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Volatile key that remembers, over a reboot of the host, that an instance ran.
const RAN: &str = "last_state.running";

/// What is done to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkVerb {
    /// Start those that are stopped; at boot, those that shall start then.
    Start {
        /// Whether this is the boot of the host.
        boot: bool,
    },
    /// Stop those that run.
    Stop {
        /// Kill instead of asking.
        force: bool,
        /// Seconds each has; `None`: as configured.
        seconds: Option<u64>,
        /// Whether this is the shutdown of the host.
        shutdown: bool,
    },
    /// Restart those that run.
    Restart {
        /// Kill instead of asking.
        force: bool,
        /// Seconds each has; `None`: as configured.
        seconds: Option<u64>,
    },
    /// Freeze those that run.
    Freeze,
    /// Thaw those that are frozen.
    Thaw,
    /// Delete; with `force` also those that run.
    Delete {
        /// Stop them first.
        force: bool,
    },
}

/// A verb on many instances.
pub struct Bulk {
    /// The verb.
    pub verb: BulkVerb,
    /// The instances; empty: all that the verb suits.
    pub instances: Vec<ObjectId>,
}

impl Bulk {
    fn name(&self) -> &'static str {
        match self.verb {
            BulkVerb::Start { .. } => "instance.start-many",
            BulkVerb::Stop { .. } => "instance.stop-many",
            BulkVerb::Restart { .. } => "instance.restart-many",
            BulkVerb::Freeze => "instance.freeze-many",
            BulkVerb::Thaw => "instance.thaw-many",
            BulkVerb::Delete { .. } => "instance.delete-many",
        }
    }

    fn suits(&self, state: &State, instance: &Instance) -> bool {
        let runs = matches!(instance.status, Status::Running | Status::Frozen);
        match self.verb {
            BulkVerb::Start { boot: false } => instance.status == Status::Stopped,
            BulkVerb::Start { boot: true } => instance.status == Status::Stopped && starts_at_boot(state, instance),
            BulkVerb::Stop { .. } => runs,
            BulkVerb::Restart { .. } | BulkVerb::Freeze => instance.status == Status::Running,
            BulkVerb::Thaw => instance.status == Status::Frozen,
            BulkVerb::Delete { .. } => true,
        }
    }

    /// Who is meant, by falling priority.
    fn waves(&self, state: &State) -> Result<Vec<Vec<ObjectId>>> {
        let mut waves: BTreeMap<std::cmp::Reverse<u32>, Vec<ObjectId>> = BTreeMap::new();
        let key = match self.verb {
            BulkVerb::Start { .. } => "boot.autostart.priority",
            _ => "boot.stop.priority",
        };
        let named = self.instances.iter().map(|id| crate::core::instance_of(state, *id));
        let meant: Vec<Arc<Instance>> = match self.instances.is_empty() {
            true => state.instances.values().filter(|instance| self.suits(state, instance)).cloned().collect(),
            false => named.collect::<Result<_>>()?,
        };
        let mut seen = BTreeSet::new();
        for instance in meant.into_iter().filter(|instance| seen.insert(instance.id)) {
            let priority = super::expand(state, &instance).config.get(key).and_then(|v| v.parse().ok()).unwrap_or(0);
            waves.entry(std::cmp::Reverse(priority)).or_default().push(instance.id);
        }
        Ok(waves.into_values().collect())
    }

    /// Who goes together, and how long the next ones wait after it: at boot, one with a delay ends its wave.
    fn paced(&self, state: &State, waves: Vec<Vec<ObjectId>>) -> Vec<(Vec<ObjectId>, Duration)> {
        let delay = |id: &ObjectId| {
            let instance = state.instances.get(id).filter(|_| matches!(self.verb, BulkVerb::Start { boot: true }))?;
            super::expand(state, instance).config.get("boot.autostart.delay")?.parse().ok().filter(|seconds| *seconds > 0)
        };
        let mut paced = vec![];
        for mut left in waves {
            while let Some((at, seconds)) = left.iter().enumerate().find_map(|(at, id)| Some((at, delay(id)?))) {
                let rest = left.split_off(at + 1);
                paced.push((std::mem::replace(&mut left, rest), Duration::from_secs(seconds)));
            }
            if !left.is_empty() {
                paced.push((left, Duration::ZERO));
            }
        }
        paced
    }

    fn one(&self, core: &Arc<Core>, uid: u32, id: ObjectId) -> Result<JobId> {
        match self.verb {
            BulkVerb::Start { .. } => core.open(uid, Box::new(Start::new(id))),
            BulkVerb::Stop { force, seconds, .. } => core.open(uid, Box::new(Stop::new(id, force, seconds))),
            BulkVerb::Restart { force, seconds } => core.open(uid, Box::new(Restart::new(id, force, seconds))),
            BulkVerb::Freeze => core.open(uid, Box::new(Freeze::new(id))),
            BulkVerb::Thaw => core.open(uid, Box::new(super::Thaw::new(id))),
            BulkVerb::Delete { force } => core.open(uid, Box::new(Delete::new(id, force))),
        }
    }
}

fn starts_at_boot(state: &State, instance: &Instance) -> bool {
    match super::expand(state, instance).config.get("boot.autostart") {
        Some(value) => lxhost_model::config::parse_bool(value) == Some(true),
        None => instance.volatile.contains_key(RAN),
    }
}

impl Engine {
    /// Asks for every instance meant, then opens one job over all of them.
    ///
    /// # Errors
    /// Those of the authority; `NoSuchInstance`.
    pub async fn bulk(&self, caller: &Caller, bulk: Bulk) -> Result<JobId> {
        let action = match bulk.verb {
            BulkVerb::Delete { .. } => Action::InstanceDelete,
            _ => Action::InstanceOperate,
        };
        let state = self.state();
        let waves = bulk.waves(&state)?;
        for id in waves.iter().flatten() {
            self.core.ask(caller, questions(&state, *id, action, bulk.name())).await?;
        }
        let job = self.core.jobs.open(&self.core, caller.uid, bulk.name(), None, vec![])?;
        let (core, id) = (self.core.clone(), job.id());
        tokio::spawn(async move {
            let result = run(&core, &job, &bulk, waves).await;
            crate::audit::ended(&core, &job, None, &result);
            core.end(job, result);
        });
        Ok(id)
    }
}

/// Wave after wave; the first error of each instance is kept, the others go on.
async fn run(core: &Arc<Core>, job: &JobHandle, bulk: &Bulk, waves: Vec<Vec<ObjectId>>) -> Result<Output> {
    remember(core, bulk).await?;
    let total = waves.iter().map(Vec::len).sum::<usize>().max(1);
    let mut ended = 0usize;
    let mut errors = vec![];
    let mut pause = Duration::ZERO;
    for (wave, delay) in bulk.paced(&core.state(), waves) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = job.canceled() => {}
        }
        pause = delay;
        job.refuse_if_canceled()?;
        let jobs: Vec<_> = wave.iter().map(|id| (*id, bulk.one(core, job.uid(), *id))).collect();
        for (id, child) in jobs {
            let name = core.instance(id).map(|instance| instance.name.to_string()).unwrap_or_else(|_| id.to_string());
            let result = match child {
                Ok(child) => core.jobs.follow(child, job).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                errors.push(format!("{name}: {error}"));
            }
            ended += 1;
            crate::ports::Progress::report(job, bulk.name(), ended as f64 / total as f64);
        }
    }
    match errors.is_empty() {
        true => Ok(Output::default()),
        false => Err(Error::new(Kind::Failed, errors.join("; "))),
    }
}

/// At shutdown of the host, notes who runs; at boot, forgets it again.
async fn remember(core: &Arc<Core>, bulk: &Bulk) -> Result<()> {
    let state = core.state();
    let mark = match bulk.verb {
        BulkVerb::Stop { shutdown: true, .. } => true,
        BulkVerb::Start { boot: true } => false,
        _ => return Ok(()),
    };
    let mut writes = vec![];
    for instance in state.instances.values() {
        let mut record = Instance::clone(instance);
        let changed = match mark {
            true => instance.status.is_live() && record.volatile.insert(RAN.to_owned(), "true".to_owned()).is_none(),
            false => record.volatile.remove(RAN).is_some(),
        };
        if changed {
            writes.push(Write::Update(Row::Instance(record)));
        }
    }
    core.commit(writes).await.map(drop)
}
