//! `pool.replace`: other keys and description for a pool. Where it lies cannot change; one in a file can grow.

use super::{by_id, question};
use crate::ports::{Row, State, Write, same};
use crate::step::{OwnFilesystem, Step};
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::config::{Config, check_text};
use lxhost_model::name::quoted;
use lxhost_model::size::parse_bytes;
use lxhost_model::{ObjectId, Pool, trash};

/// Key of the size of a pool's file.
const SIZE: &str = "size";

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
        trash::check(&self.config).map_err(|error| error.context(format!("pool {}", pool.name)))?;
        let grows = self.grows(&pool)?;
        let fixed = |key: &&String| !(key.starts_with("user.") || *key == trash::EXPIRY || grows && *key == SIZE);
        let moved = |key: &&String| self.config.get(*key) != pool.config.get(*key);
        if let Some(key) = self.config.keys().chain(pool.config.keys()).filter(fixed).find(moved) {
            let what = match pool.config.contains_key(key) {
                true => format!("pool {}: {key} cannot change; make another pool", pool.name),
                false => format!("pool {}: {} cannot be set; {} and user.* can", pool.name, quoted(key), trash::EXPIRY),
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

    /// Whether the size is said, and is no less than it was.
    fn grows(&self, pool: &Pool) -> Result<bool> {
        let (Some(old), Some(new)) = (pool.config.get(SIZE), self.config.get(SIZE)) else { return Ok(false) };
        if parse_bytes(new)? < parse_bytes(old)? {
            let what = format!("pool {}: a pool cannot shrink; its size is {old}", pool.name);
            return Err(Error::new(Kind::Unsupported, what));
        }
        Ok(true)
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
        let pool = self.changed(&view.state)?;
        view.ports.filesystems.check(&pool)?;
        let before = by_id(&view.state, self.id)?;
        let write = vec![Write::Update(Row::Pool(pool.clone()))];
        if before.config.get(SIZE) == pool.config.get(SIZE) {
            return Ok(Plan::writes(write));
        }
        let steps = vec![Step::Filesystem(OwnFilesystem::Grow(pool))];
        // A file that has grown does not shrink again, so what was begun is ended.
        Ok(Plan { writes: vec![], steps, finish: write, failed: vec![], recovery: Recovery::Resume })
    }
}
