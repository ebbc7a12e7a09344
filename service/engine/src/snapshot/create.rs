//! `snapshot.create`: what an instance holds now is kept under a name, with its configuration. One that runs stands
//! still for as long as its file system needs.

use super::{Delete, questions, settled};
use crate::core::instance_of;
use crate::instance::{expand, pool_of};
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::lifetime::Lifetime;
use lxhost_model::name::SnapshotName;
use lxhost_model::schedule::Schedule;
use lxhost_model::snapshot::{MAX, PATTERN, next_name};
use lxhost_model::{Instance, ObjectId, Snapshot, Status, Timestamp};
use std::sync::{Arc, OnceLock};

/// How long a snapshot is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    /// As `snapshots.expiry` says.
    #[default]
    AsConfigured,
    /// That long.
    For(Lifetime),
    /// For ever.
    Forever,
}

impl Kept {
    /// When what is taken `now` may be deleted, `configured` being what `snapshots.expiry` says; 0 = never.
    pub(crate) fn end(self, configured: Option<&String>, now: Timestamp) -> Result<Timestamp> {
        let lifetime = match self {
            Kept::For(lifetime) => lifetime,
            Kept::Forever => return Ok(0),
            Kept::AsConfigured => match configured.filter(|text| !text.is_empty()) {
                Some(text) => text.parse()?,
                None => return Ok(0),
            },
        };
        Ok(lifetime.end(now))
    }
}

/// Takes a snapshot.
pub struct Create {
    instance: ObjectId,
    id: ObjectId,
    name: Option<SnapshotName>,
    description: String,
    reuse: bool,
    kept: Kept,
    /// What the record of the instance says thereafter, in a key that the daemon keeps for itself.
    noted: Option<(&'static str, String)>,
    /// What the one is called now whose place it takes.
    replaced: OnceLock<SnapshotName>,
}

impl Create {
    /// Takes a snapshot of `instance` called `name` (`None`: as its `snapshots.pattern` says); `random` becomes its id.
    /// With `reuse` it takes the place of one that has the name.
    ///
    /// # Errors
    /// `InvalidConfig` for a description that is no text.
    pub fn new(
        instance: ObjectId,
        name: Option<SnapshotName>,
        description: String,
        reuse: bool,
        random: [u8; 16],
    ) -> Result<Self> {
        lxhost_model::config::check_text("description", &description)?;
        let id = ObjectId::from_random(random);
        let (kept, noted, replaced) = (Kept::default(), None, OnceLock::new());
        Ok(Create { instance, id, name, description, reuse, kept, noted, replaced })
    }

    /// To be kept otherwise than configured.
    #[must_use]
    pub fn kept(self, kept: Kept) -> Self {
        Create { kept, ..self }
    }

    /// Notes that in the record of the instance when it is done.
    pub(crate) fn noting(self, key: &'static str, value: String) -> Self {
        Create { noted: Some((key, value)), ..self }
    }

    fn expires(&self, state: &State, instance: &Instance, now: Timestamp) -> Result<Timestamp> {
        self.kept.end(expand(state, instance).config.get("snapshots.expiry"), now)
    }

    fn chosen_name(&self, state: &State, instance: &Instance) -> Result<SnapshotName> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let config = expand(state, instance).config;
        let pattern = config.get("snapshots.pattern").map_or(PATTERN, String::as_str);
        next_name(pattern, state.snapshots_of(self.instance).map(|snapshot| &snapshot.name))
    }

