//! `network.rename`: another name for a network that nobody uses, and with it another interface; its id and path
//! stay.

use super::{by_id, changeable, free, question, question_about, unused};
use crate::Result;
use crate::job::Output;
use crate::ports::{Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::name::NetworkName;
use lxhost_model::{Network, ObjectId};

/// Renames a network.
pub struct Rename {
    id: ObjectId,
    name: NetworkName,
}

impl Rename {
    /// Calls the network `id` `name`.
    pub fn new(id: ObjectId, name: NetworkName) -> Self {
        Rename { id, name }
    }
}

#[async_trait]
impl Verb for Rename {
    fn name(&self) -> &'static str {
        "network.rename"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        // Rules that allow names have to allow both.
        vec![question_about(state, self.id, self.name()), question(self.name.as_str(), self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.id)
    }

    fn check(&self, state: &State) -> Result<()> {
        let network = changeable(state, self.id)?;
        free(state, &network.project, &self.name)?;
        unused(state, &network)
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(super::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        self.check(&view.state)?;
        let before = by_id(&view.state, self.id)?;
        let renamed = Network { name: self.name.clone(), ..Network::clone(&before) };
        Ok(Plan {
            writes: vec![],
            steps: vec![Step::NetworkDown(Network::clone(&before)), Step::NetworkUp(renamed.clone())],
            finish: vec![Write::Update(Row::Network(renamed))],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, state: &State) -> Result<Finish> {
        // Somebody may have made one of that name, or an interface in it, meanwhile.
        self.check(state)?;
        Ok(Finish { writes: plan.finish.clone(), output: Output::default() })
    }
}
