//! What every driver does alike with a pool's directories: make them, refuse bad places, throw things
//! away at once and delete them after. Blocking code. Called by the drivers.

use super::layout::{Layout, MARK, POOL, ROOT, VOLUMES};
use super::skeleton;
use lxhost_engine::ports::Usage;
use lxhost_model::volume::Top;
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_safefs::{Dir, Durability};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How long a deletion is waited for; it goes on behind the caller's back.
const PATIENCE: Duration = Duration::from_millis(20);

/// Makes the pool's directories and its mark.
///
/// # Errors
/// `Conflict` when the place is another pool's or lies within one; `InUse` when it is not empty; `Untrusted` when somebody
/// else could put something in its place.
pub(super) fn set_up(layout: &Layout) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("pool at {}", layout.source.display()), &e);
    for above in layout.source.ancestors().skip(1) {
        if above.join(MARK).symlink_metadata().is_ok() {
            return Err(Error::new(
                Kind::Conflict,
                format!("{} lies within the pool at {}", layout.source.display(), above.display()),
            ));
        }
    }
    skeleton::check_way(&layout.source)?;
    make_dirs(&layout.source, 0o700).map_err(failed)?;
    let dir = Dir::open(&layout.source).map_err(failed)?;
    let id = layout.id.to_string();
    match dir.read_file(OsStr::new(MARK), 64).map_err(failed)? {
        Some(mark) if mark == id.as_bytes() => {}
        Some(_) => {
            let what = format!("{} is another pool's; lxctl recover takes in what no record knows", layout.source.display());
            return Err(Error::new(Kind::Conflict, what));
        }
        None => {
            let mut entries = fs::read_dir(&layout.source).map_err(failed)?.flatten();
            if entries.any(|entry| entry.file_name() != "lost+found") {
                return Err(Error::new(Kind::InUse, format!("{} is not empty", layout.source.display())));
            }
            dir.replace_file(OsStr::new(MARK), id.as_bytes(), 0o600, Durability::Disk).map_err(failed)?;
        }
    }
    for below in [layout.images(), layout.instances(), layout.snapshots(), layout.trash()] {
        make_dirs(&below, 0o700).map_err(failed)?;
    }
    empty_trash(layout);
    dir.sync().map_err(failed)?;
    // The directories above it may be as new.
    let sync = |above: &Path| fs::File::open(above)?.sync_all();
    layout.source.ancestors().skip(1).take(2).try_for_each(sync).map_err(failed)
}

/// Makes the directories in which volumes lie, where they are missing: most pools have none.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn set_up_volumes(volumes: &Layout) -> Result<()> {
    let failed = |e: io::Error| Error::io(volumes.source.display(), &e);
    if volumes.instances().is_dir() {
        return Ok(());
    }
    make_dir(&volumes.source, 0o700).map_err(failed)?;
    // Looked for above, so it is the last.
    for below in [volumes.trash(), volumes.snapshots(), volumes.instances()] {
        make_dir(&below, 0o700).map_err(failed)?;
    }
    let above = volumes.source.parent().unwrap_or(Path::new("/"));
    sync(&volumes.source).and_then(|()| sync(above)).map_err(failed)
}

/// Gives a new volume its top directory's owner and mode, durably.
///
/// # Errors
/// `Failed`.
pub(super) fn finish_volume(volumes: &Layout, volume: ObjectId, top: Top) -> Result<()> {
    let failed = |e: io::Error| Error::io("make its top directory", &e);
    let root = volumes.instance(volume).join(ROOT);
    let dir = Dir::open(&root).and_then(|dir| dir.readable()).map(fs::File::from).map_err(failed)?;
    std::os::unix::fs::fchown(&dir, Some(top.uid), Some(top.gid)).map_err(failed)?;
    dir.set_permissions(fs::Permissions::from_mode(top.mode)).and_then(|()| dir.sync_all()).map_err(failed)?;
    sync_instance(volumes, volume)
}

/// Bytes that the files in a directory take; 0: it is not there. What a guest does to it meanwhile leads nowhere else: the
/// tool walks by descriptors.
///
/// # Errors
/// `Failed`.
pub(super) async fn used(dir: &Path) -> Result<u64> {
    if !dir.is_dir() {
        return Ok(0);
    }
    let mut command = tokio::process::Command::new("du");
    command.args(["--summarize", "--block-size=1", "--"]).arg(dir).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|e| Error::io("run du", &e))?;
    // Files that go while it looks make it fail, and count for nothing.
    let said = String::from_utf8_lossy(&output.stdout);
    let bytes = said.split_whitespace().next().and_then(|word| word.parse().ok());
    bytes.ok_or_else(|| Error::failed("its files could not be counted"))
}

