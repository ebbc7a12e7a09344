//! `volume.export`: a volume and its snapshots as a backup in LXD's format, written into the caller's descriptor. What it
//! held at one moment is written: instances that run with it stand still until that has been taken.

use super::users::{Held, still};
use super::{backup, by_id, place, question_of, snapshot};
use crate::job::Output;
use crate::ports::{self, State};
use crate::step::{Outcome, Packing, Placed, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Ports, Result};
use async_trait::async_trait;
use lxhost_model::backup::{About, Compression, VOLUME, volume_snapshot};
use lxhost_model::volume::Content;
use lxhost_model::{ObjectId, VolumeSnapshot};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Writes a backup of a volume.
pub struct Export {
    volume: ObjectId,
    compression: Compression,
    alone: bool,
    /// What is taken of one that something runs with.
    taken: ObjectId,
    to: Mutex<Option<OwnedFd>>,
    users: Held,
}

impl Export {
    /// Writes `volume` into `to`, without its snapshots if it is to go `alone`.
    pub fn new(ports: &Ports, volume: ObjectId, to: OwnedFd, compression: Compression, alone: bool) -> Self {
        let taken = ObjectId::from_random(ports.host.random());
        Export { volume, compression, alone, taken, to: Mutex::new(Some(to)), users: Held::default() }
    }

    fn snapshots<'a>(&self, state: &'a State) -> Vec<&'a Arc<VolumeSnapshot>> {
        if self.alone { vec![] } else { snapshot::whole(state, self.volume) }
    }
}

#[async_trait]
impl Verb for Export {
    fn name(&self) -> &'static str {
        "volume.export"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_of(state, self.volume, self.name())]
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
        match volume.content {
            Content::Filesystem => Ok(()),
            Content::Block => {
                let what = format!("volume {}: block volumes are not exported by this version", volume.title());
                Err(Error::new(Kind::Unsupported, what))
            }
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        let volume = by_id(state, self.volume)?;
        let (pool, users, past) = (place(view.ports, state, &volume)?, self.users.live(state, volume.id)?, self.snapshots(state));
        let root = |held: ports::Held, name: String| Placed { held, image: None, nesting: false, name, shifts: vec![] };
        let held = if users.is_empty() { ports::Held::Instance(volume.id) } else { ports::Held::Taken(self.taken) };
        let mut roots = vec![root(held, VOLUME.to_owned())];
        roots.extend(past.iter().map(|one| root(ports::Held::Snapshot(one.id), volume_snapshot(one.name.as_str()))));
        let about = About::Volume(backup(&volume, &past));
        let compression = self.compression;
        let pack = Step::PackBackup(Box::new(Packing { pool: pool.clone(), roots, about, compression }));
        let mut steps = vec![];
        if users.is_empty() {
            steps.push(pack);
        } else {
            let (instance, snapshot) = (volume.id, self.taken);
            let take = Step::TakeSnapshot { pool: pool.clone(), instance, snapshot, live: true };
            steps.extend(still(view, &pool, &users, take)?);
            steps.extend([pack, Step::DropTaken { pool, instance, snapshot }]);
        }
        Ok(Plan { writes: vec![], steps, finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }

    fn carry(&self) -> Outcome {
        Outcome { backup: self.to.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::object("volume", self.volume) })
    }
}
