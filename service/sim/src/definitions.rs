//! Definitions of what has no disk, remembered.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{Definition, Definitions};
use lxhost_model::{ObjectId, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// They stay when the records are lost.
#[derive(Debug)]
pub struct SimDefinitions {
    all: Mutex<BTreeMap<String, String>>,
    faults: Arc<Faults>,
}

impl SimDefinitions {
    pub(crate) fn new(faults: Arc<Faults>) -> SimDefinitions {
        SimDefinitions { all: Mutex::default(), faults }
    }

    /// Of which objects of a kind there are some.
    pub fn of(&self, kind: &str) -> Vec<ObjectId> {
        let id = |name: &String| name.strip_prefix(kind)?.strip_prefix('-')?.parse().ok();
        locked(&self.all).keys().filter_map(id).collect()
    }

    /// Whether one of them says `words`.
    pub fn say(&self, words: &str) -> bool {
        locked(&self.all).values().any(|text| text.contains(words))
    }
}

#[async_trait]
impl Definitions for SimDefinitions {
    async fn write(&self, name: &str, text: &str) -> Result<()> {
        self.faults.pass("definitions.write")?;
        locked(&self.all).insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.faults.pass("definitions.remove")?;
        locked(&self.all).remove(name);
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Definition<String>>> {
        self.faults.pass("definitions.all")?;
        Ok(locked(&self.all).iter().map(|(of, text)| Definition { of: of.clone(), text: Ok(text.clone()) }).collect())
    }
}
