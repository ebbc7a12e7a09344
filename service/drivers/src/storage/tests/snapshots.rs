//! Snapshots on every driver that needs no file system of its own; on btrfs with `LXHOST_STATE` there.

use super::*;

const NAMES: [&str; 2] = ["overlay", "dir"];

/// A pool with an image and one instance made of it.
pub(super) struct World {
    pub(super) pools: Pools,
    pub(super) pool: Pool,
    pub(super) image: Fingerprint,
    pub(super) name: &'static str,
    _state: tempfile::TempDir,
}

impl World {
    pub(super) async fn new(name: &'static str, state: tempfile::TempDir) -> World {
        let (pools, mut pool, image) = (Pools::new(state.path()), pool(None), image("a"));
        pool.driver = name.to_owned();
        with_image(&*pools.driver(name).unwrap(), &pool, &image).await;
        let world = World { pools, pool, image, name, _state: state };
        world.driver().create_root(&world.pool, instance(1), Some(&world.image)).await.unwrap();
        world.driver().write_definition(&world.pool, Defined::Instance(instance(1)), "name: c1\n").await.unwrap();
        world
    }

    pub(super) async fn all() -> Vec<World> {
        let mut worlds = vec![];
        for name in NAMES {
            worlds.push(World::new(name, tempfile::tempdir().unwrap()).await);
        }
        if let Ok(base) = std::env::var("LXHOST_STATE") {
            let state = tempfile::tempdir_in(base).unwrap();
            let name = Pools::new(state.path()).default_driver().await.unwrap();
            worlds.push(World::new(name, state).await);
        }
        worlds
    }

    pub(super) fn driver(&self) -> Arc<dyn PoolDriver> {
        self.pools.driver(self.name).unwrap()
    }

    /// Trees of a root, the one that is written to first.
    pub(super) fn trees_of(&self, n: u8) -> Vec<PathBuf> {
        match self.driver().root(&self.pool, instance(n), Some(&self.image)) {
            RootSpec::Overlay { lowers, dir } => [vec![dir.join("upper")], lowers].concat(),
            RootSpec::Tree { path } => vec![path],
        }
    }

    pub(super) fn write_of(&self, n: u8, file: &str, text: &str) {
        fs::write(self.trees_of(n)[0].join(file), text).unwrap();
    }

    pub(super) fn read_of(&self, n: u8, file: &str) -> Option<String> {
        self.trees_of(n).iter().find_map(|tree| fs::read_to_string(tree.join(file)).ok())
    }

    fn trees(&self) -> Vec<PathBuf> {
        self.trees_of(1)
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        self.write_of(1, file, text);
    }

    pub(super) fn read(&self, file: &str) -> Option<String> {
        self.read_of(1, file)
    }

    pub(super) async fn take(&self, snapshot: u8, live: bool) {
        let (driver, id) = (self.driver(), instance(snapshot));
        driver.take_snapshot(&self.pool, instance(1), id, live).await.unwrap();
        driver.keep_snapshot(&self.pool, instance(1), id).await.unwrap();
        driver.keep_snapshot(&self.pool, instance(1), id).await.unwrap();
    }

    async fn restore(&self, snapshot: u8) {
        let driver = self.driver();
        // The second time for what a crash has left of the first.
        for _ in 0..2 {
            driver.stage_restore(&self.pool, instance(1), instance(snapshot)).await.unwrap();
        }
        driver.restore(&self.pool, instance(1)).await.unwrap();
        driver.undo_restore(&self.pool, instance(1)).await.unwrap();
    }

    pub(super) async fn remove(&self, snapshot: u8) {
        for _ in 0..2 {
            self.driver().remove_snapshot(&self.pool, instance(snapshot)).await.unwrap();
        }
    }

