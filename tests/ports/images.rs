//! Images and pools: the sandbox of PID 1, the unpacker of the package, and trees on disk.

use lxhost_drivers::image::FilesStore;
use lxhost_drivers::storage::Pools;
use lxhost_engine::ports::{Defined, ImageFiles, ImageFilesStore, Origin, PoolKinds, Progress, RootSpec, Sandbox, SandboxSpec};
use lxhost_host::sandbox::SystemdSandbox;
use lxhost_host::units::Units;
use lxhost_model::{Kind, ObjectId, Pool};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn report(&self, phase: &str, _fraction: f64) {
        self.0.lock().unwrap().push(phase.to_owned());
    }
}

/// A state directory on the disk of the test host, with the ports over it.
struct Host {
    state: tempfile::TempDir,
    sandbox: Arc<SystemdSandbox>,
}

impl Host {
    async fn new() -> Host {
        let connection = zbus::Connection::system().await.unwrap();
        let units = Units::new(&connection).await.unwrap();
        let sandbox = Arc::new(SystemdSandbox::new(units, &connection, Path::new("/run/lxhost")).await.unwrap());
        Host { state: tempfile::tempdir_in("/var/lib/lxhost").unwrap(), sandbox }
    }

    fn store(&self) -> FilesStore {
        FilesStore::new(self.state.path(), "/usr/libexec/lxhost/lxhost-unpack".into(), self.sandbox.clone())
    }

