//! Where a pool lies, as its configuration says: in a directory, in a file of the daemon's or on a block device. Looks at
//! nothing but the words. Called by `layout`, `place` and `filesystem`.

use super::lvm::{LVM, names};
use super::zfs::ZFS;
use super::zfs::names as datasets;
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, Pool, Result};
use std::path::{Component, Path, PathBuf};

/// Configuration keys of pools.
const KEYS: &[&str] = &["source", SIZE, OPTIONS, names::GROUP, names::THIN, datasets::ZPOOL];
/// Key of the size of a pool's file.
pub(super) const SIZE: &str = "size";
/// Key of mount options on btrfs.
pub(super) const OPTIONS: &str = "btrfs.mount_options";
/// Key of the pool within a pool, which nobody can set: the source of that one.
pub(super) const WITHIN: &str = "within";
/// Smallest file that every file system can be made in, with room for something.
const LEAST: u64 = 256 << 20;
/// Least and most GiB of a file when nothing says how large it is to be, and the part of what is free.
const UNSAID: (u64, u64) = (5, 30);
const UNSAID_PART: u64 = 5;
/// Most bytes of a file: what the file systems can have, and signed offsets can reach.
const MOST: u64 = 1 << 60;
/// Places that no pool may be.
const SYSTEM: &[&str] =
    &["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr"];
/// Options of btrfs(5) that change neither what is mounted nor who may use it.
const KNOWN: &[&str] = &[
    "autodefrag",
    "commit",
    "compress",
    "compress-force",
    "datacow",
    "datasum",
    "discard",
    "flushoncommit",
    "lazytime",
    "max_inline",
    "metadata_ratio",
    "noatime",
    "noautodefrag",
    "nodatacow",
    "nodatasum",
    "nodiratime",
    "nodiscard",
    "noflushoncommit",
    "nossd",
    "relatime",
    "ssd",
    "ssd_spread",
    "strictatime",
    "thread_pool",
    "user_subvol_rm_allowed",
];

/// What a pool lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A directory, somebody else's to mount.
    Directory(PathBuf),
    /// A file of the daemon's with a file system in it.
    File(PathBuf),
    /// A block device with a file system on it.
    Device(PathBuf),
    /// A volume group (lvm), zpool or dataset (zfs) of somebody else's.
    Group(String),
}

impl Source {
    /// That of a pool.
    pub(super) fn of(state: &Path, pool: &Pool) -> Source {
        match pool.config.get("source").map(PathBuf::from) {
            None => Source::Directory(own(state, pool)),
            Some(path) if pool.driver == LVM && !path.as_os_str().as_encoded_bytes().contains(&b'/') => {
                Source::Group(path.to_string_lossy().into_owned())
            }
            Some(path) if pool.driver == ZFS && !path.has_root() => Source::Group(path.to_string_lossy().into_owned()),
            Some(path) if path == file(state, pool) => Source::File(path),
            Some(path) if path.starts_with("/dev") && !path.starts_with(state) => Source::Device(path),
            Some(path) => Source::Directory(path),
        }
    }

    /// That of the file system under a pool, or under the one it is within.
    pub(super) fn under(state: &Path, pool: &Pool) -> Source {
        let Some(source) = pool.config.get(WITHIN) else { return Source::of(state, pool) };
        let mut outer = pool.clone();
        outer.config.insert("source".to_owned(), source.clone());
        Source::of(state, &outer)
    }

    /// The directory in which the pool lies.
    pub(super) fn directory(self, state: &Path, pool: &Pool) -> PathBuf {
        match self {
            Source::Directory(path) => path,
            Source::File(_) | Source::Device(_) | Source::Group(_) => own(state, pool),
        }
    }
}

fn own(state: &Path, pool: &Pool) -> PathBuf {
    state.join("pools").join(pool.name.as_str())
}

/// The file of a pool that lies in one.
pub(super) fn file(state: &Path, pool: &Pool) -> PathBuf {
    disks(state).join(format!("{}.img", pool.name))
}

/// Size of a pool's file when nothing says how large it is to be: a part of the bytes that are free.
pub(super) fn size_of_file(free: u64) -> String {
    format!("{}GiB", ((free >> 30) / UNSAID_PART).clamp(UNSAID.0, UNSAID.1))
}

/// Where files of pools are.
pub(super) fn disks(state: &Path) -> PathBuf {
    state.join("disks")
}

