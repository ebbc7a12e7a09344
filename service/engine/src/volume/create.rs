//! `volume.create`: an empty volume on a pool.

use super::{free, place, question};
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result, quota};
use async_trait::async_trait;
use lxhost_model::name::ProjectName;
use lxhost_model::{ObjectId, Pool, Volume};

/// Makes a volume.
pub struct Create {
    volume: Volume,
}

impl Create {
    /// Makes `volume`.
    ///
    /// # Errors
    /// `InvalidConfig`, `Unsupported`; `NoSuchProject`.
    pub fn new(volume: Volume) -> Result<Self> {
        let volume = volume.sized();
        volume.check()?;
        if volume.project != ProjectName::default() {
            return Err(Error::new(Kind::NoSuchProject, format!("project {} does not exist", volume.project)));
        }
        Ok(Create { volume })
    }

    /// Identity it is going to have.
    pub fn id(&self) -> ObjectId {
        self.volume.id
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "volume.create"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![question(&self.volume.pool, &self.volume.project, self.volume.name.as_str(), self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.volume.id)
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        state.pool(&self.volume.pool).map(|pool| pool.id).into_iter().collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        super::pool_of(state, &self.volume)?;
        free(state, &self.volume)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let pool = Pool::clone(super::pool_of(&view.state, &self.volume)?.as_ref());
        let (within, size) = (place(view.ports, &view.state, &self.volume)?, self.volume.quota()?);
        let make = Step::CreateVolume { pool, volume: Box::new(self.volume.clone()) };
        let mut steps = quota::bounded(view, &within, (self.volume.id, size), vec![make]).await?;
        let block = |to| Step::Block { pool: within.clone(), volume: self.volume.id, from: None, to };
        steps.extend(self.volume.block()?.map(block));
        Ok(Plan {
            writes: vec![],
            steps,
            finish: vec![Write::Insert(Row::Volume(self.volume.clone()))],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.volume.id) })
    }
}
