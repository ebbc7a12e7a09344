//! How what a pool has in a volume group is called. Every logical volume of a pool carries a tag with the pool's id: what
//! has none is somebody else's, and is never touched. Pure. Called by the other files here and by `source`.

use super::super::source::Source;
use lxhost_model::{ObjectId, Pool};
use std::path::{Path, PathBuf};

/// Key of the name of a volume group that is made.
pub(in super::super) const GROUP: &str = "lvm.vg_name";
/// Key of the thin pool's name.
pub(in super::super) const THIN: &str = "lvm.thinpool_name";
/// What the thin pool is called when nothing says otherwise.
const DEFAULT_THIN: &str = "lxhost";
/// Words that LVM keeps for itself (lvm(8)).
const KEPT: [&str; 14] = [
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_wcorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata",
    "_tmeta", "_vdata",
];

/// What a pool has in which volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Names {
    /// The volume group.
    pub(super) group: String,
    /// The thin pool in it.
    pub(super) thin: String,
    /// Tag of all that is the pool's.
    pub(super) tag: String,
}

impl Names {
    /// Those of a pool, or of the one that it is within.
    pub(in super::super) fn of(state: &Path, pool: &Pool) -> Names {
        let group = match (Source::under(state, pool), pool.config.get(GROUP)) {
            (Source::Group(name), _) => name,
            (_, Some(name)) => name.clone(),
            (_, None) => format!("lxhost-{}", pool.name),
        };
        let thin = pool.config.get(THIN).cloned().unwrap_or_else(|| DEFAULT_THIN.to_owned());
        Names { group, thin, tag: tag(pool.id) }
    }

    /// The thin pool.
    pub(super) fn pool(&self) -> String {
        format!("{}/{}", self.group, self.thin)
    }

    /// The volume with the pool's directory. It is not thin, so that what lies there can be changed when the pool is full.
    pub(super) fn directory(&self) -> String {
        format!("{}/{}.dir", self.group, self.thin)
    }

    /// A tree.
    pub(super) fn tree(&self, tree: &str) -> String {
        format!("{}/{tree}", self.group)
    }

    /// The kernel's names of the thin pool's device: while volumes in it are active, and while none is.
    pub(super) fn mapped(&self) -> [String; 2] {
        let doubled = |name: &str| name.replace('-', "--");
        let name = format!("{}-{}", doubled(&self.group), doubled(&self.thin));
        [format!("{name}-tpool"), name]
    }
}

/// The device of a volume.
pub(super) fn device(volume: &str) -> PathBuf {
    Path::new("/dev").join(volume)
}

/// Tag of what is a pool's.
pub(super) fn tag(id: ObjectId) -> String {
    format!("lxhost.{id}")
}

/// Refuses what is no name for a volume group or a logical volume.
pub(in super::super) fn check(key: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '.' | '-');
    let starts = !name.is_empty() && !name.starts_with(['-', '.']);
    let kept = key == THIN
        && (KEPT.iter().any(|word| name.contains(word)) || name.starts_with("snapshot") || name.starts_with("pvmove"));
    match starts && name.len() <= 100 && name.chars().all(plain) && !kept {
        true => Ok(()),
        false => Err(format!("{key}: {} is no name that LVM takes", lxhost_model::name::quoted(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(keys: &[(&str, &str)]) -> Pool {
        Pool {
            id: ObjectId::from_random([1; 16]),
            name: "fast-1".parse().unwrap(),
            driver: "lvm".into(),
            description: String::new(),
            config: keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            created: 0,
            generation: 1,
        }
    }

    #[test]
    fn a_pool_and_the_one_within_it_are_in_the_same_group() {
        let state = Path::new("/var/lib/lxhost");
        for (keys, group) in [
            (&[("source", "vg0")][..], "vg0"),
            (&[("source", "/dev/sdb")], "lxhost-fast-1"),
            (&[("source", "/var/lib/lxhost/disks/fast-1.img"), (GROUP, "mine")], "mine"),
        ] {
            let outer = pool(keys);
            let names = Names::of(state, &outer);
            assert_eq!((names.group.as_str(), names.thin.as_str()), (group, "lxhost"));
            let inner = super::super::super::layout::Layout::new(state, &outer).volumes(&outer, "lvm");
            assert_eq!(Names::of(state, &inner), names);
        }
        let names = Names::of(state, &pool(&[("source", "vg-0"), (THIN, "my-thin")]));
        assert_eq!(names.mapped(), ["vg--0-my--thin-tpool", "vg--0-my--thin"]);
        assert_eq!(device(&names.directory()), Path::new("/dev/vg-0/my-thin.dir"));
    }

    #[test]
    fn names_that_lvm_or_a_path_would_stumble_over_are_refused() {
        for good in ["vg0", "a+b_c.d-e", "0"] {
            assert!(check(GROUP, good).is_ok(), "{good}");
        }
        for bad in ["", "-x", ".", "..", "a/b", "a b", "ä", "x\n", &"x".repeat(101)] {
            assert!(check(GROUP, bad).is_err(), "{bad}");
        }
        for bad in ["x_tdata", "snapshot1", "pvmove0", "a_pmspare"] {
            assert!(check(THIN, bad).is_err(), "{bad}");
        }
    }
}
