//! What records have in common: an id, a generation, a name of their own among their kind, a table in
//! [`State`]. Instances have an index of names beside it and jobs no name, so both are apart. Called by
//! [`State::apply`].

use super::store::{Row, State, gone, same, taken};
use super::table::Table;
use lxhost_model::{Acl, Image, Kind, Network, ObjectId, Pool, Profile, Result, Volume};
use std::sync::Arc;

/// A kind of record.
pub(super) trait Record: Clone {
    /// What it is called.
    const NOUN: &'static str;
    /// The error of one that is gone.
    const GONE: Kind;

    fn id(&self) -> ObjectId;
    fn generation(&mut self) -> &mut u64;
    /// What no two of them share: the name, in the pool and the project, if they have one.
    fn key(&self) -> [&str; 3];
    /// The name, as errors show it.
    fn title(&self) -> &str {
        self.key()[2]
    }
    fn table(state: &mut State) -> &mut Table<ObjectId, Arc<Self>>;
    fn row(self) -> Row;
}

/// Adds a record; `AlreadyExists` when its id or its name is taken.
pub(super) fn insert<R: Record>(state: &mut State, new: R) -> Result<Row> {
    let table = R::table(state);
    if table.contains_key(&new.id()) {
        return Err(taken(R::NOUN, new.title()));
    }
    free(table, &new)?;
    table.insert(new.id(), Arc::new(new.clone()));
    Ok(new.row())
}

/// Replaces a record; `NoSuch…` when there is none, `GenerationMismatch` when it was made of an older one,
/// `AlreadyExists` when its new name is taken.
pub(super) fn update<R: Record>(state: &mut State, mut new: R) -> Result<Row> {
    let table = R::table(state);
    let mut old = R::clone(table.get(&new.id()).ok_or_else(|| gone(R::GONE, new.title()))?);
    let generation = *new.generation();
    same(*old.generation(), generation, new.title())?;
    free(table, &new)?;
    *new.generation() += 1;
    table.insert(new.id(), Arc::new(new.clone()));
    Ok(new.row())
}

fn free<R: Record>(table: &Table<ObjectId, Arc<R>>, new: &R) -> Result<()> {
    if table.values().any(|other| other.id() != new.id() && other.key() == new.key()) {
        return Err(taken(R::NOUN, new.title()));
    }
    Ok(())
}

macro_rules! record {
    ($kind:ident in $table:ident, $noun:literal, $gone:ident, |$it:ident| $key:expr $(, $title:item)?) => {
        impl Record for $kind {
            const NOUN: &'static str = $noun;
            const GONE: Kind = Kind::$gone;

            fn id(&self) -> ObjectId {
                self.id
            }

            fn generation(&mut self) -> &mut u64 {
                &mut self.generation
            }

            fn key(&self) -> [&str; 3] {
                let $it = self;
                $key
            }

            $($title)?

            fn table(state: &mut State) -> &mut Table<ObjectId, Arc<Self>> {
                &mut state.$table
            }

            fn row(self) -> Row {
                Row::$kind(self)
            }
        }
    };
}

record!(Network in networks, "network", NoSuchNetwork, |it| ["", it.project.as_str(), it.name.as_str()]);
record!(Acl in acls, "ACL", NoSuchAcl, |it| ["", it.project.as_str(), it.name.as_str()]);
record!(Profile in profiles, "profile", NoSuchProfile, |it| ["", it.project.as_str(), it.name.as_str()]);
record!(
    Volume in volumes, "volume", NoSuchVolume,
    |it| [it.pool.as_str(), it.project.as_str(), it.name.as_str()]
);
record!(Pool in pools, "pool", NoSuchPool, |it| ["", "", it.name.as_str()]);
record!(
    Image in images, "image", NoSuchImage, |it| ["", it.project.as_str(), it.fingerprint.as_str()],
    fn title(&self) -> &str {
        self.fingerprint.short()
    }
);
