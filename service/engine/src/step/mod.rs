//! Steps: what can be done to the world and undone again, as data. Both directions are idempotent:
//! doing what is done and undoing what never happened are fine, because after a crash nobody knows.

mod backup;
mod disk;
mod filesystem;
mod image;
mod instance;
mod network;
mod nic;
mod proxy;
mod snapshot;
mod storage;
mod subject;
mod volume;

use crate::Result;
use crate::core::Core;
use crate::instance::{Attached, Wired};
use crate::job::JobHandle;
use crate::ports::{ImageFiles, ImportedImage, Origin, Progress, ProxyPlan, Running};
use lxhost_model::instance::Exit;
use lxhost_model::{Acl, Fingerprint, Network, ObjectId, Pool, Volume};
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use filesystem::OwnFilesystem;
pub(crate) use filesystem::ready;
pub use instance::memory_limit;
pub(crate) use nic::replug;
pub(crate) use proxy::repair;
pub use subject::{Leftover, Packing, Placed, Quota, Ran};

/// One step of a plan. It carries what its undo needs, for the records may be gone by then.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Step {
    /// Changes the file system that a pool brings with it.
    Filesystem(OwnFilesystem),
    /// Makes a pool's directories.
    SetUpPool(Pool),
    /// Makes what is missing in a pool that holds something. Not undone.
    AdoptPool(Pool),
    /// Removes a pool's directories. Not undone.
    TearDownPool(Pool),
    /// Takes the files of an image in: those that the verb carries, or those of a remote.
    TakeIn {
        /// Remote and name to fetch from; `None`: the verb carries the files.
        from: Option<(String, String)>,
    },
    /// Unpacks an image into a pool.
    UnpackImage {
        /// The pool.
        pool: Pool,
        /// The image.
        image: Fingerprint,
        /// Whether its root filesystem is a file of its own.
        split: bool,
    },
    /// Removes an unpacked image from a pool. Not undone.
    RemoveImageTree {
        /// The pool.
        pool: Pool,
        /// The image.
        image: Fingerprint,
        /// Whether roots on the pool are still made of it.
        used: bool,
    },
    /// Removes an image's files. Not undone.
    RemoveImageFiles(Fingerprint),
    /// Makes a root.
    CreateRoot {
        /// The pool.
        pool: Pool,
        /// Whose root.
        instance: ObjectId,
        /// Made from this image; `None`: empty.
        image: Option<Fingerprint>,
    },
    /// Copies a root.
    CopyRoot {
        /// The pool.
        pool: Pool,
        /// Of what.
        from: Origin,
        /// For whom.
        to: ObjectId,
    },
    /// Copies a snapshot.
    CopySnapshot {
        /// The pool.
        pool: Pool,
        /// Which.
        from: ObjectId,
        /// For which.
        to: ObjectId,
        /// Whose copy it is.
        instance: ObjectId,
    },
    /// Makes a copied root and its snapshots durable. Undone with the copying.
    KeepCopy {
        /// The pool.
        pool: Pool,
        /// Whose root.
        instance: ObjectId,
    },
    /// Removes a root. Not undone.
    RemoveRoot {
        /// The pool.
        pool: Pool,
        /// Whose root.
        instance: ObjectId,
    },
    /// Takes what a root holds for a snapshot.
    TakeSnapshot {
        /// The pool.
        pool: Pool,
        /// Whose root.
        instance: ObjectId,
        /// For which snapshot.
        snapshot: ObjectId,
        /// Whether the root is in use.
        live: bool,
    },
    /// Makes what was taken the snapshot. Undone with the taking.
    KeepSnapshot {
        /// The pool.
        pool: Pool,
        /// Whose root it was.
        instance: ObjectId,
        /// Which snapshot.
        snapshot: ObjectId,
    },
    /// Removes a snapshot. Not undone.
    RemoveSnapshot {
        /// The pool.
        pool: Pool,
        /// Which.
        snapshot: ObjectId,
    },
    /// Makes a root out of a snapshot, beside that of the instance.
    StageRestore {
        /// The pool.
        pool: Pool,
        /// For whom.
        instance: ObjectId,
        /// Of which snapshot.
        snapshot: ObjectId,
    },
    /// Puts it into the place of the instance's. Not undone.
    Restore {
        /// The pool.
        pool: Pool,
        /// Whose root.
        instance: ObjectId,
    },
    /// Forgets what was taken for a snapshot. Not undone.
    DropTaken {
        /// The pool.
        pool: Pool,
        /// Whose root it was.
        instance: ObjectId,
        /// For which snapshot.
        snapshot: ObjectId,
    },
    /// Bounds what a root or a volume may take.
    Quota(Box<Quota>),
    /// Makes a volume.
    CreateVolume {
        /// The pool.
        pool: Pool,
        /// The volume as it is going to be.
        volume: Box<Volume>,
    },
    /// Removes a volume. Not undone.
    RemoveVolume {
        /// The pool.
        pool: Pool,
        /// Which.
        volume: ObjectId,
    },
    /// Has a block volume have so many bytes. It is not made smaller; undone to what it had.
    Block {
        /// The pool within its pool.
        pool: Pool,
        /// Which.
        volume: ObjectId,
        /// Bytes that it had; `None`: it is new.
        from: Option<u64>,
        /// Bytes.
        to: u64,
    },
    /// Serves the files of a volume on the socket that the verb carries, until its other end is closed.
    Serve {
        /// The pool.
        pool: Pool,
        /// Which.
        volume: ObjectId,
    },
    /// Writes a backup into the descriptor that the verb carries. Not undone.
    PackBackup(Box<Packing>),
    /// Makes an image of a root and takes it in.
    PackImage(Box<Packing>),
    /// Fills roots from the backup that the verb carries. Undone with the roots.
    UnpackBackup {
        /// The pool.
        pool: Pool,
        /// Which roots.
        roots: Vec<Placed>,
    },
    /// Fills roots of a pool with what those of another hold, which have the same names. Undone with the roots.
    Transfer {
        /// What is read.
        from: Box<Packing>,
        /// The other pool.
        pool: Pool,
        /// Its roots.
        roots: Vec<Placed>,
    },
    /// Removes what lies on a pool that an instance or volume is not on. Not undone.
    ClearOut(Box<Leftover>),
    /// Makes a root that was filled a snapshot.
    AdoptSnapshot {
        /// The pool.
        pool: Pool,
        /// Which.
        snapshot: ObjectId,
    },
    /// Brings a network up.
    NetworkUp(Network),
    /// Brings a network up that may be there already. Not undone.
    AdoptNetwork(Network),
    /// Takes a network down. Not undone, unless that was to be confirmed.
    NetworkDown(Network),
    /// Undoes the change of a network that waits to be confirmed. Not undone.
    NetworkBack(Network),
    /// Writes the firewall's rules with an ACL as it is going to be.
    Filter(Acl),
    /// Starts an instance.
    Launch(Ran),
    /// Asks an instance to shut down and waits for its end.
    ShutDown {
        /// The instance.
        instance: ObjectId,
        /// Seconds it has; 0 = no limit.
        seconds: u64,
    },
    /// Kills everything of an instance. Not undone.
    Kill(Ran),
    /// Forgets what a run had announced: leases' names, live facts. Not undone.
    Settle(Ran),
    /// Freezes an instance.
    Freeze(ObjectId),
    /// Lets an instance run again.
    Thaw(ObjectId),
    /// Changes an interface of a running instance, gives it one or takes it away.
    Rewire {
        /// The instance.
        instance: ObjectId,
        /// What it has.
        from: Option<Box<Wired>>,
        /// What it shall have.
        to: Option<Box<Wired>>,
    },
    /// Gives a running instance a disk.
    AttachDisk {
        /// The instance.
        instance: ObjectId,
        /// The disk.
        disk: Box<Attached>,
    },
    /// Takes a disk from a running instance.
    DetachDisk {
        /// The instance.
        instance: ObjectId,
        /// The disk.
        disk: Box<Attached>,
    },
    /// Changes a proxy of a running instance, gives it one or takes it away.
    Proxy {
        /// What it has.
        from: Option<Box<ProxyPlan>>,
        /// What it shall have.
        to: Option<Box<ProxyPlan>>,
    },
}

