//! `volume-snapshot.create`: what a volume holds now is kept under a name. Instances that run with it stand still for as
//! long as its file system needs, so that all of it is of one moment.

use super::super::users::{Held, still};
use super::super::{by_id, place};
use super::{Delete, question};
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::snapshot::Kept;
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::name::SnapshotName;
use lxhost_model::snapshot::{MAX, PATTERN, next_name};
use lxhost_model::{ObjectId, Volume, VolumeSnapshot};
use std::sync::{Arc, OnceLock};

/// Takes a snapshot of a volume.
pub struct Create {
    volume: ObjectId,
    id: ObjectId,
    name: Option<SnapshotName>,
    description: String,
    reuse: bool,
    kept: Kept,
    /// What the record of the volume says thereafter, in a key that the daemon keeps for itself.
    noted: Option<(&'static str, String)>,
    /// What the one is called now whose place it takes.
    replaced: OnceLock<SnapshotName>,
    users: Held,
}

impl Create {
    /// Takes a snapshot of `volume` called `name` (`None`: as its `snapshots.pattern` says); `random` becomes its id.
    /// With `reuse` it takes the place of one that has the name.
    ///
    /// # Errors
    /// `InvalidConfig` for a description that is no text.
    pub fn new(volume: ObjectId, name: Option<SnapshotName>, description: String, reuse: bool, random: [u8; 16]) -> Result<Self> {
        lxhost_model::config::check_text("description", &description)?;
        let (id, kept, noted) = (ObjectId::from_random(random), Kept::default(), None);
        Ok(Create { volume, id, name, description, reuse, kept, noted, replaced: OnceLock::new(), users: Held::default() })
    }

    /// To be kept otherwise than configured.
    #[must_use]
    pub fn kept(self, kept: Kept) -> Self {
        Create { kept, ..self }
    }

    /// Notes that in the record of the volume when it is done.
    pub(crate) fn noting(self, key: &'static str, value: String) -> Self {
        Create { noted: Some((key, value)), ..self }
    }

    fn of_that_name<'a>(&self, state: &'a State) -> Option<&'a Arc<VolumeSnapshot>> {
        state.volume_snapshot(self.volume, self.name.as_ref()?)
    }

    fn record(&self, view: &View<'_>, volume: &Volume) -> Result<VolumeSnapshot> {
        let taken = view.state.snapshots_of_volume(self.volume).map(|snapshot| &snapshot.name);
        let pattern = volume.config.get("snapshots.pattern").map_or(PATTERN, String::as_str);
        Ok(VolumeSnapshot {
            id: self.id,
            name: self.name.clone().map_or_else(|| next_name(pattern, taken), Ok)?,
            description: self.description.clone(),
            created: view.now,
            expires: self.kept.end(volume.config.get("snapshots.expiry"), view.now)?,
            volume: volume.clone(),
            generation: 0,
        })
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "volume-snapshot.create"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![question(state, self.volume, &name, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.volume)
    }

    /// What stands still for this is let run by nobody else.
    fn holds(&self, state: &State) -> Vec<ObjectId> {
        self.users.ids(state, self.volume)
    }

    fn check(&self, state: &State) -> Result<()> {
        let volume = by_id(state, self.volume)?;
        let taken = self.of_that_name(state);
        if let Some(taken) = taken.filter(|_| !self.reuse) {
            let what = format!("snapshot {} of volume {} exists already", taken.name, volume.title());
            return Err(Error::new(Kind::AlreadyExists, what));
        }
        if taken.is_none() && state.snapshots_of_volume(self.volume).count() >= MAX {
            return Err(Error::new(Kind::LimitsExceeded, format!("volume {} has {MAX} snapshots", volume.title())));
        }
        Ok(())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let volume = by_id(state, self.volume)?;
        let (pool, users) = (place(view.ports, state, &volume)?, self.users.live(state, self.volume)?);
        let mut finish = vec![];
        if let Some(taken) = self.of_that_name(state) {
            // It has a name until it is removed, lest what could not be removed is forgotten.
            let name: SnapshotName = taken.id.to_string().parse()?;
            let _ = self.replaced.set(name.clone());
            finish.push(Write::Update(Row::VolumeSnapshot(VolumeSnapshot { name, ..VolumeSnapshot::clone(taken) })));
        }
        finish.push(Write::Insert(Row::VolumeSnapshot(self.record(view, &volume)?)));
        let live = !users.is_empty();
        let take = Step::TakeSnapshot { pool: pool.clone(), instance: self.volume, snapshot: self.id, live };
        let mut steps = still(view, &pool, &users, take)?;
        steps.push(Step::KeepSnapshot { pool, instance: self.volume, snapshot: self.id });
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        let mut writes = plan.finish.clone();
        if let Some((key, value)) = &self.noted {
            let mut volume = Volume::clone(by_id(state, self.volume)?.as_ref());
            volume.volatile.insert((*key).to_owned(), value.clone());
            writes.push(Write::Update(Row::Volume(volume)));
        }
        let mut output = Output::object("volume", self.volume);
        for write in &plan.finish {
            if let Write::Insert(Row::VolumeSnapshot(snapshot)) = write {
                output.texts.insert("snapshot", snapshot.name.to_string());
            }
        }
        Ok(Finish { writes, output })
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        Some(Box::new(Delete::new(self.volume, self.replaced.get()?.clone())))
    }
}
