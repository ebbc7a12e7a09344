//! `pool.replace`: other keys and description for a pool. Where it lies cannot change.

use super::{by_id, question};
use crate::ports::{Row, State, Write, same};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::config::{Config, check_text};
use lxhost_model::name::quoted;
use lxhost_model::{ObjectId, Pool};

/// Changes a pool.
pub struct Replace {
    /// The pool.
    pub id: ObjectId,
    /// Its keys from now on; those that say where it lies have to stay.
    pub config: Config,
    /// Its description from now on; `None` stays.
    pub description: Option<String>,
    /// Generation the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl Replace {
    fn changed(&self, state: &State) -> Result<Pool> {
        let mut pool = Pool::clone(by_id(state, self.id)?.as_ref());
        same(pool.generation, self.expected.unwrap_or(pool.generation), format_args!("pool {}", pool.name))?;
        self.config.iter().try_for_each(|(key, value)| check_text(key, value))?;
        let fixed = |key: &&String| !key.starts_with("user.");
        let moved = |key: &&String| self.config.get(*key) != pool.config.get(*key);
        if let Some(key) = self.config.keys().chain(pool.config.keys()).filter(fixed).find(moved) {
            let what = match pool.config.contains_key(key) {
                true => format!("pool {}: {key} cannot change; make another pool", pool.name),
                false => format!("pool {}: unknown key {}; user.* can be set", pool.name, quoted(key)),
            };
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        pool.config.clone_from(&self.config);
        if let Some(description) = &self.description {
            check_text("description", description)?;
            pool.description.clone_from(description);
        }
        Ok(pool)
    }
}

#[async_trait]
impl Verb for Replace {
    fn name(&self) -> &'static str {
        "pool.replace"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = state.pools.get(&self.id).map(|pool| pool.name.to_string()).unwrap_or_default();
        vec![question(&name, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        self.changed(state).map(drop)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        Ok(Plan::writes(vec![Write::Update(Row::Pool(self.changed(&view.state)?))]))
    }
}
