//! Copies on every driver: what the original held is in the copy, and each goes on by itself.

use super::snapshots::World;
use super::*;
use lxhost_engine::ports::Origin;

fn root(n: u8, live: bool) -> Origin {
    Origin::Root { instance: instance(n), live }
}

impl World {
    /// Copies to instance `to`, as the engine does.
    async fn copy(&self, from: Origin, to: u8) {
        let (driver, to) = (self.driver(), instance(to));
        // The second time for what a crash has left of the first.
        for _ in 0..2 {
            driver.copy_root(&self.pool, from, to).await.unwrap();
        }
        driver.keep_copy(&self.pool, to).await.unwrap();
    }

    async fn gone(&self, n: u8) {
        self.driver().remove_root(&self.pool, instance(n)).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_holds_what_the_original_did_and_each_goes_on_by_itself() {
    for world in World::all().await {
        world.write("file", "1");
        world.driver().prepare_root(&world.pool, instance(1), Some(&world.image), "c1").await.unwrap();
        world.driver().keep_root(&world.pool, instance(1), "c1").await.unwrap();
        world.take(11, false).await;
        world.write("file", "2");
        world.write("more", "");
        for (from, to) in [(root(1, false), 2), (root(1, true), 3), (Origin::Snapshot(instance(11)), 4), (root(1, false), 5)] {
            world.copy(from, to).await;
        }
        for n in [1, 2, 3, 5] {
            assert_eq!(world.read_of(n, "file").as_deref(), Some("2"), "{}: {n}", world.name);
            world.write_of(n, "file", &n.to_string());
        }
        assert_eq!(world.read_of(4, "file").as_deref(), Some("1"), "{}", world.name);
        assert_eq!(world.read_of(4, "more"), None, "{}", world.name);
        for n in [1, 2, 3, 5] {
            assert_eq!(world.read_of(n, "file"), Some(n.to_string()), "{}", world.name);
            assert_eq!(world.read_of(n, "etc/hosts").as_deref(), Some("127.0.0.1 localhost\n127.0.1.1\tc1\n"));
        }
        // As a new one, a copy gets a host name and a machine id at its first start.
        world.driver().prepare_root(&world.pool, instance(2), Some(&world.image), "c2").await.unwrap();
        assert_eq!(world.read_of(2, "etc/hostname").as_deref(), Some("c2\n"), "{}", world.name);
        assert_eq!(world.read_of(2, "etc/machine-id"), Some(format!("{}\n", instance(2))), "{}", world.name);
        assert_eq!(world.read_of(1, "etc/machine-id"), Some(format!("{}\n", instance(1))), "{}", world.name);
        world.remove(11).await;
        world.gone(1).await;
        for (n, text) in [(2, "2"), (3, "3"), (4, "1"), (5, "5")] {
            assert_eq!(world.read_of(n, "file").as_deref(), Some(text), "{}: it outlives its original", world.name);
            world.gone(n).await;
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_copied_snapshot_is_restored_in_the_copy_and_needs_its_original_no_more() {
    for world in World::all().await {
        let driver = world.driver();
        world.write("file", "1");
        world.take(11, false).await;
        world.write("file", "2");
        world.take(12, true).await;
        world.write("file", "3");
        world.copy(root(1, false), 2).await;
        for (from, to) in [(11, 21), (12, 22)] {
            for _ in 0..2 {
                driver.copy_snapshot(&world.pool, instance(from), instance(to)).await.unwrap();
            }
        }
        driver.copy_snapshot(&world.pool, instance(11), instance(23)).await.unwrap();
        driver.undo_snapshot(&world.pool, instance(2), instance(23)).await.unwrap();
        world.remove(11).await;
        world.remove(12).await;
        world.gone(1).await;
        for (snapshot, text) in [(21, "1"), (22, "2"), (21, "1")] {
            driver.stage_restore(&world.pool, instance(2), instance(snapshot)).await.unwrap();
            driver.restore(&world.pool, instance(2)).await.unwrap();
            assert_eq!(world.read_of(2, "file").as_deref(), Some(text), "{}", world.name);
        }
        let gone = driver.copy_snapshot(&world.pool, instance(11), instance(24)).await.unwrap_err();
        assert_eq!(gone.kind, Kind::NoSuchSnapshot, "{}", world.name);
        world.remove(21).await;
        world.remove(22).await;
        world.gone(2).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_copy_that_is_undone_leaves_the_original_and_other_copies_as_they_were() {
    for world in World::all().await {
        let driver = world.driver();
        world.write("file", "1");
        world.take(11, false).await;
        world.write("file", "2");
        for (n, from) in [root(1, false), root(1, true), Origin::Snapshot(instance(11))].into_iter().enumerate() {
            let (to, other) = (10 + n as u8, 20 + n as u8);
            world.copy(from, to).await;
            world.copy(from, other).await;
            for _ in 0..2 {
                driver.undo_copy(&world.pool, from, instance(to)).await.unwrap();
            }
            let text = if n == 2 { "1" } else { "2" };
            assert_eq!(world.read_of(other, "file").as_deref(), Some(text), "{}", world.name);
            assert_eq!(world.read("file").as_deref(), Some("2"), "{}", world.name);
            world.gone(other).await;
        }
        world.remove(11).await;
        world.gone(1).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_daemon_that_dies_amid_a_copy_has_taken_nothing_away() {
    let world = World::new("overlay", tempfile::tempdir().unwrap()).await;
    let driver = world.driver();
    world.write("file", "1");
    let dir = world.pools.state.join("pools/default");
    // As if it had died between the exchange and the layer's name.
    world.copy(root(1, false), 2).await;
    let (retired, taking) = (format!(".retired-{}", instance(2)), format!(".new-{}", instance(2)));
    fs::rename(dir.join("snapshots").join(&retired), dir.join("snapshots").join(&taking)).unwrap();
    driver.undo_copy(&world.pool, root(1, false), instance(2)).await.unwrap();
    assert_eq!(world.read("file").as_deref(), Some("1"));
    world.write("file", "2");
    // The same when it goes on instead.
    world.copy(root(1, false), 3).await;
    let (retired, taking) = (format!(".retired-{}", instance(3)), format!(".new-{}", instance(3)));
    fs::rename(dir.join("snapshots").join(&retired), dir.join("snapshots").join(&taking)).unwrap();
    world.copy(root(1, false), 3).await;
    for n in [1, 3] {
        assert_eq!(world.read_of(n, "file").as_deref(), Some("2"));
        world.gone(n).await;
    }
    world.end().await;
}

#[tokio::test]
async fn copies_make_no_endless_pile() {
    let world = World::new("overlay", tempfile::tempdir().unwrap()).await;
    world.write("file", "1");
    for n in 2..40 {
        world.copy(root(1, false), n).await;
    }
    assert_eq!(world.trees_of(1).len(), 3, "what is not changed is not put under another layer twice");
    for n in 2..40 {
        assert_eq!(world.trees_of(n).len(), 3);
        world.gone(n).await;
    }
    // Each a copy of the one before it, and changed.
    for n in 1..60 {
        world.copy(root(n, false), n + 1).await;
        world.write_of(n + 1, &format!("file-{n}"), "");
    }
    let pile = world.trees_of(60).len();
    assert!((20..60).contains(&pile), "a mount takes up to 60 layers, here are {pile}");
    assert!((1..60).all(|n| world.read_of(60, &format!("file-{n}")).is_some()));
    for n in 1..=60 {
        world.gone(n).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_copy_one_original_at_the_same_time() {
    let world = std::sync::Arc::new(World::new("overlay", tempfile::tempdir().unwrap()).await);
    world.write("file", "1");
    let copies = (2..30).map(|n| {
        let world = world.clone();
        tokio::spawn(async move {
            let (driver, from, to) = (world.driver(), root(1, false), instance(n));
            driver.copy_root(&world.pool, from, to).await.unwrap();
            match n % 3 {
                0 => driver.undo_copy(&world.pool, from, to).await.unwrap(),
                _ => driver.keep_copy(&world.pool, to).await.unwrap(),
            }
        })
    });
    for copy in copies.collect::<Vec<_>>() {
        copy.await.unwrap();
    }
    for n in (1..30).filter(|n| *n == 1 || n % 3 != 0) {
        assert_eq!(world.read_of(n, "file").as_deref(), Some("1"), "{n}");
        world.gone(n).await;
    }
    std::sync::Arc::into_inner(world).unwrap().end().await;
}