/// What steps hand to each other and to the verb's end.
#[derive(Default)]
pub struct Outcome {
    /// Files of the caller, until they are taken in.
    pub files: Option<ImageFiles>,
    /// Where a backup comes from or goes, until it has been read or written.
    pub backup: Option<OwnedFd>,
    /// Where files are served, until that begins.
    pub served: Option<OwnedFd>,
    /// The image that was taken in.
    pub imported: Option<ImportedImage>,
    /// The run that was started.
    pub running: Option<Running>,
    /// How a guest ended that was asked to stop.
    pub exit: Option<Exit>,
    /// Whether a guest did not stop in its time.
    pub killed: bool,
}

/// What a step works with.
pub(crate) struct Context<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) job: Option<&'a JobHandle>,
    /// The verb whose step it is; empty when it is undone or done again.
    verb: &'a str,
    pub(crate) outcome: Outcome,
}

impl<'a> Context<'a> {
    pub(crate) fn new(core: &'a Arc<Core>, job: Option<&'a JobHandle>, verb: &'a str, outcome: Outcome) -> Self {
        Context { core, job, verb, outcome }
    }

    /// A failpoint between two effects of one step.
    pub(crate) async fn at(&self, step: &str, place: &str) -> Result<()> {
        if self.verb.is_empty() { Ok(()) } else { self.core.faults.at(&[self.verb, step, place]).await }
    }
}