/// Removes the directories of an empty pool.
///
/// # Errors
/// `InUse` while an instance or image is in it.
pub(super) fn tear_down(layout: &Layout) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("pool at {}", layout.source.display()), &e);
    let Ok(dir) = Dir::open(&layout.source) else { return Ok(()) };
    match dir.read_file(OsStr::new(MARK), 64).map_err(failed)? {
        Some(mark) if mark == layout.id.to_string().as_bytes() => {}
        _ => return Ok(()),
    }
    let volumes = layout.source.join(VOLUMES);
    for (place, what) in [
        (layout.instances(), "instances"),
        (layout.images(), "images"),
        (layout.snapshots(), "snapshots"),
        (volumes.join("instances"), "volumes"),
        (volumes.join("snapshots"), "snapshots of volumes"),
    ] {
        let mut entries = fs::read_dir(&place).into_iter().flatten().flatten();
        if entries.any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
            return Err(Error::new(Kind::InUse, format!("the pool at {} still holds {what}", layout.source.display())));
        }
    }
    for name in ["images", "instances", "snapshots", VOLUMES, ".trash", POOL, MARK] {
        dir.remove_tree(OsStr::new(name)).map_err(failed)?;
    }
    // A directory that was there before the pool may stay, as may a mount point.
    let _ = fs::remove_dir(&layout.source);
    let above = layout.source.parent().unwrap_or(Path::new("/"));
    fs::File::open(above).and_then(|above| above.sync_all()).map_err(failed)
}

/// Makes a directory and those above it.
pub(super) fn make_dirs(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Makes one directory; one that is there is fine.
pub(super) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Moves `path` aside, so that it is gone at once; returns where it is now. `None`: it was not there.
///
/// # Errors
/// `Failed`.
pub(super) fn throw_away(layout: &Layout, path: &Path) -> Result<Option<PathBuf>> {
    let failed = |e: io::Error| Error::io(format!("remove {}", path.display()), &e);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    make_dir(&layout.trash(), 0o700).map_err(failed)?;
    // Nothing is made on the way: this has to work on a full disk.
    let name = ObjectId::from_random(random().map_err(failed)?).to_string();
    let bin = layout.trash().join(name);
    match renameat_with(CWD, path, CWD, &bin, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Ok(()) => Ok(Some(bin)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

/// Random bytes for a name.
pub(super) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// As `throw_away`, for what a power cut must not bring back.
pub(super) fn remove(layout: &Layout, path: &Path) -> Result<Option<PathBuf>> {
    let bin = throw_away(layout, path)?;
    if let (Some(_), Some(parent)) = (&bin, path.parent()) {
        sync(parent).map_err(|e| Error::io(format!("remove {}", path.display()), &e))?;
    }
    Ok(bin)
}

/// Deletes what was thrown away: waits a little, then leaves the rest to a thread. What a crash
/// leaves is deleted when the daemon starts again.
pub(super) async fn delete(bin: Option<PathBuf>) {
    let Some(bin) = bin else { return };
    let deletion = tokio::task::spawn_blocking(move || delete_now(&bin));
    let _ = tokio::time::timeout(PATIENCE, deletion).await;
}

fn delete_now(bin: &Path) {
    let (Some(parent), Some(name)) = (bin.parent(), bin.file_name()) else { return };
    if let Err(error) = Dir::open(parent).and_then(|trash| trash.remove_tree(name)) {
        tracing::warn!(path = %bin.display(), %error, "something thrown away could not be deleted");
    }
}

/// Begins to delete what a crash left on its way out. What comes there from now on is somebody's.
pub(super) fn sweep(layout: &Layout) {
    if let Err(error) = Dir::open(&layout.source).and_then(|dir| dir.remove_unfinished()) {
        tracing::debug!(path = %layout.source.display(), %error, "what was half written could not be removed");
    }
    let left: Vec<PathBuf> = fs::read_dir(layout.trash()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    if !left.is_empty() {
        tokio::task::spawn_blocking(move || left.iter().for_each(|bin| delete_now(bin)));
    }
}

fn empty_trash(layout: &Layout) {
    for entry in fs::read_dir(layout.trash()).into_iter().flatten().flatten() {
        delete_now(&entry.path());
    }
}

/// Makes a new instance's directory durable, with its entries and its name.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) fn sync_instance(layout: &Layout, instance: ObjectId) -> Result<()> {
    let synced = sync(&layout.instance(instance)).and_then(|()| sync(&layout.instances()));
    synced.map_err(|e| Error::io(format!("root of instance {instance}"), &e))
}

/// Makes a directory's entries durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    Dir::open(path)?.sync()
}

/// Room on the pool's file system.
///
/// # Errors
/// `Failed`.
pub(super) fn usage(layout: &Layout) -> Result<Usage> {
    let stat = rustix::fs::statvfs(&layout.source).map_err(|e| Error::io(layout.source.display(), &e.into()))?;
    Ok(Usage { total: stat.f_blocks.saturating_mul(stat.f_frsize), free: stat.f_bavail.saturating_mul(stat.f_frsize) })
}
