//! Volumes in pools of a temporary directory: each step may be done twice, and nothing is left in the end.

use super::*;
use lxhost_model::volume::Top;

#[tokio::test]
async fn a_volume_comes_and_goes_whatever_keeps_the_roots() {
    let base = std::env::var("LXHOST_STATE").unwrap_or(std::env::temp_dir().to_string_lossy().into_owned());
    let state = tempfile::tempdir_in(base).unwrap();
    let pools = Pools::new(state.path());
    // Who is not root may give files to nobody else.
    let top = Top { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw(), mode: 0o2750 };
    for name in ["overlay", "dir", pools.default_driver().await.unwrap()] {
        let (outer, mut pool) = (pools.driver(name).unwrap(), pool(None));
        pool.name = name.parse().unwrap();
        outer.set_up(&pool).await.unwrap();
        let volumes = outer.volumes(&pool);
        let driver = pools.driver(&volumes.driver).unwrap();
        for _ in 0..2 {
            driver.create_volume(&volumes, instance(1), top).await.unwrap();
        }
        let RootSpec::Tree { path } = driver.root(&volumes, instance(1), None) else { panic!("a volume is one tree") };
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o2750);
        fs::write(path.join("file"), vec![1; 100_000]).unwrap();
        let used = driver.used(&volumes, instance(1)).await.unwrap();
        assert!((100_000..1_000_000).contains(&used), "{name}: {used}");

        assert_eq!(outer.tear_down(&pool).await.unwrap_err().kind, Kind::InUse, "{name}");
        for _ in 0..2 {
            driver.remove_root(&volumes, instance(1)).await.unwrap();
        }
        driver.remove_root(&volumes, instance(2)).await.unwrap();
        driver.sweep(&volumes).await.unwrap();
        outer.tear_down(&pool).await.unwrap();
        assert!(!path.exists());
    }
    assert_eq!(fs::read_dir(state.path().join("pools")).unwrap().count(), 0);
}
