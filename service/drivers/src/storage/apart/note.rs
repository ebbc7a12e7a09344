//! The note beside a tree that says what it is called where it lies, since directories get other names. It is written before
//! the tree is made and goes after it, so that a tree without a note is one that a crash left. Blocking code. Called by
//! `apart`.

use super::super::layout::{ROOT, TREE as NOTE, VOLUMES};
use super::super::place;
use lxhost_model::{Error, ObjectId, Result};
use lxhost_safefs::{Dir, Durability};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

/// Notes in a directory, durably, which tree it is going to have.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn note(dir: &Path) -> Result<String> {
    let failed = |e: io::Error| Error::io("note the tree", &e);
    let tree = of_tree(ObjectId::from_random(place::random().map_err(failed)?));
    let noted = Dir::open(dir).and_then(|dir| dir.replace_file(OsStr::new(NOTE), tree.as_bytes(), 0o600, Durability::Disk));
    noted.map_err(failed).map(|()| tree)
}

/// The tree that a directory has; `None`: it has none, or is no directory.
///
/// # Errors
/// `Failed`.
pub(super) fn noted(dir: &Path) -> Result<Option<String>> {
    let read = Dir::open(dir).and_then(|dir| dir.read_file(OsStr::new(NOTE), 64));
    match read {
        Ok(note) => Ok(note.and_then(|note| tree_in(&String::from_utf8_lossy(&note)))),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::io(dir.display(), &e)),
    }
}

/// Says that the tree of a directory is whole, durably.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn made(dir: &Path) -> Result<()> {
    let synced = place::make_dir(&dir.join(ROOT), 0o700).and_then(|()| place::sync(dir));
    let above = dir.parent().unwrap_or(Path::new("/"));
    synced.and_then(|()| place::sync(above)).map_err(|e| Error::io("keep the tree", &e))
}

/// Name of a tree with that random part.
fn of_tree(random: ObjectId) -> String {
    format!("lxhost.{random}")
}

/// A name of a tree as a note has it, if it is one.
pub(in super::super) fn tree_in(note: &str) -> Option<String> {
    let id: ObjectId = note.trim().strip_prefix("lxhost.")?.parse().ok()?;
    Some(of_tree(id))
}

/// Trees that notes in a pool name, wherever these lie.
pub(super) fn all(source: &Path) -> io::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for pool in [source.to_owned(), source.join(VOLUMES)] {
        for place in ["images", "instances", "snapshots", ".trash"] {
            let entries = match fs::read_dir(pool.join(place)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let found = noted(&entry?.path());
                all.extend(found.map_err(|error| io::Error::other(error.message))?);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_others_are_none() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(noted(place.path()).unwrap(), None);
        assert_eq!(noted(&place.path().join("missing")).unwrap(), None);
        let tree = note(place.path()).unwrap();
        assert_eq!(noted(place.path()).unwrap(), Some(tree.clone()));
        assert_ne!(note(place.path()).unwrap(), tree);
        std::fs::write(place.path().join(NOTE), "lxhost.dir").unwrap();
        assert_eq!(noted(place.path()).unwrap(), None);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert_eq!(noted(&place.path().join("file")).unwrap(), None);
    }

    #[test]
    fn a_note_names_a_tree_or_nothing() {
        let name = of_tree(ObjectId::from_random([7; 16]));
        assert_eq!(tree_in(&format!("{name}\n")), Some(name.clone()));
        for bad in ["", "lxhost.dir", "lxhost", "lxhost.../../x", &name[1..], &format!("{name}/x")] {
            assert_eq!(tree_in(bad), None, "{bad}");
        }
    }
}
