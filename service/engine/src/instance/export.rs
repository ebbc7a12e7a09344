//! `instance.export`: an instance and its snapshots as a backup in LXD's format, written into the caller's descriptor.
//! One that runs stands still for as long as its file system needs, and what it held then is written.

use super::{expand, pool_of, questions};
use crate::Result;
use crate::backup::described;
use crate::core::instance_of;
use crate::job::Output;
use crate::ports::{Held, State};
use crate::snapshot::{is_left, settled};
use crate::step::{Outcome, Packing, Placed, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::backup::{About, Backup, Compression, Past, ROOT, snapshot_root};
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
            false => state.snapshots_of(self.instance).filter(|one| !is_left(one)).collect(),
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
        let past = |snapshot: &Arc<Snapshot>| {
            placed(state, Held::Snapshot(snapshot.id), &snapshot.instance, snapshot_root(snapshot.name.as_str()))
        };
        let first = std::iter::once(placed(state, held(instance, self.taken), instance, ROOT.to_owned()));
        first.chain(self.snapshots(state).into_iter().map(past)).collect()
    }
}

/// What of an instance is read: its root, or of one that runs what is `taken`.
pub(super) fn held(instance: &Instance, taken: ObjectId) -> Held {
    if instance.status.is_live() { Held::Taken(taken) } else { Held::Instance(instance.id) }
}

/// What is held of `of`, to be packed under `name`.
pub(super) fn placed(state: &State, held: Held, of: &Instance, name: String) -> Placed {
    let nesting = is_on(&expand(state, of).config, "security.nesting");
    Placed { held, image: of.image.clone(), nesting, name, shifts: vec![] }
}

/// Steps around `pack`, which reads what `held` says: of one that runs, what its root holds now is `taken` meanwhile.
pub(super) fn held_still(view: &View<'_>, instance: &Instance, taken: ObjectId, pack: Step) -> Result<Vec<Step>> {
    let (id, live) = (instance.id, instance.status.is_live());
    if !live {
        return Ok(vec![pack]);
    }
    let pool = pool_of(&view.state, instance)?;
    let take = Step::TakeSnapshot { pool: pool.clone(), instance: id, snapshot: taken, live };
    let still = instance.status == Status::Running && !view.ports.pools.driver(&pool.driver)?.snapshots_at_once();
    let mut steps = if still { vec![Step::Freeze(id), take, Step::Thaw(id)] } else { vec![take] };
    steps.extend([pack, Step::DropTaken { pool, instance: id, snapshot: taken }]);
    Ok(steps)
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
        settled(&*instance_of(state, self.instance)?)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let instance = instance_of(state, self.instance)?;
        let pool = pool_of(state, &instance)?;
        let pack = Step::PackBackup(Box::new(Packing {
            pool,
            roots: self.roots(state, &instance),
            about: About::Backup(self.backup(state, &instance)),
            compression: self.compression,
        }));
        let steps = held_still(view, &instance, self.taken, pack)?;
        Ok(Plan { writes: vec![], steps, finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }

    fn carry(&self) -> Outcome {
        Outcome { backup: self.to.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("instance", self.instance) })
    }
}
