//! `trash.delete`: what is in the trash is gone for good, with its data and with its snapshots that are in the trash, too.

use super::{by_id, forget, of, questions};
use crate::instance::is_orphan;
use crate::ports::{Row, RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Ports, Result};
use async_trait::async_trait;
use lxhost_model::{Action, Discarded, ObjectId, Pool, Trashed};
use std::sync::Arc;

/// Removes something for good.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Removes what is in the trash under `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }
}

/// The steps that remove the data of snapshots of `owner` that are in the trash.
pub(crate) fn removing(ports: &Ports, state: &State, owner: ObjectId) -> Result<Vec<Step>> {
    of(state, owner).map(|one| steps(ports, state, &one.what)).collect::<Result<Vec<_>>>().map(|steps| steps.concat())
}

/// The steps that remove the data of what was deleted.
fn steps(ports: &Ports, state: &State, what: &Discarded) -> Result<Vec<Step>> {
    let pool = pool_of(state, what)?;
    let volumes = || Ok(ports.pools.driver(&pool.driver)?.volumes(&pool));
    let snapshots = |pool: &Pool| {
        let remove = |snapshot| Step::RemoveSnapshot { pool: pool.clone(), snapshot };
        what.snapshots().into_iter().map(remove).collect::<Vec<_>>()
    };
    Ok(match what {
        Discarded::Instance(..) => {
            let mut steps = snapshots(&pool);
            steps.push(Step::RemoveRoot { pool: Pool::clone(&pool), instance: what.id() });
            steps
        }
        Discarded::Snapshot(_) => vec![Step::RemoveSnapshot { pool: Pool::clone(&pool), snapshot: what.id() }],
        Discarded::Volume(..) => {
            let mut steps = snapshots(&volumes()?);
            steps.push(Step::RemoveVolume { pool: Pool::clone(&pool), volume: what.id() });
            steps
        }
        Discarded::VolumeSnapshot(_) => vec![Step::RemoveSnapshot { pool: volumes()?, snapshot: what.id() }],
    })
}

fn pool_of(state: &State, what: &Discarded) -> Result<Arc<Pool>> {
    let gone = || Error::new(Kind::NoSuchPool, format!("pool {} does not exist", what.pool()));
    state.pool(what.pool()).cloned().ok_or_else(gone)
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "trash.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::InstanceDelete, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    /// Nothing of what goes with it is brought back meanwhile.
    fn holds(&self, state: &State) -> Vec<ObjectId> {
        of(state, self.id).map(|one| one.id).collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        by_id(state, self.id).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        let trashed = by_id(state, self.id)?;
        let pool = Pool::clone(pool_of(state, &trashed.what)?.as_ref());
        let mut steps = removing(view.ports, state, self.id)?;
        steps.extend(self::steps(view.ports, state, &trashed.what)?);
        let mut gone: Vec<ObjectId> = of(state, self.id).map(|one| one.id).collect();
        gone.push(self.id);
        if let Some(image) = trashed.what.image().filter(|image| is_orphan(state, image, &pool, &gone)) {
            steps.push(Step::RemoveImageTree { pool, image: image.clone(), used: false });
        }
        let mut finish = forget(state, self.id);
        finish.push(Write::Delete(RowKey::Trashed(self.id)));
        // What is left of it after a failure is not brought back; it can be deleted again.
        let begun = |one: &Arc<Trashed>| Write::Update(Row::Trashed(Box::new(Trashed { begun: true, ..Trashed::clone(one) })));
        let writes = of(state, self.id).chain([&trashed]).map(begun).collect();
        Ok(Plan { writes, steps, finish, failed: vec![], recovery: Recovery::Resume })
    }
}
