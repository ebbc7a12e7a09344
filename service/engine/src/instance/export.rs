//! `instance.export`: an instance and its snapshots as a backup in LXD's format, written into the caller's descriptor.
//! One that runs stands still for as long as its file system needs, and what it held then is written.

use super::{expand, pool_of, questions};
use crate::backup::described;
use crate::core::instance_of;
use crate::job::Output;
use crate::ports::{Held, State};
use crate::step::{Outcome, Packing, Placed, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::backup::{Backup, Compression, Past, ROOT, snapshot_root};
use lxhost_model::config::is_on;
use lxhost_model::{Action, Instance, ObjectId, Snapshot, Status};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Writes a backup of an instance.
pub struct Export {
    instance: ObjectId,
    compression: Compression,
    alone: bool,
    /// What is taken of one that runs.
    taken: ObjectId,
    to: Mutex<Option<OwnedFd>>,
}

impl Export {
    /// Writes `instance` into `to`, without its snapshots if it is to go `alone`; `random` names what is taken of it
    /// meanwhile.
    pub fn new(instance: ObjectId, to: OwnedFd, compression: Compression, alone: bool, random: [u8; 16]) -> Self {
        Export { instance, compression, alone, taken: ObjectId::from_random(random), to: Mutex::new(Some(to)) }
    }

    fn snapshots<'a>(&self, state: &'a State) -> Vec<&'a Arc<Snapshot>> {
        let mut all: Vec<&Arc<Snapshot>> = match self.alone {
            true => vec![],
            // One that could not be removed has its id for a name.
            false => state.snapshots_of(self.instance).filter(|one| one.name.as_str() != one.id.to_string()).collect(),
        };
        all.sort_by_key(|snapshot| (snapshot.created, snapshot.name.clone()));
        all
    }

    fn backup(&self, state: &State, instance: &Instance) -> Backup {
        let past = |snapshot: &&Arc<Snapshot>| {
            let mut was = described(&snapshot.instance, &expand(state, &snapshot.instance));
            was.description.clone_from(&snapshot.description);
            was.created = snapshot.created;
            Past { name: snapshot.name.to_string(), expires: snapshot.expires, instance: was }
        };
        Backup {
            name: instance.name.to_string(),
            pool: instance.pool.to_string(),
            instance: described(instance, &expand(state, instance)),
            snapshots: self.snapshots(state).iter().map(past).collect(),
        }
    }

    fn roots(&self, state: &State, instance: &Instance) -> Vec<Placed> {
        let placed = |held, of: &Instance, name| Placed {
            held,
            image: of.image.clone(),
            nesting: is_on(&expand(state, of).config, "security.nesting"),
            name,
            shifts: vec![],
        };
        let held = if instance.status.is_live() { Held::Taken(self.taken) } else { Held::Instance(self.instance) };
        let past = |snapshot: &Arc<Snapshot>| {
            placed(Held::Snapshot(snapshot.id), &snapshot.instance, snapshot_root(snapshot.name.as_str()))
        };
        let first = std::iter::once(placed(held, instance, ROOT.to_owned()));
        first.chain(self.snapshots(state).into_iter().map(past)).collect()
    }
}

#[async_trait]
impl Verb for Export {
    fn name(&self) -> &'static str {
        "instance.export"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.instance, Action::InstanceMigrate, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.instance)?;
        match instance.status {
            Status::Stopped | Status::Running | Status::Frozen => Ok(()),
            status => Err(Error::new(Kind::InvalidState, format!("instance {} is {status}", instance.name))),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let instance = instance_of(state, self.instance)?;
        let pool = pool_of(state, &instance)?;
        let (id, snapshot, live) = (self.instance, self.taken, instance.status.is_live());
        let still = instance.status == Status::Running && !view.ports.pools.driver(&pool.driver)?.snapshots_at_once();
        let mut steps = vec![];
        if live {
            steps.push(Step::TakeSnapshot { pool: pool.clone(), instance: id, snapshot, live });
        }
        if still {
            steps.insert(0, Step::Freeze(id));
            steps.push(Step::Thaw(id));
        }
        steps.push(Step::PackBackup(Box::new(Packing {
            pool: pool.clone(),
            roots: self.roots(state, &instance),
            backup: self.backup(state, &instance),
            compression: self.compression,
        })));
        if live {
            steps.push(Step::DropTaken { pool, instance: id, snapshot });
        }
        Ok(Plan { writes: vec![], steps, finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }

    fn carry(&self) -> Outcome {
        Outcome { backup: self.to.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("instance", self.instance) })
    }
}
