//! `image.delete`: an image's record, files and trees are gone; instances made from it go on.

use super::{by_id, questions};
use crate::ports::{Row, RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Result, trash};
use async_trait::async_trait;
use lxhost_model::{Action, Image, Instance, ObjectId, Pool};
use std::sync::Arc;

/// Deletes an image.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the image `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "image.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::ImageManage, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        by_id(state, self.id).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let image = by_id(&view.state, self.id)?;
        // The record goes first: a new instance may not be planned on a tree that is about to go.
        let mut plan = Plan::writes(vec![Write::Delete(RowKey::Image(self.id))]);
        plan.recovery = Recovery::Resume;
        // What is left of it after a failure can be deleted again.
        plan.failed = vec![Write::Insert(Row::Image(Image::clone(&image)))];
        let elsewhere = view.state.images.values().any(|other| other.id != image.id && other.fingerprint == image.fingerprint);
        if elsewhere {
            return Ok(plan);
        }
        for pool in view.state.pools.values() {
            let needs = |i: &Arc<Instance>| i.pool == pool.name && i.image.as_ref() == Some(&image.fingerprint);
            let used = view.state.instances.values().any(needs) || trash::needs(&view.state, &image.fingerprint, &pool.name, &[]);
            plan.steps.push(Step::RemoveImageTree { pool: Pool::clone(pool), image: image.fingerprint.clone(), used });
        }
        plan.steps.push(Step::RemoveImageFiles(image.fingerprint.clone()));
        Ok(plan)
    }
}
