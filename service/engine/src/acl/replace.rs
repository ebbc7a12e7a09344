//! `acl.replace`: other rules for an ACL, in force at once where a network carries it.

use super::{by_id, question_of, users};
use crate::Result;
use crate::ports::{Row, State, Write, same};
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::acl::RuleKeys;
use lxhost_model::config::Config;
use lxhost_model::{Acl, ObjectId};

/// Changes an ACL.
pub struct Replace {
    /// The ACL.
    pub id: ObjectId,
    /// Its keys from now on.
    pub config: Config,
    /// Its rules for what goes to instances from now on.
    pub ingress: Vec<RuleKeys>,
    /// Its rules for what comes from instances from now on.
    pub egress: Vec<RuleKeys>,
    /// Its description from now on; `None` stays.
    pub description: Option<String>,
    /// Generation the caller has read; `None`: whatever it is now.
    pub expected: Option<u64>,
}

impl Replace {
    fn changed(&self, state: &State) -> Result<Acl> {
        let mut acl = Acl::clone(by_id(state, self.id)?.as_ref());
        same(acl.generation, self.expected.unwrap_or(acl.generation), format_args!("ACL {}", acl.name))?;
        acl.config.clone_from(&self.config);
        acl.ingress.clone_from(&self.ingress);
        acl.egress.clone_from(&self.egress);
        if let Some(description) = &self.description {
            acl.description.clone_from(description);
        }
        super::check(state, &acl)?;
        Ok(acl)
    }
}

#[async_trait]
impl Verb for Replace {
    fn name(&self) -> &'static str {
        "acl.replace"
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

    fn writes_whole(&self) -> Option<&'static str> {
        Some(crate::network::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let acl = self.changed(&view.state)?;
        let write = Write::Update(Row::Acl(acl.clone()));
        if users(&view.state, &acl).next().is_none() {
            return Ok(Plan::writes(vec![write]));
        }
        let steps = vec![Step::Filter(acl)];
        Ok(Plan { writes: vec![], steps, finish: vec![write], failed: vec![], recovery: Recovery::Undo })
    }
}
