//! Verbs on profiles, one file each.

mod create;
mod delete;
mod replace;

pub use create::Create;
pub use delete::Delete;
pub use replace::Replace;

use crate::ports::State;
use crate::verb::Question;
use crate::{Error, Kind, Result};
use lxhost_model::{Action, ObjectId, Profile};
use std::sync::Arc;

/// A question about a profile.
fn question(action: Action, profile: &str, verb: &str) -> Question {
    Question { action, details: vec![("profile", profile.to_owned()), ("verb", verb.to_owned())] }
}

/// The profile behind an id.
///
/// # Errors
/// `NoSuchProfile`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Profile>> {
    state.profiles.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchProfile, "the profile does not exist any more"))
}

/// What writing `profile` asks: the profile itself, and what equals root on the host.
fn questions(profile: &Profile, verb: &str) -> Vec<Question> {
    let mut questions = vec![question(Action::ProfileManage, profile.name.as_str(), verb)];
    let merged = lxhost_model::instance::Expanded { config: profile.config.clone(), devices: profile.devices.clone() };
    questions.extend(crate::instance::guarded(&merged).into_iter().map(|action| question(action, profile.name.as_str(), verb)));
    questions
}

/// Checks keys and values of a profile, which are those of an instance.
fn check(profile: &Profile) -> Result<()> {
    if profile.config.len() > lxhost_model::config::MAX_KEYS {
        return Err(Error::new(Kind::InvalidConfig, "too many configuration keys"));
    }
    lxhost_model::config::check_text("description", &profile.description)?;
    profile.config.iter().try_for_each(|(key, value)| lxhost_model::config::check_instance(key, value))
}
