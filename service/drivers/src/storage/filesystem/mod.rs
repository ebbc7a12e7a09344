//! File systems that pools bring with them: btrfs and zfs for those drivers, else ext4. Each carries its pool's id, as its UUID
//! or a property: what has another one is never mounted, changed or removed. PID 1 mounts them, and a file's loop device comes and goes
//! with the mount. Called by the engine through its ports.

pub(super) mod device;
mod file;
mod make;
pub(super) mod mounted;

use super::apart::mount as trees;
use super::lvm::names::Names;
use super::lvm::{self, group};
use super::source::{self, OPTIONS, SIZE, Source};
use super::tool;
use super::zfs::{self, zpool};
use async_trait::async_trait;
use lxhost_engine::ports::{Filesystems, MountPlan, Mounts, Reach};
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, ObjectId, Pool, Result};
use mounted::is_mounted;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long something may keep a file system busy that is to go, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);
/// Options on btrfs when nothing says otherwise.
const BTRFS_OPTIONS: &str = "user_subvol_rm_allowed";
/// Is there where the kernel knows of quotas.
const QUOTAS: &str = "/proc/sys/fs/quota";

/// File systems of pools on this machine.
pub struct PoolFilesystems {
    state: PathBuf,
    mounts: Arc<dyn Mounts>,
    /// Held while something is mounted, unmounted, made or removed.
    turn: Mutex<()>,
}

impl PoolFilesystems {
    /// Files lie in `disks/` below `state`, and everything is mounted below `pools/`.
    pub fn new(state: &Path, mounts: Arc<dyn Mounts>) -> Self {
        PoolFilesystems { state: state.to_owned(), mounts, turn: Mutex::new(()) }
    }

    /// The pool's file or device, if it has one.
    fn own(&self, pool: &Pool) -> Option<Source> {
        Some(Source::under(&self.state, pool)).filter(|source| !matches!(source, Source::Directory(_)))
    }

    /// What a pool has in which zpool.
    fn datasets(&self, pool: &Pool) -> zfs::names::Names {
        zfs::names::Names::of(&self.state, pool)
    }

    /// Where the pool's file system is now. A device may have got another name since.
    async fn find(&self, pool: &Pool, source: &Source) -> Result<Option<PathBuf>> {
        let path = match source {
            Source::Directory(_) => return Ok(None),
            _ if is_zfs(pool) => return zpool::find(&self.datasets(pool), source).await,
            _ if is_grouped(pool) => {
                let Some(volume) = group::find(&Names::of(&self.state, pool), source).await? else { return Ok(None) };
                let ours = device::uuid(&volume).await?.as_deref() == Some(&uuid_of(pool.id));
                return Ok(ours.then_some(volume));
            }
            Source::Group(_) => return Ok(None),
            Source::File(path) | Source::Device(path) => path,
        };
        if path.exists() && device::uuid(path).await?.as_deref() == Some(&uuid_of(pool.id)) {
            return Ok(Some(path.clone()));
        }
        match source {
            Source::Device(_) => device::named(&uuid_of(pool.id)).await,
            _ => Ok(None),
        }
    }

    /// Mounts what carries the pool's id.
    async fn mount(&self, pool: &Pool, what: &Path) -> Result<()> {
        let (kind, at) = (kind(pool), self.directory(pool));
        let is_file = what.is_absolute() && !what.starts_with("/dev");
        let mut last = Err(Error::failed("nothing was tried"));
        for more in options(pool, kind) {
            // Nothing in a pool is a device that anybody opens: containers have their own.
            let words = [Some("nodev"), is_file.then_some("loop"), Some(more.as_str()).filter(|more| !more.is_empty())];
            let options = words.into_iter().flatten().collect::<Vec<_>>().join(",");
            last = self.mounts.mount(&MountPlan { what: what.to_owned(), at: at.clone(), kind, options }).await;
            if last.is_ok() {
                break;
            }
        }
        last.map_err(|error| error.context(format!("mount {}", what.display())))
    }

