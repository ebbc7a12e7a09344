//! `volume.rename`: another name for a volume that nobody uses, since devices know it by name.

use super::{by_id, free, question_of, unused};
use crate::Result;
use crate::ports::{Row, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::name::VolumeName;
use lxhost_model::{ObjectId, Volume};

/// Renames a volume.
pub struct Rename {
    /// The volume.
    pub id: ObjectId,
    /// Its name from now on.
    pub name: VolumeName,
}

impl Rename {
    fn changed(&self, state: &State) -> Result<Volume> {
        let volume = by_id(state, self.id)?;
        unused(state, &volume)?;
        let renamed = Volume { name: self.name.clone(), ..Volume::clone(&volume) };
        free(state, &renamed)?;
        Ok(renamed)
    }
}

#[async_trait]
impl Verb for Rename {
    fn name(&self) -> &'static str {
        "volume.rename"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_of(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        Ok(Plan::writes(vec![Write::Update(Row::Volume(self.changed(&view.state)?))]))
    }
}
