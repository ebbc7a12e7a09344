//! File systems of pools, remembered: which were made, how large they are, and which are mounted.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{Filesystems, Reach};
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, ObjectId, Pool, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimFilesystem {
    /// Bytes of its file; 0: it is on a device.
    pub bytes: u64,
    /// Whether it is mounted.
    pub mounted: bool,
}

/// They stay when the records are lost.
#[derive(Debug)]
pub struct SimFilesystems {
    state: PathBuf,
    all: Mutex<BTreeMap<ObjectId, SimFilesystem>>,
    faults: Arc<Faults>,
}

impl SimFilesystems {
    pub(crate) fn new(state: &Path, faults: Arc<Faults>) -> SimFilesystems {
        SimFilesystems { state: state.to_owned(), all: Mutex::default(), faults }
    }

    /// All there are.
    pub fn all(&self) -> BTreeMap<ObjectId, SimFilesystem> {
        locked(&self.all).clone()
    }

    /// Somebody unmounts all of them.
    pub fn unmount(&self) {
        locked(&self.all).values_mut().for_each(|one| one.mounted = false);
    }

    /// Somebody removes all of them.
    pub fn lose(&self) {
        locked(&self.all).clear();
    }

    fn file(&self, pool: &Pool) -> PathBuf {
        self.state.join("disks").join(format!("{}.img", pool.name))
    }
}

fn bytes(pool: &Pool) -> Result<u64> {
    pool.config.get("size").map_or(Ok(0), |size| parse_bytes(size))
}

#[async_trait]
impl Filesystems for SimFilesystems {
    fn check(&self, pool: &Pool) -> Result<()> {
        match pool.config.contains_key("size") {
            true if pool.config.get("source").map(Path::new) != Some(&self.file(pool)) => {
                Err(Error::new(Kind::InvalidConfig, "only a file has a size"))
            }
            _ => bytes(pool).map(drop),
        }
    }

    fn size_of_file(&self, driver: &str) -> Option<String> {
        (driver == "zfs").then(|| "5GiB".to_owned())
    }

    fn is_own(&self, pool: &Pool) -> bool {
        let source = pool.config.get("source").map(Path::new);
        source.is_some_and(|source| source.starts_with("/dev") || source == self.file(pool))
    }

    fn is_here(&self, pool: &Pool) -> bool {
        !self.is_own(pool) || locked(&self.all).get(&pool.id).is_some_and(|one| one.mounted)
    }

    fn directory(&self, pool: &Pool) -> PathBuf {
        self.state.join("pools").join(pool.name.as_str())
    }

    async fn make(&self, pool: &Pool, _wipe: bool) -> Result<()> {
        self.faults.pass("filesystems.make")?;
        locked(&self.all).insert(pool.id, SimFilesystem { bytes: bytes(pool)?, mounted: true });
        Ok(())
    }

    async fn ready(&self, pool: &Pool) -> Result<Reach> {
        if !self.is_own(pool) {
            return Ok(Reach::Here);
        }
        self.faults.pass("filesystems.ready")?;
        Ok(match locked(&self.all).get_mut(&pool.id) {
            None => Reach::Gone,
            Some(one) => {
                one.mounted = true;
                Reach::Here
            }
        })
    }

    async fn grow(&self, pool: &Pool) -> Result<()> {
        self.faults.pass("filesystems.grow")?;
        let bytes = bytes(pool)?;
        if let Some(one) = locked(&self.all).get_mut(&pool.id) {
            one.bytes = one.bytes.max(bytes);
        }
        Ok(())
    }

    async fn remove(&self, pool: &Pool) -> Result<()> {
        self.faults.pass("filesystems.remove")?;
        locked(&self.all).remove(&pool.id);
        Ok(())
    }

    async fn bring_back(&self) -> Result<()> {
        self.faults.pass("filesystems.bring_back")?;
        locked(&self.all).values_mut().for_each(|one| one.mounted = true);
        Ok(())
    }
}