    /// Packs metadata and the tree at `root`; returns the two files.
    fn pack(&self, root: &Path, compress: &str) -> (PathBuf, PathBuf) {
        let (meta, rootfs): (PathBuf, PathBuf) = (self.state.path().join("meta.tar"), self.state.path().join("rootfs.tar"));
        fs::write(
            self.state.path().join("metadata.yaml"),
            "architecture: amd64\ncreation_date: 1700000000\nproperties:\n  os: debian\n",
        )
        .unwrap();
        tar(&["-cf"], &meta, &["-C", self.state.path().to_str().unwrap(), "metadata.yaml"]);
        tar(
            &["--one-file-system", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", compress, "-cf"],
            &rootfs,
            &["-C", root.to_str().unwrap(), "."],
        );
        (meta, rootfs)
    }
}

fn tar(options: &[&str], to: &Path, what: &[&str]) {
    assert!(Command::new("tar").args(options).arg(to).args(what).status().unwrap().success());
}

fn pool(driver: &str) -> Pool {
    Pool {
        id: ObjectId::from_random([1; 16]),
        name: "default".parse().unwrap(),
        driver: driver.into(),
        description: String::new(),
        config: Default::default(),
        created: 0,
        generation: 1,
    }
}

fn open(path: &Path) -> std::os::fd::OwnedFd {
    File::open(path).unwrap().into()
}

/// What `find` says of a tree: types, modes, owners, sizes, times, links.
fn listing(root: &Path) -> Vec<String> {
    let mut command = Command::new("find");
    command.arg(root).args(["-xdev", "-not", "-type", "b", "-not", "-type", "c", "-not", "-type", "s"]);
    command.args(["(", "-type", "d", "-printf", "%P %y %m %U %G %T@\\n", "-o", "-printf", "%P %y %m %U %G %s %n %l %T@\\n", ")"]);
    let mut lines: Vec<_> = String::from_utf8(command.output().unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Compares listings, and shows only the first difference.
fn same(left: &[String], right: &[String]) {
    assert!(left.len() > 100);
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}

pub(crate) async fn a_tree_is_taken_in_unpacked_and_used_from_every_pool() {
    let host = Host::new().await;
    let source = PathBuf::from("/usr/bin");
    let (meta, rootfs) = host.pack(&source, "--zstd");
    let (store, told) = (host.store(), Told::default());
    let start = Instant::now();
    let image = store.take_in(ImageFiles { meta: open(&meta), rootfs: Some(open(&rootfs)) }, &told).await.unwrap();
    eprintln!("take in: {:?}", start.elapsed());
    assert_eq!((image.architecture.as_str(), image.created, image.split), ("x86_64", 1_700_000_000_000_000, true));
    let sum = Command::new("sh").args(["-c", "cat \"$0\" \"$1\" | sha256sum"]).args([&meta, &rootfs]).output().unwrap();
    assert!(String::from_utf8(sum.stdout).unwrap().starts_with(image.fingerprint.as_str()));
    let again = store.take_in(ImageFiles { meta: open(&meta), rootfs: Some(open(&rootfs)) }, &told).await.unwrap();
    assert_eq!(again, image);

    let pools = Pools::new(host.state.path());
    assert_eq!(pools.default_driver().await.unwrap(), "overlay");
    for name in ["overlay", "dir"] {
        let (driver, mut pool) = (pools.driver(name).unwrap(), pool(name));
        pool.name = name.parse().unwrap();
        driver.set_up(&pool).await.unwrap();
        let start = Instant::now();
        let target = driver.stage_image(&pool, &image.fingerprint).await.unwrap();
        store.unpack(&image.fingerprint, true, target.clone(), &told).await.unwrap();
        eprintln!("{name}: unpack: {:?}", start.elapsed());
        same(&listing(&target), &listing(&source));
        let start = Instant::now();
        driver.commit_image(&pool, &image.fingerprint).await.unwrap();
        eprintln!("{name}: commit: {:?}", start.elapsed());
        assert!(driver.has_image(&pool, &image.fingerprint).await.unwrap());

        let (one, two) = (ObjectId::from_random([2; 16]), ObjectId::from_random([3; 16]));
        let start = Instant::now();
        driver.create_root(&pool, one, Some(&image.fingerprint)).await.unwrap();
        eprintln!("{name}: create: {:?}", start.elapsed());
        driver.prepare_root(&pool, one, Some(&image.fingerprint), "c1").await.unwrap();
        driver.write_definition(&pool, Defined::Instance(one), "name: c1\n").await.unwrap();
        driver.copy_root(&pool, Origin::Root { instance: one, live: false }, two).await.unwrap();
        for id in [one, two] {
            let trees = match driver.root(&pool, id, Some(&image.fingerprint)) {
                RootSpec::Overlay { dir, lowers } => [vec![dir.join("upper")], lowers].concat(),
                RootSpec::Tree { path } => vec![path],
            };
            let hostname = trees.iter().find_map(|tree| fs::read_to_string(tree.join("etc/hostname")).ok());
            assert_eq!(hostname.as_deref(), Some("c1\n"));
        }
        assert_eq!(driver.tear_down(&pool).await.unwrap_err().kind, Kind::InUse);
        driver.remove_image(&pool, &image.fingerprint, true).await.unwrap();
        for id in [one, two] {
            let start = Instant::now();
            driver.remove_root(&pool, id).await.unwrap();
            eprintln!("{name}: remove: {:?}", start.elapsed());
        }
        assert!(!driver.has_image(&pool, &image.fingerprint).await.unwrap(), "{name}: the last root took the image along");
        driver.tear_down(&pool).await.unwrap();
    }
    store.remove(&image.fingerprint).await.unwrap();
    assert_eq!(fs::read_dir(host.state.path().join("images")).unwrap().count(), 0);
    assert!(told.0.lock().unwrap().iter().any(|phase| phase == "unpacking"));
}

pub(crate) async fn the_sandbox_sees_nothing_of_the_host_and_cannot_leave() {
    let host = Host::new().await;
    let run = |argv: &[&str], writable: Vec<PathBuf>| {
        let spec = SandboxSpec {
            unit: "lxhost-test".into(),
            argv: argv.iter().map(ToString::to_string).collect(),
            stdin: None,
            stdout: None,
            readable: vec![],
            served: None,
            mounts: false,
            writable,
            owns_files: true,
            builds: false,
            timeout: 5,
            memory: 256 << 20,
        };
        let sandbox = host.sandbox.clone();
        async move { sandbox.run(spec, &|_| {}).await }
    };
    let sh = |script: &'static str| run(&["/bin/sh", "-c", script], vec![]);
    assert_eq!(sh("exit 7").await.unwrap().status, 7);
    assert_eq!(sh("kill -9 $$").await.unwrap().status, 137);
    let exit = sh("echo first >&2; echo progress 1 >&2; echo last >&2; exit 1").await.unwrap();
    assert_eq!((exit.status, exit.stderr.as_str()), (1, "first\nlast"));
    for script in [
        "test ! -e /etc/shadow && test ! -e /var/lib && test ! -e /home/x && test ! -e /work && test ! -e /share",
        "! touch /x && ! touch /usr/x && ! mkdir /var",
        "test $(wc -l </proc/self/net/dev) -eq 3",
        "! unshare -U true && ! mknod /dev/x c 1 3 && ! mount -t tmpfs x /usr",
        "grep -q 'NoNewPrivs:.1' /proc/self/status && grep -q 'Seccomp:.2' /proc/self/status",
    ] {
        let exit = sh(script).await.unwrap();
        assert_eq!(exit.status, 0, "{script}: {}", exit.stderr);
    }
    let place = host.state.path().join("place");
    fs::create_dir(&place).unwrap();
    let file = place.join("file");
    let exit =
        run(&["/bin/sh", "-c", "echo x >\"$0\" && chown 5:6 \"$0\" && chmod 4755 \"$0\"", file.to_str().unwrap()], vec![place])
            .await
            .unwrap();
    assert_eq!(exit.status, 0, "{}", exit.stderr);
    assert!(file.exists());
    assert_eq!(run(&["/usr/bin/no-such-program"], vec![]).await.unwrap_err().kind, Kind::Failed);
    assert_eq!(run(&["/bin/sleep", "60"], vec![]).await.unwrap_err().kind, Kind::Timeout);

    // Dropped: the unit is stopped.
    let dropped = tokio::time::timeout(std::time::Duration::from_millis(500), run(&["/bin/sleep", "50"], vec![])).await;
    assert!(dropped.is_err());
    let mut left = String::new();
    for _ in 0..300 {
        let units =
            Command::new("systemctl").args(["list-units", "--all", "--plain", "--no-legend", "lxhost-test-*"]).output().unwrap();
        let processes = Command::new("pgrep").args(["-fx", "/bin/sleep 50"]).output().unwrap();
        left = String::from_utf8([units.stdout, processes.stdout].concat()).unwrap();
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(left, "", "the program or its unit outlived the caller");
    assert_eq!(fs::read_dir("/run/lxhost/sandbox").unwrap().count(), 0, "mount points were left");
}

pub(crate) async fn what_is_no_image_is_refused_and_leaves_nothing() {
    let host = Host::new().await;
    let (store, told) = (host.store(), Told::default());
    let make = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = host.state.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (meta, _) = host.pack(Path::new("/etc/apt"), "--gzip");
    let cut = fs::read(&meta).unwrap();
    let cases = [
        ("empty", make("empty", b"")),
        ("text", make("text", &[b'x'; 4096])),
        ("cut", make("cut", &cut[..1200])),
        ("no rootfs", meta.clone()),
    ];
    for (what, path) in cases {
        let error = store.take_in(ImageFiles { meta: open(&path), rootfs: None }, &told).await.unwrap_err();
        assert_eq!(error.kind, Kind::Untrusted, "{what}: {error}");
        assert!(!error.message.contains('\n'), "{what}");
    }
    let bad = host.state.path().join("escape.tar");
    tar(&["--transform=s,^,../,", "-cPf"], &bad, &["-C", "/etc", "hostname"]);
    let error = store.take_in(ImageFiles { meta: open(&meta), rootfs: Some(open(&bad)) }, &told).await.unwrap_err();
    assert!(error.kind == Kind::Untrusted && error.message.contains("../hostname"), "{error}");
    assert_eq!(fs::read_dir(host.state.path().join("images")).unwrap().count(), 0);
}

pub(crate) async fn a_debian_is_built_from_the_host_s_mirror_and_a_busybox_from_the_host() {
    let host = Host::new().await;
    let (store, told) = (host.store(), Told::default());
    let sandbox: Arc<dyn Sandbox> = host.sandbox.clone();
    let pools = Pools::new(host.state.path());
    let (driver, pool) = (pools.driver("overlay").unwrap(), pool("overlay"));
    driver.set_up(&pool).await.unwrap();
    for source in lxhost_drivers::image::sources(host.state.path(), &sandbox) {
        let offer = source.list().await.unwrap().remove(0);
        let start = Instant::now();
        let files = source.fetch(offer.alias.as_str(), &told).await.unwrap();
        eprintln!("{}: fetch: {:?}", source.name(), start.elapsed());
        let start = Instant::now();
        let image = store.take_in(files, &told).await.unwrap();
        eprintln!("{}: take in: {:?}, {} MB", source.name(), start.elapsed(), image.size >> 20);
        assert!(image.properties["description"].len() > 5);
        let start = Instant::now();
        let target = driver.stage_image(&pool, &image.fingerprint).await.unwrap();
        store.unpack(&image.fingerprint, image.split, target, &told).await.unwrap();
        driver.commit_image(&pool, &image.fingerprint).await.unwrap();
        eprintln!("{}: unpack: {:?}", source.name(), start.elapsed());
        let tree = host.state.path().join("pools/default/images").join(image.fingerprint.as_str());
        assert!(tree.join("sbin/init").symlink_metadata().is_ok());
    }
    eprintln!("{:?}", told.0.lock().unwrap());
    let left: Vec<_> = fs::read_dir(host.state.path().join("images")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

pub(crate) async fn every_packing_gives_the_same_tree() {
    let host = Host::new().await;
    let (store, told) = (host.store(), Told::default());
    let source = host.state.path().join("source");
    let sh = |script: &str| {
        let status = Command::new("sh").arg("-ec").arg(script).arg(&source).status().unwrap();
        assert!(status.success(), "{script}");
    };
    sh("mkdir -p \"$0/bin\" \"$0/dev\"; cd \"$0\"; cp /bin/true bin/tool; chmod 4755 bin/tool; ln bin/tool bin/other; ln -s /etc/shadow link
        mkfifo pipe; chown -h 1000:2000 link pipe; chmod 1777 dev; setfattr -n user.x -v 1 bin/tool 2>/dev/null || true
        for n in $(seq 200); do echo $n >file$n; done");
    let (meta, plain) = host.pack(&source, "--no-auto-compress");
    let packed = |name: &str| host.state.path().join(name);
    sh(&format!("cd {0}; gzip -k rootfs.tar; xz -k -T1 rootfs.tar; zstd -q -k rootfs.tar; mksquashfs source root.sq -quiet -no-progress >/dev/null
        mkdir u; cp metadata.yaml u/; cp -a source u/rootfs; tar -C u --numeric-owner -cJf unified.tar.xz metadata.yaml rootfs", host.state.path().display()));
    // The device is not in the others: it is left out of every tree.
    let names = ["rootfs.tar.gz", "rootfs.tar.xz", "rootfs.tar.zst", "root.sq", "unified.tar.xz"];
    for (n, path) in std::iter::once(plain).chain(names.map(packed)).enumerate() {
        let unified = path.ends_with("unified.tar.xz");
        let files = if unified {
            ImageFiles { meta: open(&path), rootfs: None }
        } else {
            ImageFiles { meta: open(&meta), rootfs: Some(open(&path)) }
        };
        let image = store.take_in(files, &told).await.unwrap();
        let target = host.state.path().join(format!("target{n}"));
        fs::create_dir(&target).unwrap();
        store.unpack(&image.fingerprint, image.split, target.clone(), &told).await.unwrap();
        // Times of tar in its own format are whole seconds.
        let whole = |lines: Vec<String>| lines.iter().map(|line| line.rsplit_once('.').unwrap().0.to_owned()).collect::<Vec<_>>();
        same(&whole(listing(&target)), &whole(listing(&source)));
    }
    let squash = fs::read(packed("root.sq")).unwrap();
    fs::write(packed("cut.sq"), &squash[..squash.len() / 2]).unwrap();
    let error = store.take_in(ImageFiles { meta: open(&meta), rootfs: Some(open(&packed("cut.sq"))) }, &told).await.unwrap_err();
    assert_eq!(error.kind, Kind::Untrusted, "{error}");
}
