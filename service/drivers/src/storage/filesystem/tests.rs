//! File systems of pools in files, without mounting any: what is asked of PID 1, and what becomes of the files.

use super::*;
use lxhost_model::config::Config;
use std::sync::Mutex as StdMutex;

/// Notes what it is asked; nothing is ever mounted.
#[derive(Default)]
struct Asked {
    plans: StdMutex<Vec<MountPlan>>,
    refuses: bool,
}

#[async_trait]
impl Mounts for Asked {
    async fn mount(&self, plan: &MountPlan) -> Result<()> {
        self.plans.lock().unwrap().push(plan.clone());
        if self.refuses { Err(Error::failed("no")) } else { Ok(()) }
    }

    async fn unmount(&self, _at: &Path) -> Result<()> {
        Ok(())
    }
}

struct Here {
    state: tempfile::TempDir,
    asked: Arc<Asked>,
    filesystems: PoolFilesystems,
}

fn here(refuses: bool) -> Here {
    let state = tempfile::tempdir().unwrap();
    let asked = Arc::new(Asked { refuses, ..Asked::default() });
    let filesystems = PoolFilesystems::new(state.path(), asked.clone());
    Here { state, asked, filesystems }
}

fn pool(here: &Here, driver: &str, n: u8) -> Pool {
    let file = here.state.path().join("disks/fast.img").to_string_lossy().into_owned();
    Pool {
        id: ObjectId::from_random([n; 16]),
        name: "fast".parse().unwrap(),
        driver: driver.into(),
        description: String::new(),
        config: Config::from([("source".into(), file), ("size".into(), "300MiB".into())]),
        created: 0,
        generation: 1,
    }
}

#[tokio::test]
async fn a_file_is_sparse_carries_the_pools_id_and_goes_with_it() {
    for (driver, kind) in [("btrfs", "btrfs"), ("overlay", "ext4"), ("dir", "ext4")] {
        let here = here(false);
        let (pool, path) = (pool(&here, driver, 1), here.state.path().join("disks/fast.img"));
        here.filesystems.make(&pool, false).await.unwrap();
        assert_eq!(device::kind(&path).await.unwrap().as_deref(), Some(kind));
        assert_eq!(device::uuid(&path).await.unwrap(), Some(uuid_of(pool.id)));
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.len(), 300 << 20);
        assert!(std::os::unix::fs::MetadataExt::blocks(&found) * 512 < 100 << 20, "it is not sparse");
        let plan = here.asked.plans.lock().unwrap()[0].clone();
        assert_eq!((plan.what, plan.at, plan.kind), (path.clone(), here.state.path().join("pools/fast"), kind));
        assert!(plan.options.starts_with("nodev,loop"), "{}", plan.options);
        // Nothing is mounted, so that is tried again.
        assert_eq!(here.filesystems.ready(&pool).await.unwrap(), Reach::Here);
        assert_eq!(here.asked.plans.lock().unwrap().len(), 2);
        here.filesystems.remove(&pool).await.unwrap();
        here.filesystems.remove(&pool).await.unwrap();
        assert!(!here.state.path().join("disks").exists());
        assert_eq!(here.filesystems.ready(&pool).await.unwrap(), Reach::Gone);
    }
}

#[tokio::test]
async fn a_file_of_another_pool_is_neither_taken_nor_removed() {
    let here = here(false);
    let (one, other) = (pool(&here, "btrfs", 1), pool(&here, "btrfs", 2));
    here.filesystems.make(&one, false).await.unwrap();
    assert_eq!(here.filesystems.make(&other, true).await.unwrap_err().kind, Kind::Conflict);
    here.filesystems.remove(&other).await.unwrap();
    assert_eq!(here.filesystems.ready(&other).await.unwrap(), Reach::Gone);
    let path = here.state.path().join("disks/fast.img");
    assert_eq!(device::uuid(&path).await.unwrap(), Some(uuid_of(one.id)));
}

#[tokio::test]
async fn what_cannot_be_mounted_is_made_and_removed_all_the_same() {
    let here = here(true);
    let pool = pool(&here, "dir", 1);
    assert!(here.filesystems.make(&pool, false).await.unwrap_err().message.contains("no"));
    here.filesystems.remove(&pool).await.unwrap();
    assert!(!here.state.path().join("disks").exists());
    assert!(!here.state.path().join("pools/fast").exists());
}

#[tokio::test]
async fn a_half_made_file_is_in_nobodys_way() {
    let here = here(false);
    let (one, other) = (pool(&here, "dir", 1), pool(&here, "dir", 2));
    let path = here.state.path().join("disks/fast.img");
    let begun = file::begin(&path, one.id, 1 << 20).await.unwrap();
    assert!(begun.exists());
    here.filesystems.make(&other, false).await.unwrap();
    here.filesystems.remove(&one).await.unwrap();
    assert!(!begun.exists() && path.exists());
}

#[tokio::test]
async fn a_file_grows_and_never_shrinks() {
    let here = here(false);
    let mut pool = pool(&here, "dir", 1);
    here.filesystems.make(&pool, false).await.unwrap();
    for (size, bytes) in [("400MiB", 400 << 20), ("300MiB", 400 << 20)] {
        pool.config.insert("size".into(), size.into());
        here.filesystems.grow(&pool).await.unwrap();
        assert_eq!(fs::metadata(here.state.path().join("disks/fast.img")).unwrap().len(), bytes);
    }
}

#[tokio::test]
async fn what_is_no_free_block_device_is_refused() {
    let here = here(false);
    for source in ["/dev/null", "/dev/nothing-there", "/dev/shm"] {
        let mut pool = pool(&here, "btrfs", 1);
        pool.config = Config::from([("source".into(), source.into())]);
        let error = here.filesystems.make(&pool, true).await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "{source}: {error}");
    }
    assert!(here.asked.plans.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_pool_in_a_directory_is_let_alone() {
    let here = here(false);
    let mut pool = pool(&here, "dir", 1);
    pool.config = Config::from([("source".into(), here.state.path().join("pools/x").to_string_lossy().into_owned())]);
    assert!(!here.filesystems.is_own(&pool));
    here.filesystems.make(&pool, false).await.unwrap();
    assert_eq!(here.filesystems.ready(&pool).await.unwrap(), Reach::Here);
    here.filesystems.remove(&pool).await.unwrap();
    assert!(here.asked.plans.lock().unwrap().is_empty());
}
