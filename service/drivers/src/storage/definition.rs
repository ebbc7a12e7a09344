//! Definitions of what lies in a pool, each beside what it is about. Whoever brought the disk may have written them: no
//! link is followed, and none is longer than a definition may be. Blocking code. Called by the drivers.

use super::layout::{DEFINITION, Layout, MARK, POOL, SNAPSHOT};
use super::skeleton;
use lxhost_engine::ports::{Defined, Definition, Lying};
use lxhost_model::{Error, Kind, Result};
use lxhost_safefs::{Dir, Durability};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

/// Most bytes of a definition.
const BYTES: u64 = 1 << 20;
/// Bytes of a mark.
const MARK_BYTES: u64 = 64;

/// Writes one, unless it is there already.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn write(layout: &Layout, of: Defined, yaml: &str) -> Result<()> {
    let (beside, name) = match of {
        Defined::Pool => (layout.source.clone(), POOL),
        Defined::Instance(id) => (layout.instance(id), DEFINITION),
        Defined::Snapshot(id) => (layout.snapshot(id), SNAPSHOT),
    };
    beside_it(&beside, name, yaml)
}

/// Writes the file `name` in `directory`, unless it says so already.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(crate) fn beside_it(directory: &Path, name: &str, yaml: &str) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("definition {}", directory.join(name).display()), &e);
    let (dir, name) = (Dir::open(directory).map_err(failed)?, OsStr::new(name));
    if dir.read_file(name, yaml.len() as u64).is_ok_and(|old| old.as_deref() == Some(yaml.as_bytes())) {
        return Ok(());
    }
    dir.replace_file(name, yaml.as_bytes(), 0o600, Durability::Disk).map_err(failed)
}

/// Those of instances and snapshots that are there.
///
/// # Errors
/// `Untrusted` when somebody else than this daemon has made the directories; `Failed` when one cannot be listed.
pub(super) fn all(layout: &Layout) -> Result<Vec<Definition>> {
    skeleton::check(layout)?;
    let mut found = vec![];
    for (place, file, of) in [
        (layout.instances(), DEFINITION, Defined::Instance as fn(_) -> Defined),
        (layout.snapshots(), SNAPSHOT, Defined::Snapshot),
    ] {
        for entry in listed(&place)? {
            // Whatever has another name is on its way in or out.
            let Some(id) = entry.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok()) else { continue };
            found.push(Definition { of: of(id), text: text(&entry, file) });
        }
    }
    Ok(found)
}

/// Pools that lie directly in `pools`, and in each of `sources`.
///
/// # Errors
/// `InvalidArgs` for a source that is not a plain absolute path, or no pool.
pub(super) fn lying(pools: &Path, sources: &[PathBuf]) -> Result<Vec<Lying>> {
    let mut found: Vec<Lying> = listed(pools)?.into_iter().filter_map(|place| pool(&place)).collect();
    for source in sources {
        let shown = source.display();
        if !source.is_absolute() || !source.components().skip(1).all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::new(Kind::InvalidArgs, format!("source {shown} is not a plain absolute path")));
        }
        match pool(source) {
            None => return Err(Error::new(Kind::InvalidArgs, format!("there is no pool at {shown}"))),
            Some(one) if found.iter().all(|other| other.source != one.source) => found.push(one),
            Some(_) => {}
        }
    }
    Ok(found)
}

/// The pool at `source`, if one has left its mark there.
fn pool(source: &Path) -> Option<Lying> {
    let mark = Dir::open(source).and_then(|dir| dir.read_file(OsStr::new(MARK), MARK_BYTES)).ok().flatten()?;
    let id = String::from_utf8_lossy(&mark).into_owned();
    Some(Lying { source: source.to_owned(), id, text: text(source, POOL) })
}

fn listed(place: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: io::Error| Error::io(place.display(), &e);
    let entries = match fs::read_dir(place) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(failed)?,
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<PathBuf>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// The text of the definition `file` in `directory`.
pub(crate) fn text(directory: &Path, file: &str) -> Result<String> {
    let failed = |e: io::Error| Error::io("its definition", &e);
    let bytes = Dir::open(directory).and_then(|dir| dir.read_file(OsStr::new(file), BYTES)).map_err(failed)?;
    let bytes = bytes.ok_or_else(|| Error::new(Kind::Untrusted, "it has no definition"))?;
    String::from_utf8(bytes).map_err(|_| Error::new(Kind::Untrusted, "its definition is not UTF-8"))
}
