//! Makes the file system of a pool. What is half made carries no id and is made once more, or removed by its name.

use super::super::lvm::group;
use super::super::lvm::names::Names;
use super::super::source::{SIZE, Source};
use super::super::zfs::zpool;
use super::super::{place, tool};
use super::mounted::is_mounted;
use super::{PoolFilesystems, QUOTAS, device, file, is_grouped, is_zfs, kind, uuid_of};
use lxhost_engine::ports::Filesystems;
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, Pool, Result};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

impl PoolFilesystems {
    /// Makes it and mounts it, unless that is done.
    pub(super) async fn make_now(&self, pool: &Pool, source: &Source, wipe: bool) -> Result<()> {
        let at = self.directory(pool);
        let failed = |e: io::Error| Error::io(at.display(), &e);
        if is_mounted(&at)? {
            let mounted = format!("something is mounted at {} already", at.display());
            return Err(Error::new(Kind::InUse, mounted));
        }
        if fs::read_dir(&at).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::new(Kind::InUse, format!("{} is not empty", at.display())));
        }
        let quotas = kind(pool) == "ext4" && !is_grouped(pool) && Path::new(QUOTAS).exists();
        let what = match (source, self.find(pool, source).await?) {
            (_, Some(made)) => made,
            (_, None) if is_grouped(pool) => self.make_group(pool, source, wipe).await?,
            (_, None) if is_zfs(pool) => self.make_datasets(pool, source, wipe).await?,
            (Source::File(path), None) => {
                let bytes = pool.config.get(SIZE).map_or(Ok(0), |size| parse_bytes(size))?;
                let new = file::begin(path, pool.id, bytes).await?;
                make(pool, &new, quotas).await?;
                file::finish(path, pool.id).await?;
                path.clone()
            }
            (Source::Group(_), None) => return Err(Error::failed("a name as source is for drivers lvm and zfs")),
            (Source::Device(path) | Source::Directory(path), None) => {
                device::clear(path, wipe).await?;
                make(pool, path, quotas).await?;
                path.clone()
            }
        };
        place::make_dirs(&at, 0o700).map_err(failed)?;
        match self.mount(pool, &what).await {
            // A kernel that knows of quotas need not have those of ext4's projects.
            Err(error) if quotas => {
                tracing::debug!(pool = %pool.name, %error, "its file system is made without quotas");
                make(pool, &what, false).await?;
                self.mount(pool, &what).await?;
            }
            mounted => mounted?,
        }
        fs::set_permissions(&at, fs::Permissions::from_mode(0o700)).map_err(failed)
    }

    /// Makes the pool's volumes, and the file system in the one for its directory.
    async fn make_group(&self, pool: &Pool, source: &Source, wipe: bool) -> Result<PathBuf> {
        let names = Names::of(&self.state, pool);
        let what = match source {
            Source::File(path) => {
                // A file that was begun is made once more, with nothing of it in use.
                group::remove(&names, &Source::Group(String::new()), Some(&file::unfinished(path, pool.id))).await?;
                let bytes = pool.config.get(SIZE).map_or(Ok(0), |size| parse_bytes(size))?;
                file::begin(path, pool.id, bytes).await?
            }
            Source::Device(path) | Source::Directory(path) => path.clone(),
            Source::Group(name) => PathBuf::from(name),
        };
        let volume = group::make(&names, pool, source, &what, wipe).await?;
        make(pool, &volume, false).await?;
        if let Source::File(path) = source {
            file::finish(path, pool.id).await?;
        }
        Ok(volume)
    }
}

impl PoolFilesystems {
    /// Makes the pool's datasets, in a zpool of its own or somebody else's.
    async fn make_datasets(&self, pool: &Pool, source: &Source, wipe: bool) -> Result<PathBuf> {
        let names = self.datasets(pool);
        // A file that was begun is made once more, with nothing of it in use.
        zpool::drop_datasets(&names).await?;
        let Source::File(path) = source else {
            let what = if let Source::Device(path) = source { path.clone() } else { PathBuf::new() };
            return zpool::make(&names, pool, source, &what, wipe).await;
        };
        let bytes = pool.config.get(SIZE).map_or(Ok(0), |size| parse_bytes(size))?;
        let begun = file::begin(path, pool.id, bytes).await?;
        zpool::make(&names, pool, source, &begun, wipe).await?;
        file::finish(path, pool.id).await?;
        zpool::find(&names, source).await?.ok_or_else(|| Error::failed("its zpool is gone"))
    }
}

/// Makes a file system with the pool's id on a device or in a file that holds nothing else.
async fn make(pool: &Pool, what: &Path, quotas: bool) -> Result<()> {
    let uuid = uuid_of(pool.id);
    match kind(pool) {
        "btrfs" => tool::run("mkfs.btrfs", &["--quiet", "--force", "--uuid", &uuid], &[what]).await.map(drop),
        _ => {
            // What is kept back is the daemon's: guests have other ids.
            let mut words = vec!["-q", "-F", "-U", &uuid, "-m", "1"];
            if is_grouped(pool) {
                // Many small files lie there, and nothing else.
                words.extend(["-b", "4096", "-i", "4096"]);
            }
            if quotas {
                words.extend(["-O", "quota,project", "-E", "quotatype=prjquota"]);
            }
            tool::run("mkfs.ext4", &words, &[what]).await.map(drop)
        }
    }
}
