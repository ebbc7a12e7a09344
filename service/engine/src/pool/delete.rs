//! `pool.delete`: a pool without instances and volumes is gone, with the images unpacked in it and the file
//! system that it brought.

use super::{by_id, question};
use crate::ports::{RowKey, State, Write};
use crate::step::{OwnFilesystem, Step};
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::{ObjectId, Pool};
use std::sync::Arc;

/// Deletes a pool.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the pool `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "pool.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = by_id(state, self.id).map(|pool| pool.name.to_string()).unwrap_or_default();
        vec![question(&name, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let pool = by_id(state, self.id)?;
        if let Some(instance) = state.instances.values().find(|instance| instance.pool == pool.name) {
            return Err(Error::new(Kind::InUse, format!("pool {} holds instance {}", pool.name, instance.name)));
        }
        if let Some(volume) = state.volumes.values().find(|volume| volume.pool == pool.name) {
            return Err(Error::new(Kind::InUse, format!("pool {} holds volume {}", pool.name, volume.name)));
        }
        let trashed = state.trash.values().filter(|trashed| *trashed.what.pool() == pool.name).count();
        if trashed > 0 {
            let what = format!("pool {0} holds {trashed} in the trash; lxctl trash empty {0}", pool.name);
            return Err(Error::new(Kind::InUse, what));
        }
        let named =
            |profile: &&Arc<lxhost_model::Profile>| profile.devices.values().any(|d| d.get("pool") == Some(pool.name.as_str()));
        match state.profiles.values().find(named) {
            Some(profile) => Err(Error::new(Kind::InUse, format!("pool {} is used by profile {}", pool.name, profile.name))),
            None => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let pool = Pool::clone(by_id(&view.state, self.id)?.as_ref());
        let images = view.state.images.values().map(|image| image.fingerprint.clone());
        let mut steps: Vec<Step> = images.map(|image| Step::RemoveImageTree { pool: pool.clone(), image, used: false }).collect();
        steps.push(Step::TearDownPool(pool.clone()));
        if view.ports.filesystems.is_own(&pool) {
            steps.push(Step::Filesystem(OwnFilesystem::Remove(pool)));
        }
        let finish = vec![Write::Delete(RowKey::Pool(self.id))];
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Resume })
    }
}
