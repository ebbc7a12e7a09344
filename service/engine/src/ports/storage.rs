//! Pools: where unpacked images and roots of instances lie. One implementation per driver, chosen
//! by the record's `driver` in the registry of `drivers`.

use crate::ports::{MountSpec, RootSpec};
use async_trait::async_trait;
use lxhost_model::volume::Top;
use lxhost_model::{Fingerprint, ObjectId, Pool, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of the file system under a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// All.
    pub total: u64,
    /// Free.
    pub free: u64,
}

/// What a root is copied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Origin {
    /// The root of an instance.
    Root {
        /// Whose.
        instance: ObjectId,
        /// Whether it is in use; the guest stands still then where it has to.
        live: bool,
    },
    /// A snapshot.
    Snapshot(ObjectId),
}

/// Something in a pool that has a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Held {
    /// An instance.
    Instance(ObjectId),
    /// A snapshot of an instance that was taken and is not kept.
    Taken(ObjectId),
    /// A snapshot.
    Snapshot(ObjectId),
}

impl Held {
    /// Its id.
    pub fn id(self) -> ObjectId {
        match self {
            Held::Instance(id) | Held::Taken(id) | Held::Snapshot(id) => id,
        }
    }
}

/// What a definition that lies beside data is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defined {
    /// The pool.
    Pool,
    /// An instance.
    Instance(ObjectId),
    /// A snapshot.
    Snapshot(ObjectId),
}

/// A definition that was found. Nobody has checked what it says.
#[derive(Debug, Clone)]
pub struct Definition<T = Defined> {
    /// What it lies beside.
    pub of: T,
    /// Its text, or why there is none.
    pub text: Result<String>,
}

/// A directory with the mark of a pool.
#[derive(Debug, Clone)]
pub struct Lying {
    /// Which.
    pub source: PathBuf,
    /// What the mark says: the pool's id.
    pub id: String,
    /// The pool's definition.
    pub text: Result<String>,
}

/// Storage of one kind. Methods are idempotent: making what exists and removing what is gone is fine.
#[async_trait]
pub trait PoolDriver: Send + Sync {
    /// Makes the pool's directories.
    async fn set_up(&self, pool: &Pool) -> Result<()>;

    /// Removes the pool's directories; refuses (`InUse`) while anything is in it.
    async fn tear_down(&self, pool: &Pool) -> Result<()>;

    /// Directory in which an image is to be unpacked now: fresh and empty (leftovers are removed).
    async fn stage_image(&self, pool: &Pool, image: &Fingerprint) -> Result<PathBuf>;

    /// Makes the staged tree the image's tree, durably. Nothing is visible before.
    async fn commit_image(&self, pool: &Pool, image: &Fingerprint) -> Result<()>;

    /// Whether the image's tree is there.
    async fn has_image(&self, pool: &Pool, image: &Fingerprint) -> Result<bool>;

    /// Removes an image's tree and what was staged. Instances made from it must go on: a driver
    /// whose roots need the tree keeps it until the last of them is gone.
    async fn remove_image(&self, pool: &Pool, image: &Fingerprint, used: bool) -> Result<()>;

    /// Makes an instance's root from an image's tree (`None`: empty), durably.
    async fn create_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> Result<()>;

    /// Makes a root that holds what `from` does. The original goes on to hold what it did, and may be copied by others
    /// meanwhile.
    async fn copy_root(&self, pool: &Pool, from: Origin, to: ObjectId) -> Result<()>;

    /// Undoes that, wherever it was.
    async fn undo_copy(&self, pool: &Pool, _from: Origin, to: ObjectId) -> Result<()> {
        self.remove_root(pool, to).await
    }

    /// Makes a snapshot, for another instance, that holds what `from` does. Undone as one that was taken.
    async fn copy_snapshot(&self, pool: &Pool, from: ObjectId, to: ObjectId) -> Result<()>;

    /// Makes durable what was copied for an instance.
    async fn keep_copy(&self, pool: &Pool, to: ObjectId) -> Result<()>;

    /// Removes an instance's root and definition; they do not come back after a power cut.
    async fn remove_root(&self, pool: &Pool, instance: ObjectId) -> Result<()>;

