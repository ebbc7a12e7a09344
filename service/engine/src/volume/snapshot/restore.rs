//! `volume-snapshot.restore`: a volume holds again what it did. Its keys and the snapshot stay. What runs would go on
//! with the files that are thrown away, so nothing that has the volume may run.

use super::super::users::{Held, at_rest};
use super::super::{by_id, place};
use super::{find, question};
use crate::Result;
use crate::job::Output;
use crate::ports::State;
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::ObjectId;
use lxhost_model::name::SnapshotName;

/// Restores a snapshot of a volume.
pub struct Restore {
    volume: ObjectId,
    name: SnapshotName,
    users: Held,
}

impl Restore {
    /// Makes `volume` hold what it did when its snapshot `name` was taken.
    pub fn new(volume: ObjectId, name: SnapshotName) -> Self {
        Restore { volume, name, users: Held::default() }
    }
}

#[async_trait]
impl Verb for Restore {
    fn name(&self) -> &'static str {
        "volume-snapshot.restore"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question(state, self.volume, self.name.as_str(), self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.volume)
    }

    /// None of them may start meanwhile.
    fn holds(&self, state: &State) -> Vec<ObjectId> {
        self.users.ids(state, self.volume)
    }

    fn check(&self, state: &State) -> Result<()> {
        find(state, self.volume, &self.name)?;
        at_rest(state, self.volume)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        self.users.live(state, self.volume)?;
        let pool = place(view.ports, state, by_id(state, self.volume)?.as_ref())?;
        let snapshot = find(state, self.volume, &self.name)?.id;
        let mut steps = vec![
            Step::StageRestore { pool: pool.clone(), instance: self.volume, snapshot },
            Step::Restore { pool: pool.clone(), instance: self.volume },
        ];
        // The volume may have grown since.
        let grown = by_id(&view.state, self.volume)?.block()?;
        steps.extend(grown.map(|to| Step::Block { pool, volume: self.volume, from: None, to }));
        Ok(Plan { writes: vec![], steps, finish: vec![], failed: vec![], recovery: Recovery::Resume })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.volume) })
    }
}