    /// The steps and the record of a snapshot that is taken before a start, where `snapshots.schedule` says so.
    pub(crate) fn at_start(view: &View<'_>, instance: &Instance) -> Result<(Vec<Step>, Vec<Write>)> {
        let state = &view.state;
        let schedule = expand(state, instance).config.remove("snapshots.schedule").unwrap_or_default();
        if !schedule.parse::<Schedule>().is_ok_and(|schedule| schedule.is_at_start()) {
            return Ok(Default::default());
        }
        let create = Create::new(instance.id, None, String::new(), false, view.ports.host.random())?;
        if state.snapshots_of(instance.id).count() >= MAX {
            tracing::warn!(LXHOST_INSTANCE = %instance.name, "it has {MAX} snapshots; none is taken at its start");
            return Ok(Default::default());
        }
        let (pool, id, snapshot) = (pool_of(state, instance)?, instance.id, create.id);
        let steps = vec![
            Step::TakeSnapshot { pool: pool.clone(), instance: id, snapshot, live: false },
            Step::KeepSnapshot { pool, instance: id, snapshot },
        ];
        Ok((steps, vec![Write::Insert(Row::Snapshot(create.record(view, instance)?))]))
    }

    fn record(&self, view: &View<'_>, instance: &Instance) -> Result<Snapshot> {
        Ok(Snapshot {
            id: self.id,
            name: self.chosen_name(&view.state, instance)?,
            description: self.description.clone(),
            created: view.now,
            expires: self.expires(&view.state, instance, view.now)?,
            instance: instance.clone(),
            generation: 0,
        })
    }

    fn of_that_name<'a>(&self, state: &'a State) -> Option<&'a Arc<Snapshot>> {
        state.snapshot(self.instance, self.name.as_ref()?)
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "snapshot.create"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
        questions(state, self.instance, &name, self.name())
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.instance)
    }

    fn check(&self, state: &State) -> Result<()> {
        let instance = instance_of(state, self.instance)?;
        settled(&instance)?;
        let taken = self.of_that_name(state);
        if let Some(taken) = taken.filter(|_| !self.reuse) {
            let what = format!("snapshot {} of instance {} exists already", taken.name, instance.name);
            return Err(Error::new(Kind::AlreadyExists, what));
        }
        if taken.is_none() && state.snapshots_of(self.instance).count() >= MAX {
            return Err(Error::new(Kind::LimitsExceeded, format!("instance {} has {MAX} snapshots", instance.name)));
        }
        Ok(())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let instance = instance_of(state, self.instance)?;
        let pool = pool_of(state, &instance)?;
        let at_once = view.ports.pools.driver(&pool.driver)?.snapshots_at_once();
        let mut finish = vec![];
        if let Some(taken) = self.of_that_name(state) {
            // It has a name until it is removed, lest what could not be removed is forgotten.
            let name: SnapshotName = taken.id.to_string().parse()?;
            let _ = self.replaced.set(name.clone());
            finish.push(Write::Update(Row::Snapshot(Snapshot { name, ..Snapshot::clone(taken) })));
        }
        finish.push(Write::Insert(Row::Snapshot(self.record(view, &instance)?)));
        let (id, live) = (self.instance, instance.status.is_live());
        let still = instance.status == Status::Running && !at_once;
        let mut steps = vec![Step::TakeSnapshot { pool: pool.clone(), instance: id, snapshot: self.id, live }];
        if still {
            steps.insert(0, Step::Freeze(id));
            steps.push(Step::Thaw(id));
        }
        steps.push(Step::KeepSnapshot { pool, instance: id, snapshot: self.id });
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        let mut writes = plan.finish.clone();
        if let Some((key, value)) = &self.noted {
            let mut instance = Instance::clone(instance_of(state, self.instance)?.as_ref());
            instance.volatile.insert((*key).to_owned(), value.clone());
            writes.push(Write::Update(Row::Instance(instance)));
        }
        let mut output = Output::object("instance", self.instance);
        for write in &plan.finish {
            if let Write::Insert(Row::Snapshot(snapshot)) = write {
                output.texts.insert("snapshot", snapshot.name.to_string());
            }
        }
        Ok(Finish { writes, output })
    }

    fn then(&self) -> Option<Box<dyn Verb>> {
        Some(Box::new(Delete::new(self.instance, self.replaced.get()?.clone())))
    }
}
