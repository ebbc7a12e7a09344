//! `snapshot.rename`: another name for a snapshot.

use super::{find, questions};
use crate::Result;
use crate::ports::{Row, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::{ObjectId, Snapshot};

/// Renames a snapshot.
pub struct Rename {
    /// Whose snapshot it is.
    pub instance: ObjectId,
    /// What it is called.
    pub name: SnapshotName,
    /// What it is going to be called.
    pub to: SnapshotName,
}

#[async_trait]
impl Verb for Rename {
    fn name(&self) -> &'static str {
        "snapshot.rename"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        // Rules that allow names have to allow both.
        let names = [&self.name, &self.to].into_iter();
        names.flat_map(|name| questions(state, self.instance, name.as_str(), self.name())).collect()
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        find(state, self.instance, &self.name).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let snapshot = find(&view.state, self.instance, &self.name)?;
        let renamed = Snapshot { name: self.to.clone(), ..Snapshot::clone(&snapshot) };
        Ok(Plan::writes(vec![Write::Update(Row::Snapshot(renamed))]))
    }
}
