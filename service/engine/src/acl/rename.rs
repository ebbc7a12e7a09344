//! `acl.rename`: another name for an ACL that nobody uses, since users know it by name.

use super::{by_id, question_of, unused};
use crate::ports::{Row, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::name::AclName;
use lxhost_model::{Acl, ObjectId};

/// Renames an ACL.
pub struct Rename {
    /// The ACL.
    pub id: ObjectId,
    /// Its name from now on.
    pub name: AclName,
}

impl Rename {
    fn changed(&self, state: &State) -> Result<Acl> {
        let acl = by_id(state, self.id)?;
        unused(state, &acl)?;
        match state.acl(&acl.project, &self.name) {
            Some(_) => Err(Error::new(Kind::AlreadyExists, format!("ACL {} exists already", self.name))),
            None => Ok(Acl { name: self.name.clone(), ..Acl::clone(&acl) }),
        }
    }
}

#[async_trait]
impl Verb for Rename {
    fn name(&self) -> &'static str {
        "acl.rename"
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
        Ok(Plan::writes(vec![Write::Update(Row::Acl(self.changed(&view.state)?))]))
    }
}
