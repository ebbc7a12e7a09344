//! How what a pool has in a zpool is called. The dataset that everything lies below carries a property with the pool's id:
//! what has none is somebody else's, and is never touched. Pure. Called by the other files here and by `source`.

use super::super::source::Source;
use lxhost_model::{ObjectId, Pool};
use std::path::Path;

/// Key of the name of a zpool that is made.
pub(in super::super) const ZPOOL: &str = "zfs.pool_name";
/// Property with the id of a pool.
pub(super) const OWNER: &str = "lxhost:pool";
/// Last part of the name of the dataset with a pool's directory.
const DIRECTORY: &str = "dir";
/// First words of names that zpool(8) keeps for itself.
const KEPT: [&str; 5] = ["mirror", "raidz", "draid", "spare", "log"];
/// Most bytes of the name of a source or a zpool: what comes behind it has to fit as well.
const MOST: usize = 100;

/// What a pool has in which zpool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Names {
    /// The zpool.
    pub(super) zpool: String,
    /// The dataset that is the pool's, with everything below it.
    pub(super) base: String,
    /// Id of the pool, as the property has it.
    pub(super) id: String,
}

impl Names {
    /// Those of a pool, or of the one that it is within.
    pub(in super::super) fn of(state: &Path, pool: &Pool) -> Names {
        let own = || pool.config.get(ZPOOL).cloned().unwrap_or_else(|| format!("lxhost-{}", pool.name));
        let base = match Source::under(state, pool) {
            Source::Group(source) => format!("{source}/lxhost-{}", pool.name),
            _ => own(),
        };
        let zpool = base.split('/').next().unwrap_or_default().to_owned();
        Names { zpool, base, id: id(pool.id) }
    }

    /// Whether the pool has brought the zpool.
    pub(super) fn is_brought(&self) -> bool {
        self.base == self.zpool
    }

    /// The dataset with the pool's directory. Some room is kept for it, so that what lies there can be changed when the pool
    /// is full.
    pub(super) fn directory(&self) -> String {
        directory(&self.base)
    }

    /// A tree.
    pub(super) fn tree(&self, tree: &str) -> String {
        format!("{}/{tree}", self.base)
    }
}

/// That of the pool which everything below a dataset is of.
pub(super) fn directory(base: &str) -> String {
    format!("{base}/{DIRECTORY}")
}

/// An id as the property has it.
pub(super) fn id(id: ObjectId) -> String {
    id.to_string()
}

/// Refuses what is no name of a zpool, nor, where that may be, of a dataset.
pub(in super::super) fn check(key: &str, name: &str, dataset: bool) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    let part = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(plain);
    let zpool = name.split('/').next().unwrap_or_default();
    let kept = KEPT.iter().any(|word| zpool.starts_with(word)) || !zpool.starts_with(|c: char| c.is_ascii_alphabetic());
    match name.split('/').all(part) && name.len() <= MOST && !kept && (dataset || zpool == name) {
        true => Ok(()),
        false => Err(format!("{key}: {} is no name that ZFS takes", lxhost_model::name::quoted(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(keys: &[(&str, &str)]) -> Pool {
        Pool {
            id: ObjectId::from_random([1; 16]),
            name: "fast-1".parse().unwrap(),
            driver: "zfs".into(),
            description: String::new(),
            config: keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            created: 0,
            generation: 1,
        }
    }

    #[test]
    fn a_pool_and_the_one_within_it_are_below_the_same_dataset() {
        let state = Path::new("/var/lib/lxhost");
        for (keys, zpool, base) in [
            (&[("source", "tank")][..], "tank", "tank/lxhost-fast-1"),
            (&[("source", "tank/guests")], "tank", "tank/guests/lxhost-fast-1"),
            (&[("source", "/dev/sdb")], "lxhost-fast-1", "lxhost-fast-1"),
            (&[("source", "/var/lib/lxhost/disks/fast-1.img"), (ZPOOL, "mine")], "mine", "mine"),
        ] {
            let outer = pool(keys);
            let names = Names::of(state, &outer);
            assert_eq!((names.zpool.as_str(), names.base.as_str()), (zpool, base));
            assert_eq!(names.is_brought(), zpool == base);
            assert_eq!(names.directory(), format!("{base}/dir"));
            let inner = super::super::super::layout::Layout::new(state, &outer).volumes(&outer, "zfs");
            assert_eq!(Names::of(state, &inner), names);
        }
    }

    #[test]
    fn names_that_zfs_or_a_path_would_stumble_over_are_refused() {
        for good in ["tank", "a_b.c-d:e", "Z0"] {
            assert!(check(ZPOOL, good, false).is_ok() && check("source", good, true).is_ok(), "{good}");
        }
        assert!(check("source", "tank/guests/of-us", true).is_ok());
        assert!(check(ZPOOL, "tank/guests", false).is_err());
        let long = "x".repeat(101);
        for bad in [
            "", "-x", "0x", ".", "..", "/a", "a/", "a//b", "a/../b", "a/-b", "a b", "ä", "x\n", "a@b", "a%b", "mirror", "raidz1",
            "log", &long,
        ] {
            assert!(check("source", bad, true).is_err(), "{bad}");
        }
    }
}
