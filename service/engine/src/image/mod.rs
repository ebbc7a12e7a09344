//! Verbs on images, one file each, and how a reference such as `debian:13` finds its image.

mod alias;
mod delete;
mod export;
mod import;
mod pull;
mod unpack;

pub use alias::{AddAlias, RemoveAlias};
pub use delete::Delete;
pub use export::Export;
pub use import::Import;
pub use pull::Pull;
pub(crate) use unpack::Unpack;

use crate::job::Output;
use crate::ports::{ImageSource, ImportedImage, Row, State, Write};
use crate::step::Outcome;
use crate::verb::{Finish, Question};
use crate::{Error, Kind, Ports, Result};
use lxhost_model::config::{Config, nearest};
use lxhost_model::name::{ImageAlias, ProjectName, quoted};
use lxhost_model::{Action, Fingerprint, Image, ObjectId, Timestamp};
use std::sync::{Arc, OnceLock};

/// Shortest start of a fingerprint that is taken for one.
const MIN_PREFIX: usize = 4;

/// The image meant by an alias, a fingerprint, the start of one, or `remote:alias` (if it was fetched
/// before).
///
/// # Errors
/// `NoSuchImage`, with the nearest alias; `InvalidArgs` when the start fits several.
pub fn find(state: &State, project: &ProjectName, reference: &str) -> Result<Arc<Image>> {
    let images = || state.images.values().filter(|image| image.project == *project);
    let aliased = images().find(|image| image.aliases.iter().any(|alias| alias.as_str() == reference));
    if let Some(image) = aliased.or_else(|| images().find(|image| !image.source.is_empty() && image.source == normal(reference)))
    {
        return Ok(image.clone());
    }
    let is_prefix = reference.len() >= MIN_PREFIX && reference.bytes().all(|b| b.is_ascii_hexdigit());
    let mut matching =
        images().filter(|image| is_prefix && image.fingerprint.as_str().starts_with(&reference.to_ascii_lowercase()));
    match (matching.next(), matching.next()) {
        (Some(image), None) => Ok(image.clone()),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::InvalidArgs, format!("{} fits several images; give more digits", quoted(reference))))
        }
        _ => {
            let aliases: Vec<&str> = images().flat_map(|image| image.aliases.iter().map(ImageAlias::as_str)).collect();
            let hint = match nearest(reference, aliases.iter().copied()) {
                Some(near) => format!("; did you mean {near}?"),
                None if !reference.contains(':') => "; images of a remote are named like debian:13".to_owned(),
                None => String::new(),
            };
            Err(Error::new(Kind::NoSuchImage, format!("image {} does not exist{hint}", quoted(reference))))
        }
    }
}

/// `remote:name`, split.
///
/// # Errors
/// `NoSuchImage` when there is no colon or a part is empty.
pub fn split_remote(reference: &str) -> Result<(&str, &str)> {
    match reference.split_once(':') {
        Some((remote, name)) if !remote.is_empty() && !name.is_empty() => Ok((remote, name)),
        _ => Err(Error::new(Kind::NoSuchImage, format!("{} is not of the form remote:image", quoted(reference)))),
    }
}

/// One spelling for what means the same: `debian:debian/13` and `debian:13` are one image.
fn normal(reference: &str) -> String {
    match reference.split_once(':') {
        Some((remote, name)) => format!("{remote}:{}", name.strip_prefix(&format!("{remote}/")).unwrap_or(name)),
        None => reference.to_owned(),
    }
}

/// The remote called `name`.
///
/// # Errors
/// `NoSuchImage`, naming those there are.
pub fn source<'a>(ports: &'a Ports, name: &str) -> Result<&'a Arc<dyn ImageSource>> {
    let unknown = || {
        let names: Vec<_> = ports.sources.iter().map(|source| source.name()).collect();
        Error::new(Kind::NoSuchImage, format!("remote {} does not exist; there are {}", quoted(name), names.join(", ")))
    };
    ports.sources.iter().find(|source| source.name() == name).ok_or_else(unknown)
}

/// Whether any project has an image of that fingerprint.
pub(crate) fn is_recorded(state: &State, fingerprint: &Fingerprint) -> bool {
    state.images.values().any(|image| image.fingerprint == *fingerprint)
}

/// A question about `action` on an image called `image`.
pub(crate) fn question(action: Action, image: &str, project: &ProjectName, verb: &str) -> Question {
    Question { action, details: vec![("image", image.to_owned()), ("project", project.to_string()), ("verb", verb.to_owned())] }
}