/// Checks a pool's configuration.
///
/// # Errors
/// `InvalidConfig`.
pub(super) fn check(pool: &Pool, state: &Path) -> Result<()> {
    let bad = |why: String| Error::new(Kind::InvalidConfig, format!("pool {}: {why}", pool.name));
    if let Some(key) = pool
        .config
        .keys()
        .find(|key| !KEYS.contains(&key.as_str()) && *key != lxhost_model::trash::EXPIRY && !key.starts_with("user."))
    {
        return Err(bad(format!("unknown key {}", lxhost_model::name::quoted(key))));
    }
    let source = Source::of(state, pool);
    for (driver, key) in [(LVM, names::GROUP), (LVM, names::THIN), (ZFS, datasets::ZPOOL)] {
        if pool.driver != driver && pool.config.contains_key(key) {
            return Err(bad(format!("{key} is for driver {driver}")));
        }
    }
    match pool.driver.as_str() {
        LVM => check_group(pool, &source).map_err(bad)?,
        ZFS => check_datasets(pool, &source).map_err(bad)?,
        _ => {}
    }
    match (&source, pool.config.get(SIZE)) {
        (Source::File(_), None) => return Err(bad("its file needs a size, such as size=10GiB".to_owned())),
        (Source::File(_) | Source::Group(_), Some(size)) => {
            if !(LEAST..=MOST).contains(&parse_bytes(size).map_err(|error| error.context(format!("pool {}", pool.name)))?) {
                return Err(bad(format!("size {size} is out of range; the least is 256MiB")));
            }
        }
        (_, Some(_)) => return Err(bad("size is that of a file that is made for the pool; leave source out".to_owned())),
        (_, None) => {}
    }
    match pool.config.get(OPTIONS) {
        Some(_) if pool.driver != "btrfs" => return Err(bad(format!("{OPTIONS} is for driver btrfs"))),
        Some(_) if matches!(source, Source::Directory(_)) => {
            return Err(bad(format!("{OPTIONS} is for a pool with a file or device of its own; nothing is mounted for this")));
        }
        Some(options) => check_options(options).map_err(bad)?,
        None => {}
    }
    check_path(pool, state, &source).map_err(bad)
}

/// What is of LVM alone.
fn check_group(pool: &Pool, source: &Source) -> std::result::Result<(), String> {
    match source {
        Source::Group(group) => names::check("source", group)?,
        Source::Directory(_) => {
            let ways = "size= (a file of its own), source=/dev/… (a disk) or source=NAME (a volume group)";
            return Err(format!("driver {LVM} needs {ways}"));
        }
        Source::File(_) | Source::Device(_) => {}
    }
    match pool.config.get(names::GROUP) {
        Some(_) if matches!(source, Source::Group(_)) => return Err(format!("{} is that of a group that is made", names::GROUP)),
        Some(name) => names::check(names::GROUP, name)?,
        None => {}
    }
    pool.config.get(names::THIN).map_or(Ok(()), |name| names::check(names::THIN, name))
}

/// What is of ZFS alone.
fn check_datasets(pool: &Pool, source: &Source) -> std::result::Result<(), String> {
    match source {
        Source::Group(name) => datasets::check("source", name, true)?,
        Source::Directory(_) => {
            let ways = "no source or size= (a file of its own), source=/dev/… (a disk) or source=NAME (a zpool or a dataset)";
            return Err(format!("driver {ZFS} needs {ways}"));
        }
        Source::File(_) | Source::Device(_) => {}
    }
    match (source, pool.config.get(datasets::ZPOOL)) {
        (Source::Group(group), Some(name)) if name != group => {
            Err(format!("{} is that of a zpool that is made", datasets::ZPOOL))
        }
        (Source::File(_) | Source::Device(_), Some(name)) => datasets::check(datasets::ZPOOL, name, false),
        _ => Ok(()),
    }
}

fn check_options(options: &str) -> std::result::Result<(), String> {
    for option in options.split(',') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':');
        if !plain || !KNOWN.contains(&name) {
            return Err(format!("{OPTIONS}: option {} is not one of {}", lxhost_model::name::quoted(option), KNOWN.join(", ")));
        }
    }
    Ok(())
}

