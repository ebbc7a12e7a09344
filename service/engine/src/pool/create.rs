//! `pool.create`: a pool, by default on what the state directory lies on.

use super::question;
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::{Outcome, OwnFilesystem, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Ports, Result};
use async_trait::async_trait;
use lxhost_model::config::{Config, parse_bool};
use lxhost_model::name::PoolName;
use lxhost_model::{ObjectId, Pool};

/// Key that allows to lose what a device holds.
const WIPE: &str = "source.wipe";

/// Makes a pool.
pub struct Create {
    pool: Pool,
    wipe: bool,
    noted: bool,
}

impl Create {
    /// Makes the pool `name` with `driver` (empty: what suits the host). What a device as its source holds is lost with
    /// the key `source.wipe`, which is not kept.
    ///
    /// # Errors
    /// `Unsupported` for an unknown driver; `InvalidConfig`.
    pub async fn new(ports: &Ports, name: PoolName, driver: &str, mut config: Config) -> Result<Self> {
        let driver = if driver.is_empty() { ports.pools.default_driver().await? } else { driver };
        ports.pools.driver(driver)?;
        config.iter().try_for_each(|(key, value)| lxhost_model::config::check_text(key, value))?;
        lxhost_model::trash::check(&config).map_err(|error| error.context(format!("pool {name}")))?;
        let wipe = config.remove(WIPE);
        let pool = record(ports, name, driver.to_owned(), config);
        ports.filesystems.check(&pool)?;
        let bad = |why: &str| Error::new(Kind::InvalidConfig, format!("pool {}: {WIPE}: {why}", pool.name));
        let wipe = match &wipe {
            None => false,
            Some(word) => parse_bool(word).ok_or_else(|| bad("expected true or false"))?,
        };
        if wipe && !pool.config.get("source").is_some_and(|source| source.starts_with("/dev/")) {
            return Err(bad("only a device as source can be wiped"));
        }
        Ok(Create { pool, wipe, noted: false })
    }

    /// The pool that a first launch makes; what was chosen is told to its caller.
    pub(crate) fn chosen(view: &View<'_>, name: PoolName, driver: String) -> Self {
        Create { pool: record(view.ports, name, driver, Config::new()), wipe: false, noted: true }
    }

    /// The same with a description.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn described(mut self, description: String) -> Result<Self> {
        lxhost_model::config::check_text("description", &description)?;
        self.pool.description = description;
        Ok(self)
    }

    /// Identity it is going to have.
    pub fn id(&self) -> ObjectId {
        self.pool.id
    }
}

fn record(ports: &Ports, name: PoolName, driver: String, mut config: Config) -> Pool {
    let state = ports.host.state_dir();
    if !config.contains_key("source")
        && !config.contains_key("size")
        && let Some(size) = ports.filesystems.size_of_file(&driver)
    {
        config.insert("size".to_owned(), size);
    }
    // A size is that of a file.
    let default = match config.contains_key("size") {
        true => state.join("disks").join(format!("{name}.img")),
        false => state.join("pools").join(name.as_str()),
    };
    config.entry("source".to_owned()).or_insert_with(|| default.to_string_lossy().into_owned());
    let id = ObjectId::from_random(ports.host.random());
    Pool { id, name, driver, description: String::new(), config, created: ports.host.now(), generation: 0 }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "pool.create"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![question(self.pool.name.as_str(), self.name())]
    }

    fn key(&self) -> Option<String> {
        Some("pool.create".to_owned())
    }

    fn check(&self, state: &State) -> Result<()> {
        match state.pool(&self.pool.name) {
            Some(_) => Err(Error::new(Kind::AlreadyExists, format!("pool {} exists already", self.pool.name))),
            None => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let source = self.pool.config.get("source");
        if let Some(other) = view.state.pools.values().find(|other| other.config.get("source") == source) {
            return Err(Error::new(Kind::InUse, format!("the source belongs to pool {} already", other.name)));
        }
        let mut steps = vec![];
        if view.ports.filesystems.is_own(&self.pool) {
            let (pool, wipe) = (self.pool.clone(), self.wipe);
            steps.push(Step::Filesystem(OwnFilesystem::Make { pool, wipe }));
        }
        steps.push(Step::SetUpPool(self.pool.clone()));
        Ok(Plan {
            writes: vec![],
            steps,
            finish: vec![Write::Insert(Row::Pool(self.pool.clone()))],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        let mut output = Output::object("pool", self.pool.id);
        if self.noted {
            let source = self.pool.config.get("source").map(String::as_str).unwrap_or_default();
            output.notes.push(format!("made pool {} ({} in {source})", self.pool.name, self.pool.driver));
        }
        Ok(Finish { writes: plan.finish.clone(), output })
    }
}