impl Progress for Context<'_> {
    fn report(&self, phase: &str, fraction: f64) {
        if let Some(job) = self.job {
            job.report(phase, fraction);
        }
    }
}

impl Step {
    /// What the step does, in a few words for people who wait.
    pub(crate) fn phase(&self) -> &'static str {
        match self {
            Step::Filesystem(change) => change.phase(),
            Step::SetUpPool(_) => "setting up pool",
            Step::AdoptPool(_) => "adopting pool",
            Step::TearDownPool(_) => "removing pool",
            Step::TakeIn { from: Some(_) } => "fetching image",
            Step::TakeIn { from: None } => "reading image",
            Step::UnpackImage { .. } => "unpacking image",
            Step::RemoveImageTree { .. } | Step::RemoveImageFiles(_) => "removing image",
            Step::CreateRoot { .. } => "making root",
            Step::CopyRoot { .. } | Step::KeepCopy { .. } => "copying root",
            Step::CopySnapshot { .. } => "copying snapshots",
            Step::RemoveRoot { .. } => "removing root",
            Step::TakeSnapshot { .. } | Step::KeepSnapshot { .. } => "taking snapshot",
            Step::RemoveSnapshot { .. } => "removing snapshot",
            Step::StageRestore { .. } | Step::Restore { .. } => "restoring root",
            Step::DropTaken { .. } => "cleaning up",
            Step::Quota(_) => "setting the size",
            Step::CreateVolume { .. } => "making volume",
            Step::RemoveVolume { .. } => "removing volume",
            Step::Block { .. } => "setting the size",
            Step::Serve { .. } => "serving files",
            Step::PackBackup(_) => "writing backup",
            Step::PackImage(_) => "making image",
            Step::UnpackBackup { .. } | Step::AdoptSnapshot { .. } => "unpacking backup",
            Step::Transfer { .. } => "copying root",
            Step::ClearOut(_) => "cleaning up",
            Step::NetworkUp(_) | Step::AdoptNetwork(_) => "setting up network",
            Step::NetworkDown(_) => "removing network",
            Step::NetworkBack(_) => "undoing the change of a network",
            Step::Filter(_) => "writing firewall rules",
            Step::Launch(_) => "starting",
            Step::ShutDown { .. } => "waiting for the guest to stop",
            Step::Kill(_) => "killing",
            Step::Settle(_) => "cleaning up",
            Step::Freeze(_) => "freezing",
            Step::Thaw(_) => "thawing",
            Step::Rewire { .. } => "changing interfaces",
            Step::AttachDisk { .. } => "attaching disks",
            Step::DetachDisk { .. } => "detaching disks",
            Step::Proxy { .. } => "changing proxies",
        }
    }

    /// What the step is called, in failpoints.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Step::Filesystem(change) => change.name(),
            Step::SetUpPool(_) => "set-up-pool",
            Step::AdoptPool(_) => "adopt-pool",
            Step::TearDownPool(_) => "tear-down-pool",
            Step::TakeIn { .. } => "take-in",
            Step::UnpackImage { .. } => "unpack-image",
            Step::RemoveImageTree { .. } => "remove-image-tree",
            Step::RemoveImageFiles(_) => "remove-image-files",
            Step::CreateRoot { .. } => "create-root",
            Step::CopyRoot { .. } => "copy-root",
            Step::CopySnapshot { .. } => "copy-snapshot",
            Step::KeepCopy { .. } => "keep-copy",
            Step::RemoveRoot { .. } => "remove-root",
            Step::TakeSnapshot { .. } => "take-snapshot",
            Step::KeepSnapshot { .. } => "keep-snapshot",
            Step::RemoveSnapshot { .. } => "remove-snapshot",
            Step::StageRestore { .. } => "stage-restore",
            Step::Restore { .. } => "restore",
            Step::DropTaken { .. } => "drop-taken",
            Step::Quota(_) => "quota",
            Step::CreateVolume { .. } => "create-volume",
            Step::RemoveVolume { .. } => "remove-volume",
            Step::Block { .. } => "block",
            Step::Serve { .. } => "serve",
            Step::PackBackup(_) => "pack-backup",
            Step::PackImage(_) => "pack-image",
            Step::UnpackBackup { .. } => "unpack-backup",
            Step::Transfer { .. } => "transfer",
            Step::ClearOut(_) => "clear-out",
            Step::AdoptSnapshot { .. } => "adopt-snapshot",
            Step::NetworkUp(_) => "network-up",
            Step::AdoptNetwork(_) => "adopt-network",
            Step::NetworkDown(_) => "network-down",
            Step::NetworkBack(_) => "network-back",
            Step::Filter(_) => "filter",
            Step::Launch(_) => "launch",
            Step::ShutDown { .. } => "shut-down",
            Step::Kill(_) => "kill",
            Step::Settle(_) => "settle",
            Step::Freeze(_) => "freeze",
            Step::Thaw(_) => "thaw",
            Step::Rewire { .. } => "rewire",
            Step::AttachDisk { .. } => "attach-disk",
            Step::DetachDisk { .. } => "detach-disk",
            Step::Proxy { .. } => "proxy",
        }
    }

    /// Does it.
    pub(crate) async fn act(&self, context: &mut Context<'_>) -> Result<()> {
        if !filesystem::reach(context, self).await? {
            return match self {
                Step::RemoveRoot { instance, .. } => context.core.ports.launcher.forget(*instance).await,
                _ => Ok(()),
            };
        }
        match self {
            Step::Filesystem(change) => change.act(context).await,
            Step::SetUpPool(pool) | Step::AdoptPool(pool) => storage::set_up(context, pool).await,
            Step::TearDownPool(pool) => storage::tear_down(context, pool).await,
            Step::TakeIn { from } => image::take_in(context, from.as_ref()).await,
            Step::UnpackImage { pool, image, split } => image::unpack(context, pool, image, *split).await,
            Step::RemoveImageTree { pool, image, used } => image::remove_tree(context, pool, image, *used).await,
            Step::RemoveImageFiles(image) => context.core.ports.images.remove(image).await,
            Step::CreateRoot { pool, instance, image } => storage::create_root(context, pool, *instance, image.as_ref()).await,
            Step::CopyRoot { pool, from, to } => storage::copy_root(context, pool, *from, *to).await,
            Step::CopySnapshot { pool, from, to, instance } => snapshot::copy(context, pool, (*from, *to), *instance).await,
            Step::KeepCopy { pool, instance } => storage::keep_copy(context, pool, *instance).await,
            Step::RemoveRoot { pool, instance } => storage::remove_root(context, pool, *instance).await,
            Step::TakeSnapshot { pool, instance, snapshot, live } => {
                snapshot::take(context, pool, *instance, (*snapshot, *live)).await
            }
            Step::KeepSnapshot { pool, instance, snapshot } => snapshot::keep(context, pool, *instance, *snapshot).await,
            Step::RemoveSnapshot { pool, snapshot } => snapshot::remove(context, pool, *snapshot).await,
            Step::StageRestore { pool, instance, snapshot } => snapshot::stage(context, pool, *instance, *snapshot).await,
            Step::Restore { pool, instance } => snapshot::restore(context, pool, *instance).await,
            Step::DropTaken { pool, instance, snapshot } => snapshot::undo(context, pool, *instance, *snapshot).await,
            Step::Quota(quota) => storage::bound(context, quota, quota.to).await,
            Step::CreateVolume { pool, volume } => volume::create(context, pool, volume).await,
            Step::RemoveVolume { pool, volume } => volume::remove(context, pool, *volume).await,
            Step::Block { pool, volume, to, .. } => volume::block(context, pool, *volume, (*to, false)).await,
            Step::Serve { pool, volume } => volume::serve(context, pool, *volume).await,
            Step::PackBackup(packing) => backup::pack(context, packing).await,
            Step::PackImage(packing) => backup::publish(context, packing).await,
            Step::UnpackBackup { pool, roots } => backup::unpack(context, pool, roots).await,
            Step::Transfer { from, pool, roots } => backup::transfer(context, from, pool, roots).await,
            Step::ClearOut(left) => storage::clear_out(context, left).await,
            Step::AdoptSnapshot { pool, snapshot } => snapshot::adopt(context, pool, *snapshot).await,
            Step::NetworkUp(network) | Step::AdoptNetwork(network) => network::up(context, network).await,
            Step::NetworkDown(network) => network::down(context, network).await,
            Step::NetworkBack(network) => network::back(context, network).await,
            Step::Filter(acl) => network::filter(context, acl).await,
            Step::Launch(ran) => instance::launch(context, ran).await,
            Step::ShutDown { instance, seconds } => instance::shut_down(context, *instance, *seconds).await,
            Step::Kill(ran) => instance::kill(context, ran).await,
            Step::Settle(ran) => instance::settle(context, ran).await,
            Step::Freeze(id) => context.core.ports.launcher.freeze(*id).await,
            Step::Thaw(id) => context.core.ports.launcher.thaw(*id).await,
            Step::Rewire { instance, from, to } => nic::rewire(context, *instance, from.as_deref(), to.as_deref()).await,
            Step::AttachDisk { instance, disk } => disk::attach(context, *instance, disk).await,
            Step::DetachDisk { instance, disk } => disk::detach(context, *instance, disk).await,
            Step::Proxy { from, to } => proxy::change(context, from.as_deref(), to.as_deref()).await,
        }
    }

    /// Undoes it, whether or not it was done.
    pub(crate) async fn undo(&self, context: &mut Context<'_>) -> Result<()> {
        // What cannot be reached may never have been there.
        if let Err(error) = filesystem::reach(context, self).await {
            tracing::debug!(%error, "{} is undone without its pool", self.name());
        }
        match self {
            Step::Filesystem(change) => change.undo(context).await,
            Step::SetUpPool(pool) => storage::tear_down(context, pool).await,
            Step::UnpackImage { pool, image, .. } => image::remove_tree(context, pool, image, false).await,
            Step::CreateRoot { pool, instance, .. } => storage::remove_root(context, pool, *instance).await,
            Step::CopyRoot { pool, from, to } => storage::undo_copy(context, pool, *from, *to).await,
            Step::TakeSnapshot { pool, instance, snapshot, .. } | Step::CopySnapshot { pool, instance, to: snapshot, .. } => {
                snapshot::undo(context, pool, *instance, *snapshot).await
            }
            Step::StageRestore { pool, instance, .. } => snapshot::unstage(context, pool, *instance).await,
            Step::AdoptSnapshot { pool, snapshot } => snapshot::remove(context, pool, *snapshot).await,
            Step::Quota(quota) => storage::bound(context, quota, quota.from).await,
            Step::Block { pool, volume, from: Some(from), .. } => volume::block(context, pool, *volume, (*from, true)).await,
            Step::CreateVolume { pool, volume } => volume::remove(context, pool, volume.id).await,
            Step::NetworkUp(network) => network::down_if_unknown(context, network).await,
            Step::NetworkDown(network) => network::up_again(context, network).await,
            Step::Filter(_) => network::filter_as_recorded(context).await,
            Step::Launch(ran) => {
                instance::kill(context, ran).await?;
                instance::settle(context, ran).await
            }
            Step::Freeze(id) => context.core.ports.launcher.thaw(*id).await,
            Step::Rewire { instance, from, to } => nic::rewire(context, *instance, to.as_deref(), from.as_deref()).await,
            Step::AttachDisk { instance, disk } => disk::detach(context, *instance, disk).await,
            Step::DetachDisk { instance, disk } => disk::attach(context, *instance, disk).await,
            Step::Proxy { from, to } => proxy::change(context, to.as_deref(), from.as_deref()).await,
            Step::TakeIn { .. } | Step::PackImage(_) => image::give_back(context).await,
            Step::TearDownPool(_)
            | Step::AdoptPool(_)
            | Step::AdoptNetwork(_)
            | Step::RemoveImageTree { .. }
            | Step::RemoveImageFiles(_)
            | Step::RemoveRoot { .. }
            | Step::KeepCopy { .. }
            | Step::KeepSnapshot { .. }
            | Step::DropTaken { .. }
            | Step::RemoveVolume { .. }
            | Step::Block { from: None, .. }
            | Step::Serve { .. }
            | Step::PackBackup(_)
            | Step::UnpackBackup { .. }
            | Step::Transfer { .. }
            | Step::ClearOut(_)
            | Step::RemoveSnapshot { .. }
            | Step::Restore { .. }
            | Step::NetworkBack(_)
            | Step::ShutDown { .. }
            | Step::Kill(_)
            | Step::Settle(_)
            | Step::Thaw(_) => Ok(()),
        }
    }
}

/// Does what may fail for a moment once more.
async fn twice<F: Future<Output = Result<()>>>(work: impl Fn() -> F) -> Result<()> {
    match work().await {
        Ok(()) => Ok(()),
        Err(_) => work().await,
    }
}
