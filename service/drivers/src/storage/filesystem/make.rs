//! Makes the file system of a pool. What is half made carries no id and is made once more, or removed by its name.

use super::super::source::{SIZE, Source};
use super::super::{place, tool};
use super::mounted::is_mounted;
use super::{PoolFilesystems, QUOTAS, device, file, kind, uuid_of};
use lxhost_engine::ports::Filesystems;
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, Pool, Result};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
        let quotas = kind(pool) == "ext4" && Path::new(QUOTAS).exists();
        let what = match (source, self.find(pool, source).await?) {
            (_, Some(made)) => made,
            (Source::File(path), None) => {
                let bytes = pool.config.get(SIZE).map_or(Ok(0), |size| parse_bytes(size))?;
                let new = file::begin(path, pool.id, bytes).await?;
                make(pool, &new, quotas).await?;
                file::finish(path, pool.id).await?;
                path.clone()
            }
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
}

/// Makes a file system with the pool's id on a device or in a file that holds nothing else.
async fn make(pool: &Pool, what: &Path, quotas: bool) -> Result<()> {
    let uuid = uuid_of(pool.id);
    match kind(pool) {
        "btrfs" => tool::run("mkfs.btrfs", &["--quiet", "--force", "--uuid", &uuid], &[what]).await.map(drop),
        _ => {
            // What is kept back is the daemon's: guests have other ids.
            let mut words = vec!["-q", "-F", "-U", &uuid, "-m", "1"];
            if quotas {
                words.extend(["-O", "quota,project", "-E", "quotatype=prjquota"]);
            }
            tool::run("mkfs.ext4", &words, &[what]).await.map(drop)
        }
    }
}