    fn snapshots(&self) -> Vec<String> {
        let dir = self.pools.state.join("pools/default/snapshots");
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Everything can be removed, and then nothing is left.
    pub(super) async fn end(self) {
        let driver = self.driver();
        driver.remove_root(&self.pool, instance(1)).await.unwrap();
        assert_eq!(self.snapshots(), Vec::<String>::new(), "{}", self.name);
        driver.remove_image(&self.pool, &self.image, false).await.unwrap();
        driver.tear_down(&self.pool).await.unwrap();
        assert_eq!(fs::read_dir(self.pools.state.join("pools")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn what_was_there_when_a_snapshot_was_taken_is_there_again() {
    for world in World::all().await {
        for (n, live) in [(11, false), (12, true), (13, false)] {
            world.write("file", &n.to_string());
            world.write(&format!("only-{n}"), "");
            world.take(n, live).await;
            assert_eq!(world.read("file"), Some(n.to_string()), "{}: it is not taken away", world.name);
        }
        world.write("file", "later");
        for n in [11, 13, 12, 11] {
            world.restore(n).await;
            assert_eq!(world.read("file"), Some(n.to_string()), "{}", world.name);
            assert_eq!(world.read("only-13").is_some(), n == 13, "{}: {n}", world.name);
            assert_eq!(world.read("etc/hosts").as_deref(), Some("127.0.0.1 localhost\n"), "the image is under it");
            world.write("file", "changed since");
        }
        let dir = world.pools.state.join("pools/default/instances").join(instance(1).to_string());
        assert_eq!(fs::read_to_string(dir.join("instance.yaml")).unwrap(), "name: c1\n");
        for n in [11, 12, 13] {
            world.remove(n).await;
            assert_eq!(world.read("file").as_deref(), Some("changed since"), "{}: {n}", world.name);
            assert!(world.read("only-11").is_some(), "{}: what lies over it goes on", world.name);
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_undone_leaves_the_root_as_it_was() {
    for world in World::all().await {
        let driver = world.driver();
        world.write("file", "1");
        world.take(11, false).await;
        let trees = world.trees();
        for live in [false, true] {
            world.write("file", "2");
            driver.take_snapshot(&world.pool, instance(1), instance(12), live).await.unwrap();
            driver.undo_snapshot(&world.pool, instance(1), instance(12)).await.unwrap();
            world.take(12, live).await;
            for _ in 0..2 {
                driver.undo_snapshot(&world.pool, instance(1), instance(12)).await.unwrap();
            }
            assert_eq!((world.trees(), world.read("file").as_deref()), (trees.clone(), Some("2")), "{}", world.name);
            assert_eq!(world.snapshots(), [instance(11).to_string()], "{}", world.name);
            let gone = driver.stage_restore(&world.pool, instance(1), instance(12)).await.unwrap_err();
            assert_eq!(gone.kind, Kind::NoSuchSnapshot);
            driver.stage_restore(&world.pool, instance(1), instance(11)).await.unwrap();
            driver.undo_restore(&world.pool, instance(1)).await.unwrap();
            assert_eq!(world.read("file").as_deref(), Some("2"), "{}", world.name);
        }
        world.remove(11).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_hundred_snapshots_at_rest_make_no_endless_pile() {
    let world = World::new("overlay", tempfile::tempdir().unwrap()).await;
    for n in 100..200 {
        world.write(&format!("file-{n}"), "");
        world.take(n, false).await;
    }
    let pile = world.trees().len();
    assert!((20..60).contains(&pile), "a mount takes up to 60 layers, here are {pile}");
    world.restore(199).await;
    assert!(world.trees().len() <= pile);
    for n in 100..200 {
        assert!(world.read(&format!("file-{n}")).is_some(), "{n}");
        world.remove(n).await;
    }
    assert!((100..200).all(|n| world.read(&format!("file-{n}")).is_some()));
    world.end().await;
}

#[tokio::test]
async fn a_new_upper_layer_looks_like_the_one_under_it() {
    let world = World::new("overlay", tempfile::tempdir().unwrap()).await;
    let upper = world.trees()[0].clone();
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o2751)).unwrap();
    world.take(11, false).await;
    assert_eq!(fs::metadata(&upper).unwrap().permissions().mode() & 0o7777, 0o2751);
    assert_eq!(fs::read_dir(&upper).unwrap().count(), 0, "the layer itself has become the snapshot's");
}

#[tokio::test]
async fn a_name_is_prepared_in_a_root_of_many_layers() {
    let world = World::new("overlay", tempfile::tempdir().unwrap()).await;
    let prepare = async |name: &str| {
        world.driver().prepare_root(&world.pool, instance(1), Some(&world.image), name).await.unwrap();
        world.driver().keep_root(&world.pool, instance(1), name).await.unwrap();
    };
    prepare("c1").await;
    world.take(11, false).await;
    world.write("file", "");
    world.take(12, false).await;
    prepare("c2").await;
    assert_eq!(world.read("etc/hostname").as_deref(), Some("c2\n"));
    assert_eq!(world.read("etc/hosts").as_deref(), Some("127.0.0.1 localhost\n127.0.1.1\tc2\n"));
    world.restore(11).await;
    assert_eq!(world.read("etc/hostname").as_deref(), Some("c1\n"));
    prepare("c2").await;
    assert_eq!(world.read("etc/hostname").as_deref(), Some("c2\n"), "a renamed instance keeps its name");
}