/// The image behind an id.
///
/// # Errors
/// `NoSuchImage`.
pub fn by_id(state: &State, id: ObjectId) -> Result<Arc<Image>> {
    state.images.get(&id).cloned().ok_or_else(|| Error::new(Kind::NoSuchImage, "the image does not exist any more"))
}

/// Questions of a verb on one existing image.
fn questions(state: &State, id: ObjectId, action: Action, verb: &str) -> Vec<Question> {
    let (image, project) = match state.images.get(&id) {
        Some(image) => (image.fingerprint.to_string(), image.project.clone()),
        None => (id.to_string(), ProjectName::default()),
    };
    vec![question(action, &image, &project, verb)]
}

/// What a record of a new image is made of beside its files.
pub(crate) struct Arrival {
    pub(crate) id: ObjectId,
    pub(crate) project: ProjectName,
    pub(crate) aliases: Vec<ImageAlias>,
    pub(crate) properties: Config,
    pub(crate) source: String,
    pub(crate) cached: bool,
    /// When the verb was planned.
    pub(crate) now: OnceLock<Timestamp>,
}

impl Arrival {
    /// An image that a caller asked for.
    pub(crate) fn asked(random: [u8; 16], project: ProjectName, aliases: Vec<ImageAlias>, properties: Config) -> Arrival {
        let id = ObjectId::from_random(random);
        Arrival { id, project, aliases, properties, source: String::new(), cached: false, now: OnceLock::new() }
    }

    /// Refuses to take the name of an image that is there.
    pub(crate) fn check_free(&self, state: &State) -> Result<()> {
        let taken = |alias: &&ImageAlias| state.images.values().any(|i| i.project == self.project && i.aliases.contains(alias));
        match self.aliases.iter().find(taken) {
            Some(alias) => Err(Error::new(Kind::AlreadyExists, format!("image alias {alias} exists already"))),
            None => Ok(()),
        }
    }

    /// The end of a verb that took it in.
    pub(crate) fn finish(&self, state: &State, outcome: &Outcome) -> Result<Finish> {
        let imported = outcome.imported.as_ref().ok_or_else(|| Error::failed("the image was not taken in"))?;
        let (id, writes) = record(state, self, imported, self.now.get().copied().unwrap_or(0));
        let mut output = Output::object("image", id);
        output.texts.insert("fingerprint", imported.fingerprint.to_string());
        Ok(Finish { writes, output })
    }
}

/// The transaction that records an image: a new record, or new names for the one there is. An alias moves
/// to the newest image that claims it only when the caller is a pull; an import is refused before.
fn record(state: &State, arrival: &Arrival, imported: &ImportedImage, now: u64) -> (ObjectId, Vec<Write>) {
    let mut writes = vec![];
    for other in
        state.images.values().filter(|other| other.project == arrival.project && other.fingerprint != imported.fingerprint)
    {
        let mut stripped = Image::clone(other);
        stripped.aliases.retain(|alias| !arrival.aliases.contains(alias));
        if !arrival.source.is_empty() && stripped.source == arrival.source {
            stripped.source.clear();
        }
        if stripped.aliases != other.aliases || stripped.source != other.source {
            writes.push(Write::Update(Row::Image(stripped)));
        }
    }
    if let Some(known) = state.image(&arrival.project, &imported.fingerprint) {
        let mut image = Image::clone(known);
        image.aliases.extend(arrival.aliases.iter().filter(|alias| !known.aliases.contains(alias)).cloned());
        if !arrival.source.is_empty() {
            image.source.clone_from(&arrival.source);
        }
        image.cached &= arrival.cached;
        writes.push(Write::Update(Row::Image(image)));
        return (known.id, writes);
    }
    let mut properties = imported.properties.clone();
    properties.extend(arrival.properties.clone());
    writes.push(Write::Insert(Row::Image(Image {
        id: arrival.id,
        project: arrival.project.clone(),
        fingerprint: imported.fingerprint.clone(),
        aliases: arrival.aliases.clone(),
        architecture: imported.architecture.clone(),
        properties,
        split: imported.split,
        size: imported.size,
        created: imported.created,
        uploaded: now,
        last_used: 0,
        source: arrival.source.clone(),
        cached: arrival.cached,
        generation: 0,
    })));
    (arrival.id, writes)
}
