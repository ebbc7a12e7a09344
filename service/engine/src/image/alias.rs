//! `image.add-alias` and `image.remove-alias`.

use super::{by_id, questions};
use crate::ports::{Row, State, Write};
use crate::verb::{Plan, Question, Verb, View};
use crate::{Error, Kind, Result};
use async_trait::async_trait;
use lxhost_model::name::ImageAlias;
use lxhost_model::{Action, Image, ObjectId};

/// Gives an image an alias.
pub struct AddAlias {
    /// The image.
    pub id: ObjectId,
    /// The alias.
    pub alias: ImageAlias,
}

#[async_trait]
impl Verb for AddAlias {
    fn name(&self) -> &'static str {
        "image.add-alias"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::ImageManage, self.name())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let image = by_id(&view.state, self.id)?;
        if view.state.images.values().any(|other| other.project == image.project && other.aliases.contains(&self.alias)) {
            return Err(Error::new(Kind::AlreadyExists, format!("image alias {} exists already", self.alias)));
        }
        let mut image = Image::clone(&image);
        image.aliases.push(self.alias.clone());
        Ok(Plan::writes(vec![Write::Update(Row::Image(image))]))
    }
}

/// Takes an alias from an image.
pub struct RemoveAlias {
    /// The image.
    pub id: ObjectId,
    /// The alias.
    pub alias: ImageAlias,
}

#[async_trait]
impl Verb for RemoveAlias {
    fn name(&self) -> &'static str {
        "image.remove-alias"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        questions(state, self.id, Action::ImageManage, self.name())
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let mut image = Image::clone(by_id(&view.state, self.id)?.as_ref());
        let before = image.aliases.len();
        image.aliases.retain(|alias| *alias != self.alias);
        if image.aliases.len() == before {
            let what = format!("image {} has no alias {}", image.fingerprint.short(), self.alias);
            return Err(Error::new(Kind::NoSuchImage, what));
        }
        Ok(Plan::writes(vec![Write::Update(Row::Image(image))]))
    }
}
