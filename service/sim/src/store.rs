//! Records without a database.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{State, Store, Write};
use lxhost_model::Result;
use std::sync::{Arc, Mutex};

/// Records in memory.
#[derive(Debug)]
pub struct SimStore {
    state: Mutex<Arc<State>>,
    faults: Arc<Faults>,
}

impl SimStore {
    pub(crate) fn new(faults: Arc<Faults>) -> SimStore {
        SimStore { state: Mutex::default(), faults }
    }
}

#[async_trait]
impl Store for SimStore {
    fn state(&self) -> Arc<State> {
        Arc::clone(&locked(&self.state))
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Arc<State>> {
        self.faults.pass("store.commit")?;
        let mut shown = locked(&self.state);
        let mut after = State::clone(&shown);
        for write in writes {
            after.apply(write)?;
        }
        *shown = Arc::new(after);
        Ok(Arc::clone(&shown))
    }
}