fn check_path(pool: &Pool, state: &Path, source: &Source) -> std::result::Result<(), String> {
    let Some(text) = pool.config.get("source") else { return Ok(()) };
    if matches!(source, Source::Group(_)) {
        return Ok(());
    }
    lxhost_model::config::check_text("source", text).map_err(|error| error.message)?;
    let path = Path::new(text);
    let plain = path.is_absolute() && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let device = matches!(source, Source::Device(_));
    // What parts the layers of an overlay is in names of devices, too.
    let odd = |c: char| c == '\n' || (!device && matches!(c, ':' | ','));
    if !plain || text.len() > 1024 || text.contains("//") || text.contains("/./") || text.contains(odd) {
        return Err(format!("source {} is not a plain absolute path", lxhost_model::name::quoted(text)));
    }
    if path.starts_with(state.join("pools")) || !matches!(source, Source::Directory(_)) {
        return Ok(());
    }
    if path.components().count() < 2 || SYSTEM.iter().any(|system| path.starts_with(system)) || state.starts_with(path) {
        return Err(format!("source {text} belongs to the system"));
    }
    if path.starts_with(state) {
        return Err(format!("source {text} belongs to the daemon"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxhost_model::ObjectId;

    const STATE: &str = "/var/lib/lxhost";

    fn pool(driver: &str, keys: &[(&str, &str)]) -> Pool {
        Pool {
            id: ObjectId::from_random([1; 16]),
            name: "fast".parse().unwrap(),
            driver: driver.into(),
            description: String::new(),
            config: keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            created: 0,
            generation: 1,
        }
    }

    #[test]
    fn a_source_is_what_its_path_says_and_the_pool_lies_below_the_state() {
        let of = |keys: &[(&str, &str)]| {
            let pool = pool("btrfs", keys);
            let source = Source::of(Path::new(STATE), &pool);
            (source.clone(), source.directory(Path::new(STATE), &pool))
        };
        let own = PathBuf::from("/var/lib/lxhost/pools/fast");
        assert_eq!(of(&[]), (Source::Directory(own.clone()), own.clone()));
        assert_eq!(of(&[("source", "/dev/sdb")]), (Source::Device("/dev/sdb".into()), own.clone()));
        let image = "/var/lib/lxhost/disks/fast.img";
        assert_eq!(of(&[("source", image)]), (Source::File(image.into()), own));
        for other in ["/srv/x", "/device/x", "/var/lib/lxhost/disks/other.img"] {
            assert_eq!(of(&[("source", other)]), (Source::Directory(other.into()), other.into()));
        }
    }

    #[test]
    fn a_volume_group_is_named_and_what_has_none_is_refused() {
        let kind = |driver: &str, keys: &[(&str, &str)]| check(&pool(driver, keys), Path::new(STATE)).map_err(|e| e.kind);
        let image = ("source", "/var/lib/lxhost/disks/fast.img");
        for keys in [
            &[("source", "vg0")][..],
            &[("source", "vg0"), ("size", "20GiB"), ("lvm.thinpool_name", "ours")],
            &[("source", "/dev/sdb"), ("lvm.vg_name", "ours")],
            &[image, ("size", "1GiB")],
        ] {
            assert_eq!(kind("lvm", keys), Ok(()), "{keys:?}");
        }
        assert_eq!(Source::of(Path::new(STATE), &pool("lvm", &[("source", "vg0")])), Source::Group("vg0".into()));
        for keys in [
            &[][..],
            &[("source", "/srv/x")],
            &[("source", "-vg")],
            &[("source", "")],
            &[("source", "..")],
            &[("source", "a b")],
            &[("source", "vg0"), ("size", "1MiB")],
            &[("source", "vg0"), ("lvm.vg_name", "other")],
            &[("source", "vg0"), ("lvm.thinpool_name", "x_tdata")],
            &[("source", "/dev/sdb"), ("size", "1GiB")],
            &[("source", "/dev/sdb"), ("lvm.vg_name", "a/b")],
            &[("source", "/dev/sdb"), ("lvm.use_thinpool", "false")],
            &[("source", "/dev/sdb"), ("btrfs.mount_options", "noatime")],
        ] {
            assert_eq!(kind("lvm", keys), Err(Kind::InvalidConfig), "{keys:?}");
        }
        for driver in ["btrfs", "overlay", "dir"] {
            assert_eq!(kind(driver, &[("source", "vg0")]), Err(Kind::InvalidConfig));
            assert_eq!(kind(driver, &[("source", "/dev/sdb"), ("lvm.vg_name", "x")]), Err(Kind::InvalidConfig));
        }
    }

    #[test]
    fn a_zpool_or_a_dataset_is_named_and_what_has_none_gets_a_file() {
        let kind = |driver: &str, keys: &[(&str, &str)]| check(&pool(driver, keys), Path::new(STATE)).map_err(|e| e.kind);
        let image = ("source", "/var/lib/lxhost/disks/fast.img");
        for keys in [
            &[("source", "tank")][..],
            &[("source", "tank/guests"), ("size", "20GiB")],
            &[("source", "tank"), ("zfs.pool_name", "tank")],
            &[("source", "/dev/sdb"), ("zfs.pool_name", "ours")],
            &[image, ("size", "1GiB")],
        ] {
            assert_eq!(kind("zfs", keys), Ok(()), "{keys:?}");
        }
        let of = |keys: &[(&str, &str)]| Source::of(Path::new(STATE), &pool("zfs", keys));
        assert_eq!(of(&[("source", "tank/guests")]), Source::Group("tank/guests".into()));
        for keys in [
            &[][..],
            &[("source", "/srv/x")],
            &[("source", "")],
            &[("source", "-o")],
            &[("source", "tank@now")],
            &[("source", "tank/../x")],
            &[("source", "tank"), ("size", "1MiB")],
            &[("source", "tank"), ("zfs.pool_name", "other")],
            &[("source", "/dev/sdb"), ("size", "1GiB")],
            &[("source", "/dev/sdb"), ("zfs.pool_name", "a/b")],
            &[("source", "/dev/sdb"), ("lvm.vg_name", "x")],
            &[image, ("size", "1GiB"), ("zfs.pool_name", "mirror")],
        ] {
            assert_eq!(kind("zfs", keys), Err(Kind::InvalidConfig), "{keys:?}");
        }
        for driver in ["btrfs", "lvm"] {
            assert_eq!(kind(driver, &[("source", "/dev/sdb"), ("zfs.pool_name", "x")]), Err(Kind::InvalidConfig));
        }
        for (free, size) in [(0, "5GiB"), (60 << 30, "12GiB"), (u64::MAX, "30GiB")] {
            assert_eq!(size_of_file(free), size);
        }
    }

    #[test]
    fn the_pool_within_a_pool_lies_on_the_same() {
        for source in ["/dev/sdb", "/var/lib/lxhost/disks/fast.img"] {
            let (state, outer) = (Path::new(STATE), pool("btrfs", &[("source", source)]));
            let inner = super::super::layout::Layout::new(state, &outer).volumes(&outer, "btrfs");
            assert_eq!(Source::of(state, &inner), Source::Directory("/var/lib/lxhost/pools/fast/volumes".into()));
            assert_eq!(Source::under(state, &inner), Source::of(state, &outer));
            assert!(check(&inner, state).is_err(), "nobody can say so");
        }
    }

    #[test]
    fn sizes_and_options_are_for_those_that_have_them() {
        let image = ("source", "/var/lib/lxhost/disks/fast.img");
        let kind = |driver: &str, keys: &[(&str, &str)]| check(&pool(driver, keys), Path::new(STATE)).map_err(|e| e.kind);
        for driver in ["btrfs", "overlay", "dir"] {
            assert_eq!(kind(driver, &[image, ("size", "1GiB")]), Ok(()));
            assert_eq!(kind(driver, &[("source", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1")]), Ok(()));
        }
        let device = ("source", "/dev/sdb");
        assert_eq!(kind("btrfs", &[device, ("btrfs.mount_options", "compress=zstd:3,noatime")]), Ok(()));
        for keys in [
            &[image][..],
            &[image, ("size", "255MiB")],
            &[image, ("size", "2EiB")],
            &[image, ("size", "much")],
            &[image, ("size", "-1")],
            &[device, ("size", "1GiB")],
            &[("source", "/srv/x"), ("size", "1GiB")],
            &[("size", "1GiB")],
            &[device, ("btrfs.mount_options", "")],
            &[device, ("btrfs.mount_options", "loop")],
            &[device, ("btrfs.mount_options", "noatime,bind")],
            &[device, ("btrfs.mount_options", "compress=zstd,subvol=/x")],
            &[device, ("btrfs.mount_options", "compress=a b")],
            &[("source", "/srv/x"), ("btrfs.mount_options", "noatime")],
            &[("source", "/dev/../etc")],
            &[("source", "/dev/s\ndb")],
            &[("source", "/var/lib/lxhost/disks/other.img")],
            &[("source", "/var/lib/lxhost/disks")],
            &[device, ("lvm.vg_name", "x")],
        ] {
            assert_eq!(kind("btrfs", keys), Err(Kind::InvalidConfig), "{keys:?}");
        }
        assert_eq!(kind("overlay", &[device, ("btrfs.mount_options", "noatime")]), Err(Kind::InvalidConfig));
    }
}
