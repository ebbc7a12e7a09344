//! Files of pools, with a file system in each: sparse, so they take what is in them. Called by `filesystem`.

use super::super::place;
use super::super::source::disks;
use crate::blocking::blocking;
use lxhost_model::{Error, Kind, ObjectId, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a file is while it is made. What is there carries nobody's id, but is known by its name.
pub(super) fn unfinished(path: &Path, id: ObjectId) -> PathBuf {
    path.with_file_name(format!(".new-{id}"))
}

/// Begins a pool's file of that many bytes.
///
/// # Errors
/// `Conflict` when there is one already; `NoSpace`, `Failed`.
pub(super) async fn begin(path: &Path, id: ObjectId, bytes: u64) -> Result<PathBuf> {
    let (path, new) = (path.to_owned(), unfinished(path, id));
    blocking("make the file of the pool", move || {
        let failed = |e: io::Error| Error::io(new.display(), &e);
        if path.symlink_metadata().is_ok() {
            let what = format!("{} is another pool's; lxctl recover takes in what no record knows", path.display());
            return Err(Error::new(Kind::Conflict, what));
        }
        place::make_dirs(path.parent().unwrap_or(Path::new("/")), 0o700).map_err(failed)?;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(failed)?;
        file.set_len(bytes).map_err(failed)?;
        Ok(new)
    })
    .await
}

/// Gives it its name, durably.
///
/// # Errors
/// `Conflict`, `NoSpace`, `Failed`.
pub(super) async fn finish(path: &Path, id: ObjectId) -> Result<()> {
    let (path, new) = (path.to_owned(), unfinished(path, id));
    blocking("keep the file of the pool", move || {
        let failed = |e: io::Error| Error::io(path.display(), &e);
        File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
        renameat_with(CWD, &new, CWD, &path, RenameFlags::NOREPLACE).map_err(|e| failed(e.into()))?;
        sync_above(&path).map_err(failed)
    })
    .await
}

/// Has a file grow to that many bytes.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn grow(path: &Path, bytes: u64) -> Result<()> {
    let path = path.to_owned();
    blocking("grow the file of the pool", move || {
        let grown = (|| {
            let file = File::options().write(true).open(&path)?;
            if file.metadata()?.len() < bytes {
                file.set_len(bytes)?;
            }
            file.sync_all()
        })();
        grown.map_err(|e| Error::io(path.display(), &e))
    })
    .await
}

/// Removes a pool's file if it is `ours`, and what there is of it; another pool's stays.
///
/// # Errors
/// `Failed`.
pub(super) async fn remove(path: &Path, id: ObjectId, ours: bool) -> Result<()> {
    let (path, new) = (path.to_owned(), unfinished(path, id));
    blocking("remove the file of the pool", move || {
        for gone in [Some(&new), ours.then_some(&path)].into_iter().flatten() {
            match fs::remove_file(gone) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(gone.display(), &e)),
                _ => {}
            }
        }
        // The last one goes with the directory.
        let _ = fs::remove_dir(path.parent().unwrap_or(Path::new("/")));
        match sync_above(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path.display(), &e)),
            _ => Ok(()),
        }
    })
    .await
}

/// Files of pools, whoever knows them.
///
/// # Errors
/// `Failed`.
pub(super) fn all(state: &Path) -> Result<Vec<PathBuf>> {
    let place = disks(state);
    let entries = match fs::read_dir(&place) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(|e| Error::io(place.display(), &e))?,
    };
    let paths = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == "img")).collect())
}

fn sync_above(path: &Path) -> io::Result<()> {
    place::sync(path.parent().unwrap_or(Path::new("/")))
}
