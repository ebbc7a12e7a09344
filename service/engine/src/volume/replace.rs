//! `volume.replace`: other keys and description for a volume, another size at once. How it was made stays as it is.

use super::{by_id, is_live, place, question_of};
use crate::ports::{Row, State, Write, same};
use crate::step::{Quota, Step};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::{ObjectId, Volume};

/// Changes a volume.
pub struct Replace {
    /// The volume.
    pub id: ObjectId,
    /// Its keys from now on.
    pub config: Config,
    /// Its description from now on; `None` stays.
    pub description: Option<String>,
    /// Generation the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl Replace {
    fn changed(&self, state: &State) -> Result<Volume> {
        let mut volume = Volume::clone(by_id(state, self.id)?.as_ref());
        let title = volume.title();
        same(volume.generation, self.expected.unwrap_or(volume.generation), format_args!("volume {title}"))?;
        if let Some(key) = volume.moved(&self.config) {
            let what = format!("volume {title}: {key} says how it is made, and it is made already");
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        let had = volume.block()?;
        volume.config.clone_from(&self.config);
        volume = volume.sized();
        if let Some(description) = &self.description {
            volume.description.clone_from(description);
        }
        volume.check().map_err(|e| e.context(format!("volume {title}")))?;
        if volume.block()? < had {
            let what = format!("volume {title}: size: a block volume is not made smaller, that could destroy what is in it");
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        Ok(volume)
    }
}

#[async_trait]
impl Verb for Replace {
    fn name(&self) -> &'static str {
        "volume.replace"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_of(state, self.id, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let (before, changed) = (by_id(&view.state, self.id)?, self.changed(&view.state)?);
        let (from, to) = (before.quota()?, changed.quota()?);
        let (pool, live) = (place(view.ports, &view.state, &before)?, is_live(&view.state, &before, None));
        let quota = (from != to).then(|| Step::Quota(Box::new(Quota { pool, of: self.id, from, to, live })));
        let mut steps: Vec<Step> = quota.into_iter().collect();
        let (had, has) = (before.block()?, changed.block()?);
        let within = place(view.ports, &view.state, &before)?;
        let block = |to| Step::Block { pool: within, volume: self.id, from: had, to };
        steps.extend(has.filter(|_| had != has).map(block));
        let mut back = Volume::clone(&before);
        // The writes raise it.
        back.generation += 1;
        let failed = if steps.is_empty() { vec![] } else { vec![Write::Update(Row::Volume(back))] };
        Ok(Plan { steps, failed, ..Plan::writes(vec![Write::Update(Row::Volume(changed))]) })
    }
}
