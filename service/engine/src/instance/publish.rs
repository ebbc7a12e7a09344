//! `instance.publish`: an instance, or a snapshot of it, as an image. One that runs stands still for as long as its file
//! system needs, and the image is what it held then.

use super::export::{held, held_still, placed};
use super::{pool_of, questions};
use crate::core::instance_of;
use crate::image::{Arrival, question};
use crate::ports::{Held, State};
use crate::snapshot::{find, settled};
use crate::step::{Outcome, Packing, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Ports, Result};
use async_trait::async_trait;
use lxhost_model::backup::{About, Compression, IMAGE_ROOT, Published};
use lxhost_model::config::Config;
use lxhost_model::name::{ImageAlias, ProjectName, SnapshotName};
use lxhost_model::{Action, Instance, ObjectId};

/// How the image is wanted.
#[derive(Debug, Clone, Default)]
pub struct Edition {
    /// Of this snapshot; `None`: of the instance as it is.
    pub snapshot: Option<SnapshotName>,
    /// Names to give it.
    pub aliases: Vec<ImageAlias>,
    /// Whether it takes these names from images that have them.
    pub reuse: bool,
    /// What it says about itself over what the image of the instance said.
    pub properties: Config,
    /// How its file is compressed.
    pub compression: Compression,
}

/// Makes an image of an instance.
pub struct Publish {
    instance: ObjectId,
    snapshot: Option<SnapshotName>,
    reuse: bool,
    compression: Compression,
    arrival: Arrival,
    /// What is taken of one that runs.
    taken: ObjectId,
}

impl Publish {
    /// Makes an image of `instance`, which is in `project`.
    ///
    /// # Errors
    /// `InvalidConfig` when a property holds control characters.
    pub fn new(ports: &Ports, project: ProjectName, instance: ObjectId, edition: Edition) -> Result<Self> {
        let Edition { snapshot, aliases, reuse, properties, compression } = edition;
        properties.iter().try_for_each(|(key, value)| lxhost_model::config::check_text(key, value))?;
        let arrival = Arrival::asked(ports.host.random(), project, aliases, properties);
        Ok(Publish { instance, snapshot, reuse, compression, arrival, taken: ObjectId::from_random(ports.host.random()) })
    }

    fn packing(&self, view: &View<'_>, instance: &Instance) -> Result<Packing> {
        let state = &view.state;
        let snapshot = self.snapshot.as_ref().map(|name| find(state, self.instance, name)).transpose()?;
        let (from, of) = match &snapshot {
            Some(snapshot) => (Held::Snapshot(snapshot.id), &snapshot.instance),
            None => (held(instance, self.taken), instance),
        };
        let mut properties = of.image_properties.clone();
        properties.extend(self.arrival.properties.clone());
        Ok(Packing {
            pool: pool_of(state, instance)?,
            roots: vec![placed(state, from, of, IMAGE_ROOT.to_owned())],
            about: About::Image(Published { architecture: of.architecture.clone(), created: view.now, properties }),
            compression: self.compression,
        })
    }
}

#[async_trait]
impl Verb for Publish {
    fn name(&self) -> &'static str {
        "instance.publish"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.arrival.aliases.first().map(ToString::to_string).unwrap_or_default();
        let mut asked = questions(state, self.instance, Action::InstanceMigrate, self.name());
        asked.push(question(Action::ImageManage, &name, &self.arrival.project, self.name()));
        asked
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.instance)?;
        settled(&instance)?;
        if let Some(name) = &self.snapshot {
            find(state, self.instance, name)?;
        }
        if self.reuse { Ok(()) } else { self.arrival.check_free(state) }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let _ = self.arrival.now.set(view.now);
        let instance = instance_of(&view.state, self.instance)?;
        let pack = Step::PackImage(Box::new(self.packing(view, &instance)?));
        let steps = match &self.snapshot {
            Some(_) => vec![pack],
            None => held_still(view, &instance, self.taken, pack)?,
        };
        Ok(Plan { writes: vec![], steps, finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, _plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        if !self.reuse {
            self.arrival.check_free(state)?;
        }
        self.arrival.finish(state, outcome)
    }
}