    /// Unmounts the pool's file system, and removes the directory.
    async fn unmount(&self, pool: &Pool) -> Result<()> {
        let at = self.directory(pool);
        if is_mounted(&at)? && mounted::is_of(&at, pool.id).await? {
            trees::unmount_below(&at).await?;
            let deadline = Instant::now() + PATIENCE;
            // What was thrown away a moment ago may still be on its way out, by a thread of ours.
            while let Err(error) = self.mounts.unmount(&at).await
                && is_mounted(&at)?
            {
                if Instant::now() > deadline {
                    return Err(Error::new(Kind::InUse, format!("something uses {}: {error}", at.display())));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        // What somebody has put there stays.
        let _ = fs::remove_dir(&at);
        Ok(())
    }
}

#[async_trait]
impl Filesystems for PoolFilesystems {
    fn check(&self, pool: &Pool) -> Result<()> {
        source::check(pool, &self.state)?;
        match pool.driver.as_str() {
            lvm::LVM => lvm::check(),
            zfs::ZFS => zfs::check(),
            _ => Ok(()),
        }
    }

    fn size_of_file(&self, driver: &str) -> Option<String> {
        let free = || rustix::fs::statvfs(&self.state).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        (driver == zfs::ZFS).then(|| source::size_of_file(free()))
    }

    fn is_own(&self, pool: &Pool) -> bool {
        self.own(pool).is_some()
    }

    fn is_here(&self, pool: &Pool) -> bool {
        self.own(pool).is_none() || is_mounted(&self.directory(pool)).unwrap_or(false)
    }

    fn directory(&self, pool: &Pool) -> PathBuf {
        Source::under(&self.state, pool).directory(&self.state, pool)
    }

    async fn make(&self, pool: &Pool, wipe: bool) -> Result<()> {
        let Some(source) = self.own(pool) else { return Ok(()) };
        source::check(pool, &self.state)?;
        let _turn = self.turn.lock().await;
        self.make_now(pool, &source, wipe).await
    }

    async fn ready(&self, pool: &Pool) -> Result<Reach> {
        let Some(source) = self.own(pool) else { return Ok(Reach::Here) };
        let at = self.directory(pool);
        if is_mounted(&at)? {
            return mounted::check_mark(&at, pool.id).map(|()| Reach::Here);
        }
        let _turn = self.turn.lock().await;
        if !is_mounted(&at)? {
            let Some(what) = self.find(pool, &source).await? else { return Ok(Reach::Gone) };
            self.mount(pool, &what).await?;
            tracing::info!(pool = %pool.name, "its file system is mounted at {}", at.display());
        }
        mounted::check_mark(&at, pool.id).map(|()| Reach::Here)
    }

    async fn grow(&self, pool: &Pool) -> Result<()> {
        let Some(source) = self.own(pool) else { return Ok(()) };
        let bytes = pool.config.get(SIZE).map_or(Ok(0), |size| parse_bytes(size))?;
        let _turn = self.turn.lock().await;
        if let Source::File(path) = &source {
            file::grow(path, bytes).await?;
        }
        if is_zfs(pool) {
            return zpool::grow(&self.datasets(pool), &source, bytes).await;
        }
        if is_grouped(pool) {
            return group::grow(&Names::of(&self.state, pool), &source, bytes).await;
        }
        let Source::File(path) = source else { return Ok(()) };
        for device in device::loops(&path).await? {
            tool::run("losetup", &["--set-capacity", &device], &[""; 0]).await?;
            if kind(pool) == "ext4" {
                tool::run("resize2fs", &[], &[&device]).await?;
            }
        }
        if kind(pool) == "btrfs" {
            tool::run("btrfs", &["filesystem", "resize"], &[Path::new("max"), &self.directory(pool)]).await?;
        }
        Ok(())
    }

    async fn remove(&self, pool: &Pool) -> Result<()> {
        let Some(source) = self.own(pool) else { return Ok(()) };
        let _turn = self.turn.lock().await;
        self.unmount(pool).await?;
        if is_grouped(pool) || is_zfs(pool) {
            return self.remove_group(pool, &source).await;
        }
        match &source {
            Source::File(path) => file::remove(path, pool.id, is_file_of(path, pool.id).await?).await,
            _ => match self.find(pool, &source).await? {
                Some(device) => device::wipe(&device).await,
                None => Ok(()),
            },
        }
    }

    async fn bring_back(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        for path in file::all(&self.state)? {
            if let Err(error) = self.bring_back_one(&path).await {
                tracing::warn!("{} may be a pool and cannot be mounted: {error}", path.display());
            }
        }
        Ok(())
    }
}

impl PoolFilesystems {
    async fn remove_group(&self, pool: &Pool, source: &Source) -> Result<()> {
        let unfinished = match source {
            Source::File(path) => Some(file::unfinished(path, pool.id)),
            _ => None,
        };
        let ours = match is_zfs(pool) {
            true => zpool::remove(&self.datasets(pool), source).await?,
            false => group::remove(&Names::of(&self.state, pool), source, unfinished.as_deref()).await?,
        };
        match source {
            Source::File(path) => file::remove(path, pool.id, ours).await,
            _ => Ok(()),
        }
    }

    async fn bring_back_one(&self, path: &Path) -> Result<()> {
        let name = path.file_stem().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
        let name: lxhost_model::name::PoolName = name.ok_or_else(|| Error::failed("its name is not that of a pool"))?;
        let at = self.state.join("pools").join(name.as_str());
        if is_mounted(&at)? {
            return Ok(());
        }
        let kind = match device::kind(path).await?.as_deref() {
            Some("btrfs") => "btrfs",
            Some("ext4") => "ext4",
            Some("zfs_member") => {
                let (what, options) = (zpool::in_file(path).await?, "nodev".to_owned());
                return self.mounts.mount(&MountPlan { what, at, kind: "zfs", options }).await;
            }
            Some("LVM2_member") => {
                let (what, options) = (group::in_file(path).await?, "nodev".to_owned());
                return self.mounts.mount(&MountPlan { what, at, kind: "ext4", options }).await;
            }
            _ => return Err(Error::failed("there is no file system of a pool in it")),
        };
        let plan = MountPlan { what: path.to_owned(), at, kind, options: "nodev,loop".to_owned() };
        self.mounts.mount(&plan).await
    }
}

/// Type of the file system that pools of a driver bring.
fn kind(pool: &Pool) -> &'static str {
    match pool.driver.as_str() {
        "btrfs" => "btrfs",
        zfs::ZFS => "zfs",
        _ => "ext4",
    }
}

/// Whether a pool's directory is a volume of LVM.
fn is_grouped(pool: &Pool) -> bool {
    pool.driver == lvm::LVM
}

/// Whether it is a dataset of ZFS.
fn is_zfs(pool: &Pool) -> bool {
    pool.driver == zfs::ZFS
}

/// Whether what a file holds is that pool's.
async fn is_file_of(path: &Path, id: ObjectId) -> Result<bool> {
    Ok(path.is_file() && device::uuid(path).await?.as_deref() == Some(&uuid_of(id)))
}

/// Options to mount it with, those that are tried first before others.
fn options(pool: &Pool, kind: &str) -> Vec<String> {
    match kind {
        "btrfs" => vec![pool.config.get(OPTIONS).map_or(BTRFS_OPTIONS, String::as_str).to_owned()],
        "zfs" => vec![String::new()],
        _ if is_grouped(pool) => vec![String::new()],
        // Where it was made without quotas, or the kernel has none, it is as good as other pools.
        _ if Path::new(QUOTAS).exists() => vec!["prjquota".to_owned(), String::new()],
        _ => vec![String::new()],
    }
}

/// An id as tools write UUIDs.
fn uuid_of(id: ObjectId) -> String {
    let text = id.to_string();
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests;
