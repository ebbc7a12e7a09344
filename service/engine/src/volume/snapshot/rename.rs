//! `volume-snapshot.rename`: another name for a snapshot of a volume.

use super::{find, question};
use crate::Result;
use crate::ports::{Row, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::{ObjectId, VolumeSnapshot};

/// Renames a snapshot of a volume.
pub struct Rename {
    /// Whose snapshot it is.
    pub volume: ObjectId,
    /// What it is called.
    pub name: SnapshotName,
    /// What it is going to be called.
    pub to: SnapshotName,
}

#[async_trait]
impl Verb for Rename {
    fn name(&self) -> &'static str {
        "volume-snapshot.rename"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        // Rules that allow names have to allow both.
        [&self.name, &self.to].map(|name| question(state, self.volume, name.as_str(), self.name())).into()
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.volume)
    }

    fn check(&self, state: &State) -> Result<()> {
        find(state, self.volume, &self.name).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let snapshot = find(&view.state, self.volume, &self.name)?;
        let renamed = VolumeSnapshot { name: self.to.clone(), ..VolumeSnapshot::clone(&snapshot) };
        Ok(Plan::writes(vec![Write::Update(Row::VolumeSnapshot(renamed))]))
    }
}
