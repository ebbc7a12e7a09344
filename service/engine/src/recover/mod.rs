//! `host.recover`: what lies on the disks and is in no record is taken in again, after the database was lost or a disk
//! came from elsewhere. It is at rest then, and has what it had. Nothing on the disks is changed by that.

mod find;
mod trash;

pub(crate) use trash::is_alive;

pub use find::Found;

use crate::instance::{free_ids, is_block};
use crate::job::Output;
use crate::ports::{Caller, Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Engine, Result, acl, defaults, network, pool, profile};
use async_trait::async_trait;
use lxhost_model::{Action, IdRange, Instance, Network};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Takes in what is lost.
pub struct Recover {
    sources: Vec<PathBuf>,
    /// What was adopted for it, and what it did.
    notes: Mutex<Vec<String>>,
}

impl Engine {
    /// What lies on the pools, below the state directory and in `sources`, and is in no record.
    ///
    /// # Errors
    /// Those of the authority; when a directory cannot be read.
    pub async fn lost(&self, caller: &Caller, sources: &[PathBuf]) -> Result<Vec<Found>> {
        self.core.ask(caller, vec![question(Action::StorageManagePools, "host.find-lost")]).await?;
        let view = View { state: self.state(), ports: &self.core.ports, now: self.core.ports.host.now() };
        find::all(&view, sources).await
    }
}

impl Recover {
    /// Looks into `sources`, too.
    pub fn new(sources: Vec<PathBuf>) -> Self {
        Recover { sources, notes: Mutex::default() }
    }

    fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

fn question(action: Action, verb: &str) -> Question {
    Question { action, details: vec![("verb", verb.to_owned())] }
}

#[async_trait]
impl Verb for Recover {
    fn name(&self) -> &'static str {
        "host.recover"
    }

    /// What is found may have been given everything there is to give, and is not changed.
    fn questions(&self, _state: &State) -> Vec<Question> {
        let asked = [Action::StorageManagePools, Action::InstanceConfigurePrivileged, Action::NetworkAttachPhysical];
        asked.into_iter().map(|action| question(action, self.name())).collect()
    }

    /// Whatever instances need, one after the other, and last what the first launch would make.
    async fn needs(&self, view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        let found = find::all(view, &self.sources).await?;
        for one in &found {
            let (note, verb): (String, Box<dyn Verb>) = match one {
                Found::Pool(pool) => (format!("pool {}", pool.name), Box::new(pool::Adopt::new(pool.clone()))),
                Found::Acl(acl) => (format!("acl {}", acl.name), Box::new(acl::Create::new(acl.clone())?)),
                Found::Network(network) => {
                    (format!("network {}", network.name), Box::new(network::Create::again(Network::clone(network))))
                }
                Found::Profile(profile) => (format!("profile {}", profile.name), Box::new(profile::Create::of(profile.clone()))),
                _ => continue,
            };
            self.note(note);
            return Ok(Some(verb));
        }
        for one in &found {
            if let Found::Instance(instance) = one
                && let Some(missing) = defaults::missing(view, &instance.project, &instance.profiles).await?
            {
                return Ok(Some(missing));
            }
        }
        Ok(None)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        let found = find::all(view, &self.sources).await?;
        let mut taken = view.ports.host.taken_ids().await?;
        let (mut steps, mut finish) = (vec![], vec![]);
        let images: Vec<_> =
            found.iter().filter_map(|one| if let Found::Image(image) = one { Some(image) } else { None }).collect();
        for one in &found {
            match one {
                Found::Pool(_) | Found::Acl(_) | Found::Network(_) | Found::Profile(_) => {}
                Found::Image(image) => {
                    self.note(format!("image {}", image.fingerprint.short()));
                    finish.push(Write::Insert(Row::Image(image.clone())));
                }
                Found::Volume(volume) => {
                    self.note(format!("volume {} on {}", volume.name, volume.pool));
                    finish.push(Write::Insert(Row::Volume(volume.clone())));
                }
                Found::VolumeSnapshot(snapshot) => {
                    self.note(format!("snapshot {}/{}", snapshot.volume.title(), snapshot.name));
                    finish.push(Write::Insert(Row::VolumeSnapshot(snapshot.as_ref().clone())));
                }
                Found::Instance(instance) => {
                    self.note(format!("instance {}", instance.name));
                    let instance = placed(state, instance, &mut taken)?;
                    if let Some(image) = &instance.image
                        && !crate::image::is_recorded(state, image)
                        && !images.iter().any(|known| known.fingerprint == *image)
                    {
                        // Its tree goes with the last root that is made of it.
                        let pool = crate::instance::pool_of(state, &instance)?;
                        steps.push(Step::RemoveImageTree { pool, image: image.clone(), used: true });
                    }
                    finish.push(Write::Insert(Row::Instance(instance)));
                }
                Found::Snapshot(snapshot) => {
                    self.note(format!("snapshot {}/{}", snapshot.instance.name, snapshot.name));
                    finish.push(Write::Insert(Row::Snapshot(snapshot.as_ref().clone())));
                }
                Found::Trashed(trashed) => {
                    self.note(format!("{} {}, in the trash", trashed.what.kind(), trashed.what.title()));
                    if let Some(image) = trashed.what.image()
                        && !crate::image::is_recorded(state, image)
                        && !images.iter().any(|known| known.fingerprint == *image)
                        && let Some(pool) = state.pool(trashed.what.pool())
                    {
                        let pool = lxhost_model::Pool::clone(pool);
                        steps.push(Step::RemoveImageTree { pool, image: image.clone(), used: true });
                    }
                    finish.push(Write::Insert(Row::Trashed(trashed.clone())));
                }
                Found::Left { kind, name, why, .. } => self.note(format!("{kind} {name} stays where it is: {why}")),
            }
        }
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        let mut output = Output::default();
        output.notes.clone_from(&self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Finish { writes: plan.finish.clone(), output })
    }
}

/// The instance with ids that nobody else has: roots hold those that the guest knows.
pub(crate) fn placed(state: &State, instance: &Instance, taken: &mut Vec<IdRange>) -> Result<Instance> {
    let mut instance = instance.clone();
    let others = state.instances.values().map(|other| other.ids);
    if !is_block(instance.ids) || others.chain(taken.iter().copied()).any(|other| other.overlaps(&instance.ids)) {
        instance.ids = free_ids(state, taken)?;
    }
    taken.push(instance.ids);
    Ok(instance)
}
