//! `volume.refresh`: a copy of a volume holds what its original does once more. Snapshots that both have stay; others come
//! and go. Its keys are its own. What runs with the copy would go on with files that are thrown away, so nothing may.

use super::copy::Original;
use super::users::{Held, at_rest};
use super::{by_id, place, question_of, snapshot};
use crate::job::Output;
use crate::ports::{Row, RowKey, State, Write};
use crate::refresh::{compare, exchange, remove};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Ports, Result};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::volume::Content;
use lxhost_model::{ObjectId, Volume, VolumeSnapshot};
use std::sync::{Arc, OnceLock};

/// Brings a copy of a volume up to date.
pub struct Refresh {
    copy: ObjectId,
    original: Original,
    /// The snapshot that the new tree is until it takes its place.
    made: ObjectId,
    users: Held,
    /// What removes what nobody needs then.
    after: OnceLock<Vec<Step>>,
}

impl Refresh {
    /// Makes `copy` hold what `volume` does, or a `snapshot` of it; `alone`: without its snapshots.
    pub fn new(ports: &Ports, copy: ObjectId, volume: ObjectId, snapshot: Option<SnapshotName>, alone: bool) -> Self {
        let made = ObjectId::from_random(ports.host.random());
        let original = Original::new(ports, volume, snapshot, alone);
        Refresh { copy, original, made, users: Held::default(), after: OnceLock::new() }
    }

    /// What the copy is going to hold, as it was.
    fn source(&self, state: &State) -> Result<Volume> {
        let original = by_id(state, self.original.volume)?;
        match &self.original.snapshot {
            None => Ok(Volume::clone(&original)),
            Some(name) => Ok(snapshot::find(state, original.id, name)?.volume.clone()),
        }
    }

    /// The snapshots that are missing in the copy, and those that go.
    fn snapshots<'a>(&self, state: &'a State) -> (Vec<&'a Arc<VolumeSnapshot>>, Vec<&'a Arc<VolumeSnapshot>>) {
        if !self.original.has_snapshots() {
            return (vec![], vec![]);
        }
        compare(&self.original.snapshots(state), &snapshot::whole(state, self.copy), |one| (&one.name, one.created))
    }
}

#[async_trait]
impl Verb for Refresh {
    fn name(&self) -> &'static str {
        "volume.refresh"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        [self.copy, self.original.volume].map(|volume| question_of(state, volume, self.name())).into()
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.copy)
    }

    /// None of those that have the copy may start meanwhile.
    fn holds(&self, state: &State) -> Vec<ObjectId> {
        let mut held = [self.original.holds(state), self.users.ids(state, self.copy)].concat();
        held.sort_unstable();
        held.dedup();
        held
    }

    fn shares(&self, _state: &State) -> Vec<ObjectId> {
        self.original.shares().into_iter().collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        let (copy, original) = (by_id(state, self.copy)?, by_id(state, self.original.volume)?);
        if copy.id == original.id {
            return Err(Error::new(Kind::InvalidArgs, format!("volume {} cannot be a copy of itself", copy.title())));
        }
        if let Some(name) = &self.original.snapshot {
            snapshot::find(state, original.id, name)?;
        }
        if copy.content != original.content {
            let what = format!("volume {} holds something else than {}: it is no copy of it", copy.title(), original.title());
            return Err(Error::new(Kind::InvalidArgs, what));
        }
        if self.source(state)?.block()? < copy.block()? {
            let what = format!("volume {}: a block volume is not made smaller, that could destroy what is in it", copy.title());
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        at_rest(state, self.copy)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        self.users.live(state, self.copy)?;
        let copy = by_id(state, self.copy)?;
        let pool = place(view.ports, state, &copy)?;
        let (missing, dropped) = self.snapshots(state);
        let tree = Volume { id: self.made, ..Volume::clone(&copy) };
        let (mut steps, copies) = self.original.copying(view, &tree, &missing)?;
        steps.extend(exchange(&pool, copy.id, self.made));
        let mut finish: Vec<Write> = dropped.iter().map(|one| Write::Delete(RowKey::VolumeSnapshot(copy.id, one.id))).collect();
        let of_copy = |one: VolumeSnapshot| VolumeSnapshot { volume: Volume { id: copy.id, ..one.volume.clone() }, ..one };
        finish.extend(copies.into_iter().map(|one| Write::Insert(Row::VolumeSnapshot(of_copy(one)))));
        if let (true, Some(size)) = (copy.content == Content::Block, self.source(state)?.config.get("size")) {
            // As large as what it holds now.
            let mut grown = Volume::clone(&copy);
            grown.config.insert("size".to_owned(), size.clone());
            finish.push(Write::Update(Row::Volume(grown)));
        }
        let gone: Vec<ObjectId> = dropped.iter().map(|one| one.id).chain([self.made]).collect();
        let _ = self.after.set(remove(&pool, &gone));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.copy) })
    }

    fn after(&self) -> Vec<Step> {
        self.after.get().cloned().unwrap_or_default()
    }
}
