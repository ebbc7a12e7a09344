//! Where a pool's things lie, the same in every driver. Pure.
//!
//! ```text
//! <source>/.lxhost-pool                    the pool's id
//! <source>/pool.yaml                       its definition
//! <source>/images/<fingerprint>            an image's tree, or a directory like an instance's (lvm, zfs)
//! <source>/images/.staging-<fingerprint>   one being unpacked
//! <source>/images/.retired-<fingerprint>   mark: removed, but instances still need the tree
//! <source>/instances/<id>/instance.yaml    definition; never inside what a guest can write
//! <source>/instances/<id>/image            link to the image's tree (overlay)
//! <source>/instances/<id>/prepared         host name last written into the root
//! <source>/instances/<id>/tree             name of the tree that is mounted at `root` (lvm, zfs)
//! <source>/instances/<id>/quota            bytes to which it was limited
//! <source>/instances/<id>/root | upper, work
//! <source>/instances/<id>/plain            where containers within it keep layers (overlay)
//! <source>/instances/<id>/below            link: the snapshot whose layer lies under the upper one (overlay)
//! <source>/snapshots/<id>/…                what an instance's directory held when a snapshot was taken
//! <source>/snapshots/<id>/snapshot.yaml    its definition
//! <source>/snapshots/.new-<id>             one being taken
//! <source>/snapshots/.retired-<id>         removed, but layers still lie over it (overlay)
//! <source>/snapshots/.restore-<instance>   what is going to be an instance's directory
//! <source>/volumes/…                       the same once more, for volumes: `instances/<id>/root` is one
//! <source>/.trash/…                        on its way out
//! ```

use super::source::{Source, WITHIN};
use lxhost_engine::ports::Held;
use lxhost_model::{Fingerprint, ObjectId, Pool};
use std::path::{Path, PathBuf};

/// The mark of a pool.
pub(super) const MARK: &str = ".lxhost-pool";
/// Definition of an instance.
pub(super) const DEFINITION: &str = "instance.yaml";
/// Definition of a pool.
pub(super) const POOL: &str = "pool.yaml";
/// Definition of a snapshot.
pub(super) const SNAPSHOT: &str = "snapshot.yaml";
/// Link to an instance's image.
pub(super) const IMAGE: &str = "image";
/// Host name last written into a root.
pub(super) const PREPARED: &str = "prepared";
/// That a limit was set.
pub(super) const QUOTA: &str = "quota";
/// Root of an instance that has a tree of its own.
pub(super) const ROOT: &str = "root";

/// Name of the volume that is mounted at a root.
pub(super) const TREE: &str = "tree";
/// Where volumes are.
pub(super) const VOLUMES: &str = "volumes";

/// Paths of one pool.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The pool's directory.
    pub(super) source: PathBuf,
    /// Its id, as the mark has it.
    pub(super) id: ObjectId,
}

impl Layout {
    /// The pool's directory: its `source`, or one below `state`.
    pub(super) fn new(state: &Path, pool: &Pool) -> Layout {
        Layout { source: Source::of(state, pool).directory(state, pool), id: pool.id }
    }

    /// Trees of images.
    pub(super) fn images(&self) -> PathBuf {
        self.source.join("images")
    }

    /// Tree of one image.
    pub(super) fn image(&self, image: &Fingerprint) -> PathBuf {
        self.images().join(image.as_str())
    }

    /// Where it is unpacked.
    pub(super) fn staging(&self, image: &Fingerprint) -> PathBuf {
        self.images().join(format!(".staging-{image}"))
    }

    /// Its mark once it has been removed while in use.
    pub(super) fn retired(&self, image: &Fingerprint) -> PathBuf {
        self.images().join(format!("{RETIRED}{image}"))
    }

    /// Instances.
    pub(super) fn instances(&self) -> PathBuf {
        self.source.join("instances")
    }

    /// One instance.
    pub(super) fn instance(&self, instance: ObjectId) -> PathBuf {
        self.instances().join(instance.to_string())
    }

    /// Snapshots.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.source.join("snapshots")
    }

    /// One snapshot.
    pub(super) fn snapshot(&self, snapshot: ObjectId) -> PathBuf {
        self.snapshots().join(snapshot.to_string())
    }

    /// Where it is while it is taken.
    pub(super) fn taking(&self, snapshot: ObjectId) -> PathBuf {
        self.snapshots().join(format!(".new-{snapshot}"))
    }

    /// Where it is once it has been removed while in use.
    pub(super) fn retired_snapshot(&self, snapshot: ObjectId) -> PathBuf {
        self.snapshots().join(format!("{RETIRED}{snapshot}"))
    }

    /// Where an instance's next directory is made.
    pub(super) fn restoring(&self, instance: ObjectId) -> PathBuf {
        self.snapshots().join(format!(".restore-{instance}"))
    }

    /// Directory of what is held.
    pub(super) fn held(&self, held: Held) -> PathBuf {
        match held {
            Held::Instance(id) => self.instance(id),
            Held::Taken(id) => self.taking(id),
            Held::Snapshot(id) => self.snapshot(id),
        }
    }

    /// The pool within the pool in which `driver` keeps volumes.
    pub(super) fn volumes(&self, pool: &Pool, driver: &str) -> Pool {
        let mut volumes = Pool { driver: driver.to_owned(), ..pool.clone() };
        // What it is mounted from is asked for with that one, too.
        if let Some(source) = pool.config.get("source") {
            volumes.config.entry(WITHIN.to_owned()).or_insert_with(|| source.clone());
        }
        volumes.config.insert("source".to_owned(), self.source.join(VOLUMES).to_string_lossy().into_owned());
        volumes
    }

    /// Whether it is a pool, and not the directory under one that is not mounted.
    pub(super) fn is_marked(&self) -> bool {
        self.source.join(MARK).symlink_metadata().is_ok()
    }

    /// What is on its way out.
    pub(super) fn trash(&self) -> PathBuf {
        self.source.join(".trash")
    }
}

/// First part of a retirement mark's name.
pub(super) const RETIRED: &str = ".retired-";
