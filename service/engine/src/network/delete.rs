//! `network.delete`: a network that nobody uses is gone from records and host.

use super::question;
use crate::ports::{RowKey, State, Write};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::device::Devices;
use lxhost_model::{Network, ObjectId};
use std::sync::Arc;

/// Deletes a network.
pub struct Delete {
    id: ObjectId,
}

impl Delete {
    /// Deletes the network `id`.
    pub fn new(id: ObjectId) -> Self {
        Delete { id }
    }

    fn network(&self, state: &State) -> Result<Arc<Network>> {
        let gone = || Error::new(Kind::NoSuchNetwork, "the network does not exist any more");
        state.networks.get(&self.id).cloned().ok_or_else(gone)
    }
}

#[async_trait]
impl Verb for Delete {
    fn name(&self) -> &'static str {
        "network.delete"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        let name = self.network(state).map(|network| network.name.to_string()).unwrap_or_default();
        vec![question(&name, self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let network = self.network(state)?;
        let uses = |devices: &Devices| devices.values().any(|d| d.get("network") == Some(network.name.as_str()));
        if let Some(instance) = state.instances.values().find(|i| uses(&i.devices)) {
            return Err(Error::new(Kind::InUse, format!("network {} is used by instance {}", network.name, instance.name)));
        }
        match state.profiles.values().find(|profile| uses(&profile.devices)) {
            Some(profile) => {
                Err(Error::new(Kind::InUse, format!("network {} is used by profile {}", network.name, profile.name)))
            }
            None => Ok(()),
        }
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let network = self.network(&view.state)?;
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::NetworkDown(Network::clone(&network))],
            finish: vec![Write::Delete(RowKey::Network(self.id))],
            failed: vec![],
            recovery: Recovery::Resume,
        })
    }
}
