//! Pools in a temporary directory: what needs no mount, no other users and no systemd.

mod copies;
mod snapshots;
mod volumes;

use super::*;
use lxhost_engine::ports::{Defined, Origin, RootSpec};
use lxhost_model::{Fingerprint, ObjectId, Pool};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn pool(source: Option<&str>) -> Pool {
    Pool {
        id: ObjectId::from_random([1; 16]),
        name: "default".parse().unwrap(),
        driver: "overlay".into(),
        description: String::new(),
        config: source.map(|source| ("source".to_owned(), source.to_owned())).into_iter().collect(),
        created: 0,
        generation: 1,
    }
}

fn image(digit: &str) -> Fingerprint {
    digit.repeat(64).parse().unwrap()
}

fn instance(n: u8) -> ObjectId {
    ObjectId::from_random([n; 16])
}

async fn with_image(driver: &dyn PoolDriver, pool: &Pool, image: &Fingerprint) {
    driver.set_up(pool).await.unwrap();
    let staging = driver.stage_image(pool, image).await.unwrap();
    fs::create_dir(staging.join("etc")).unwrap();
    fs::write(staging.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::write(staging.join("etc/machine-id"), "").unwrap();
    assert!(!driver.has_image(pool, image).await.unwrap(), "visible before it is whole");
    driver.commit_image(pool, image).await.unwrap();
    driver.commit_image(pool, image).await.unwrap();
    assert!(driver.has_image(pool, image).await.unwrap());
}

#[tokio::test]
async fn bad_sources_are_refused_and_nothing_is_made() {
    let state = tempfile::tempdir().unwrap();
    let pools = Pools::new(state.path());
    let long = format!("/srv/{}", "a".repeat(2000));
    let inside = state.path().join("images/x");
    let over = state.path().parent().unwrap();
    let bad = [
        "",
        "relative",
        "/",
        "/srv/../etc",
        "/etc/pool",
        "/usr/x",
        "/srv/a:b",
        "/srv/a\nb",
        "/srv//x",
        &long,
        inside.to_str().unwrap(),
        over.to_str().unwrap(),
    ];
    for name in pools.names() {
        for source in bad {
            // A word without a slash is a volume group or a zpool there.
            if matches!(name, "lvm" | "zfs") && source == "relative" {
                continue;
            }
            let pool = Pool { driver: name.to_owned(), ..pool(Some(source)) };
            let error = pools.driver(name).unwrap().set_up(&pool).await.unwrap_err();
            assert_eq!(error.kind, Kind::InvalidConfig, "{name}: {source}");
        }
        let mut unknown = pool(None);
        unknown.config.insert("sauce".into(), "/srv".into());
        assert_eq!(pools.driver(name).unwrap().set_up(&unknown).await.unwrap_err().kind, Kind::InvalidConfig);
    }
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
    assert_eq!(pools.driver("zfss").err().unwrap().kind, Kind::Unsupported);
}

#[tokio::test]
async fn a_pool_takes_only_an_empty_place_of_its_own() {
    let state = tempfile::tempdir().unwrap();
    let driver = overlay::Overlay::new(state.path());
    let at = |name: &str| state.path().join("pools").join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(at("full")).unwrap();
    fs::write(at("full/file"), "x").unwrap();
    assert_eq!(driver.set_up(&pool(Some(&at("full")))).await.unwrap_err().kind, Kind::InUse);
    let one = pool(Some(&at("one")));
    driver.set_up(&one).await.unwrap();
    driver.set_up(&one).await.unwrap();
    assert_eq!(fs::metadata(at("one")).unwrap().permissions().mode() & 0o7777, 0o700);
    let mut two = pool(Some(&at("one")));
    two.id = instance(2);
    assert_eq!(driver.set_up(&two).await.unwrap_err().kind, Kind::Conflict);
    two.config.insert("source".into(), at("one/below"));
    assert_eq!(driver.set_up(&two).await.unwrap_err().kind, Kind::Conflict);
    driver.tear_down(&one).await.unwrap();
    driver.tear_down(&one).await.unwrap();
    assert!(!Path::new(&at("one")).exists());
    assert!(Path::new(&at("full/file")).exists());
}

#[tokio::test]
async fn every_step_may_be_done_twice_and_leaves_nothing_in_the_end() {
    let state = tempfile::tempdir().unwrap();
    let pools = Pools::new(state.path());
    for name in ["overlay", "dir"] {
        let (driver, mut pool) = (pools.driver(name).unwrap(), pool(None));
        pool.name = name.parse().unwrap();
        let image = image("a");
        with_image(&*driver, &pool, &image).await;
        for _ in 0..2 {
            driver.create_root(&pool, instance(1), Some(&image)).await.unwrap();
            driver.prepare_root(&pool, instance(1), Some(&image), "c1").await.unwrap();
            driver.write_definition(&pool, Defined::Instance(instance(1)), "name: c1\n").await.unwrap();
            driver.copy_root(&pool, Origin::Root { instance: instance(1), live: false }, instance(2)).await.unwrap();
            driver.create_root(&pool, instance(3), None).await.unwrap();
        }
        let top = |id| match driver.root(&pool, id, Some(&image)) {
            RootSpec::Overlay { dir, .. } => dir.join("upper"),
            RootSpec::Tree { path } => path,
        };
        for id in [instance(1), instance(2)] {
            assert_eq!(fs::read_to_string(top(id).join("etc/hostname")).unwrap(), "c1\n");
        }
        let missing = driver.create_root(&pool, instance(4), Some(&self::image("b"))).await.unwrap_err();
        assert_eq!(missing.kind, Kind::NoSuchImage);
        assert_eq!(driver.tear_down(&pool).await.unwrap_err().kind, Kind::InUse);
        for n in 1..=4 {
            driver.remove_root(&pool, instance(n)).await.unwrap();
            driver.remove_root(&pool, instance(n)).await.unwrap();
        }
        driver.remove_image(&pool, &image, false).await.unwrap();
        driver.remove_image(&pool, &image, false).await.unwrap();
        driver.tear_down(&pool).await.unwrap();
        assert_eq!(fs::read_dir(state.path().join("pools")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn an_overlay_keeps_a_removed_image_until_its_last_root_is_gone() {
    let state = tempfile::tempdir().unwrap();
    let (driver, pool, image) = (overlay::Overlay::new(state.path()), pool(None), image("a"));
    with_image(&driver, &pool, &image).await;
    let tree = state.path().join("pools/default/images").join(image.as_str());
    for n in [1, 2] {
        driver.create_root(&pool, instance(n), Some(&image)).await.unwrap();
    }
    driver.remove_image(&pool, &image, true).await.unwrap();
    driver.remove_root(&pool, instance(1)).await.unwrap();
    assert!(tree.exists(), "a root still lies over it");
    driver.remove_root(&pool, instance(2)).await.unwrap();
    assert!(!tree.exists());
    assert_eq!(fs::read_dir(state.path().join("pools/default/images")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_image_removed_and_used_again_stays() {
    let state = tempfile::tempdir().unwrap();
    let (driver, pool, image) = (overlay::Overlay::new(state.path()), pool(None), image("a"));
    with_image(&driver, &pool, &image).await;
    driver.create_root(&pool, instance(1), Some(&image)).await.unwrap();
    driver.remove_image(&pool, &image, true).await.unwrap();
    driver.create_root(&pool, instance(2), Some(&image)).await.unwrap();
    driver.remove_root(&pool, instance(1)).await.unwrap();
    driver.remove_root(&pool, instance(2)).await.unwrap();
    assert!(driver.has_image(&pool, &image).await.unwrap());
}

#[tokio::test]
async fn removing_a_root_leaves_what_its_links_point_to() {
    let state = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("canary"), "x").unwrap();
    let (driver, pool) = (overlay::Overlay::new(state.path()), pool(None));
    driver.set_up(&pool).await.unwrap();
    driver.create_root(&pool, instance(1), None).await.unwrap();
    let upper = state.path().join("pools/default/instances").join(instance(1).to_string()).join("upper");
    symlink(outside.path(), upper.join("etc")).unwrap();
    driver.prepare_root(&pool, instance(1), None, "c1").await.unwrap();
    driver.remove_root(&pool, instance(1)).await.unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(!upper.exists());
}

#[tokio::test]
async fn a_btrfs_pool_elsewhere_is_refused_and_nothing_is_made() {
    let state = tempfile::tempdir_in("/dev/shm").unwrap();
    let pools = Pools::new(state.path());
    let error = pools.driver("btrfs").unwrap().set_up(&pool(None)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_crash_left_on_its_way_out_is_deleted_and_what_comes_later_is_not() {
    let state = tempfile::tempdir().unwrap();
    let (driver, pool) = (overlay::Overlay::new(state.path()), pool(None));
    driver.set_up(&pool).await.unwrap();
    let trash = state.path().join("pools/default/.trash");
    fs::create_dir_all(trash.join("left/it/deep")).unwrap();
    driver.sweep(&pool).await.unwrap();
    fs::create_dir(trash.join("later")).unwrap();
    while trash.join("left").exists() {
        tokio::task::yield_now().await;
    }
    assert!(trash.join("later").exists());
}

/// Run with `LXHOST_STATE` on btrfs or another file system: the same steps in every driver.
#[tokio::test]
async fn a_step_done_twice_is_done_once_on_the_default_driver() {
    let base = std::env::var("LXHOST_STATE").unwrap_or(std::env::temp_dir().to_string_lossy().into_owned());
    let state = tempfile::tempdir_in(base).unwrap();
    let pools = Pools::new(state.path());
    let name = pools.default_driver().await.unwrap();
    let (driver, pool, image) = (pools.driver(name).unwrap(), pool(None), image("c"));
    with_image(&*driver, &pool, &image).await;
    for _ in 0..2 {
        driver.create_root(&pool, instance(1), Some(&image)).await.unwrap();
        driver.prepare_root(&pool, instance(1), Some(&image), "c1").await.unwrap();
        driver.copy_root(&pool, Origin::Root { instance: instance(1), live: false }, instance(2)).await.unwrap();
    }
    let top = match driver.root(&pool, instance(2), Some(&image)) {
        RootSpec::Overlay { dir, .. } => dir.join("upper"),
        RootSpec::Tree { path } => path,
    };
    assert_eq!(fs::read_to_string(top.join("etc/hostname")).unwrap(), "c1\n");
    if name == "btrfs" {
        // What a guest may do: a subvolume of its own, read-only, with something in it.
        btrfs(&["subvolume", "create", top.join("own").to_str().unwrap()]);
        fs::write(top.join("own/file"), "x").unwrap();
    }
    driver.remove_image(&pool, &image, false).await.unwrap();
    for n in [1, 2] {
        driver.remove_root(&pool, instance(n)).await.unwrap();
    }
    driver.remove_image(&pool, &image, false).await.unwrap();
    driver.tear_down(&pool).await.unwrap();
    assert_eq!(fs::read_dir(state.path().join("pools")).unwrap().count(), 0);
}

fn btrfs(words: &[&str]) {
    assert!(std::process::Command::new("btrfs").args(words).output().unwrap().status.success());
}