    /// How to mount an instance's root.
    fn root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>) -> RootSpec;

    /// Directories that make up a root, the topmost first; that one can be filled while it is empty and not in use.
    fn layers(&self, pool: &Pool, held: Held, image: Option<&Fingerprint>) -> Vec<PathBuf>;

    /// Has the root of what is held at hand under the paths of `root` and `layers`, for whoever looks into it or fills it.
    async fn open(&self, _pool: &Pool, _held: Held) -> Result<()> {
        Ok(())
    }

    /// Makes a root that was made under the id of a snapshot, and filled, that snapshot, durably. Undone by
    /// `remove_root` and `remove_snapshot`.
    async fn adopt_snapshot(&self, pool: &Pool, snapshot: ObjectId) -> Result<()>;

    /// Writes files of the daemon into the root before a start (`/etc/hostname`, `/etc/hosts`, network
    /// configuration of an image without one), confined to the root whatever the guest planted there.
    async fn prepare_root(&self, pool: &Pool, instance: ObjectId, image: Option<&Fingerprint>, hostname: &str) -> Result<()>;

    /// Makes durable what `prepare_root` wrote, while the guest starts. Until then it is written at every start.
    async fn keep_root(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()>;

    /// The host name for which a root was last prepared, durably; `None`: it was not yet.
    async fn prepared_for(&self, pool: &Pool, held: Held) -> Result<Option<String>>;

    /// Notes the same of the root of an instance that was prepared elsewhere.
    async fn note_prepared(&self, pool: &Pool, instance: ObjectId, hostname: &str) -> Result<()>;

    /// Directories of the instance's own for those of `places` (absolute paths inside) where containers keep
    /// layers, if the root cannot carry an overlay. Made when missing; they go with the root.
    async fn layer_dirs(&self, _pool: &Pool, _instance: ObjectId, _places: &[&str]) -> Result<Vec<MountSpec>> {
        Ok(Vec::new())
    }

    /// The same of what may be no instance any more, without making any.
    fn kept_layer_dirs(&self, _pool: &Pool, _held: Held, _places: &[&str]) -> Vec<MountSpec> {
        Vec::new()
    }

    /// Writes a definition beside what it is about, durably and atomically, unless it says so already.
    async fn write_definition(&self, pool: &Pool, of: Defined, yaml: &str) -> Result<()>;

    /// Definitions beside roots and snapshots that are there, whoever wrote them.
    async fn definitions(&self, pool: &Pool) -> Result<Vec<Definition>>;

    /// Whether a snapshot is of one moment although the guest goes on; else it has to stand still.
    fn snapshots_at_once(&self) -> bool {
        false
    }

    /// Takes what the root of an instance holds, for a snapshot that is not there yet. `live`: the root is in use, and
    /// the guest stands still where it has to.
    async fn take_snapshot(&self, pool: &Pool, instance: ObjectId, snapshot: ObjectId, live: bool) -> Result<()>;

    /// Makes what was taken the snapshot, durably. Nothing of it counts before.
    async fn keep_snapshot(&self, pool: &Pool, instance: ObjectId, snapshot: ObjectId) -> Result<()>;

    /// Undoes both, wherever they were: the instance has its root as if they had never been.
    async fn undo_snapshot(&self, pool: &Pool, instance: ObjectId, snapshot: ObjectId) -> Result<()>;

    /// Removes a snapshot; roots and snapshots that were made of it go on.
    async fn remove_snapshot(&self, pool: &Pool, snapshot: ObjectId) -> Result<()>;

    /// Makes beside the root of an instance one that holds what the snapshot does, durably.
    async fn stage_restore(&self, pool: &Pool, instance: ObjectId, snapshot: ObjectId) -> Result<()>;

    /// Puts it into the place of the instance's root, at once and durably. The root may not be in use.
    async fn restore(&self, pool: &Pool, instance: ObjectId) -> Result<()>;

    /// Removes it, if it was not put into its place.
    async fn undo_restore(&self, pool: &Pool, instance: ObjectId) -> Result<()>;

    /// Begins to remove what a crash left in the pool half made or half removed.
    async fn sweep(&self, pool: &Pool) -> Result<()>;

    /// The pool within the pool in which volumes lie. There, each is a root of its own: a plain tree, which snapshots
    /// and copies are made of as of any root.
    fn volumes(&self, pool: &Pool) -> Pool;

    /// Makes a root for a volume: an empty tree with that top directory, durably. Its pool is one of `volumes`, which is
    /// made when it is missing.
    async fn create_volume(&self, volumes: &Pool, volume: ObjectId, top: Top) -> Result<()>;

    /// Bytes that the root of an instance, or a volume, takes; 0: it is not there. What other roots share counts where it
    /// counts for `limit`.
    async fn used(&self, pool: &Pool, of: ObjectId) -> Result<u64>;

    /// Whether what roots and volumes take can be limited; `Unsupported`, saying what that needs, when not.
    async fn can_limit(&self, pool: &Pool) -> Result<()>;

    /// Limits the bytes that the root of an instance, or a volume, may take, at once; `None`: no more. `live`: it is in use.
    /// Of what is not there, nothing is to be taken away.
    async fn limit(&self, pool: &Pool, of: ObjectId, bytes: Option<u64>, live: bool) -> Result<()>;

    /// Room.
    async fn usage(&self, pool: &Pool) -> Result<Usage>;
}

/// The registry of pool drivers.
#[async_trait]
pub trait PoolKinds: Send + Sync {
    /// The driver called `name`.
    ///
    /// # Errors
    /// `Unsupported`, naming those there are.
    fn driver(&self, name: &str) -> Result<Arc<dyn PoolDriver>>;

    /// Pools that lie in the state directory or in `sources`.
    ///
    /// # Errors
    /// `InvalidArgs` for a source that is not a plain absolute path or no pool.
    async fn lying(&self, sources: &[PathBuf]) -> Result<Vec<Lying>>;

    /// Name of the driver that suits the state directory: `btrfs` on btrfs, else `overlay`.
    async fn default_driver(&self) -> Result<&'static str>;

    /// Names of all drivers.
    fn names(&self) -> Vec<&'static str>;
}
