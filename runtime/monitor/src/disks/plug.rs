//! Mounts and unmounts in a container that runs, by a process that takes the rights of the container's root before it
//! looks at a path inside, and that ends by itself when the guest keeps it waiting.
//!
//! What comes is first copied into a namespace of the container's user namespace: that locks its flags, or root inside
//! would make a read-only disk writable (mount_namespaces(7)). A clone of the copy may be taken away again.

use std::os::fd::AsFd;
use std::path::Path;

use lxhost_contract::{Channel, Mount, Refused};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags, openat, statx};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};

use super::{Identity, Place, refused, source, target};
use crate::failure::{During, Failure};
use crate::launch::root::Owner;
use crate::launch::stage::{Stage, clone_tree, onto};
use crate::sys::birth::{Birth, child, unshare};
use crate::sys::{descriptors, identity, signals};

/// Seconds that a guest, or a file system of the host, may let us wait.
const PATIENCE: u32 = 20;
/// Place of the disk on the stage.
const DISK: &str = "disk";

/// First byte of a report: done, and the identity of what is mounted follows, if anything.
const DONE: u8 = b'd';
/// First byte of a report: not done, and a failure follows.
const FAILED: u8 = b'f';

/// Starts mounting a disk.
pub(super) fn attach(place: Place<'_>, disk: &Mount) -> Result<Channel, Failure> {
    let stage = place.dir.make_stage()?;
    begin(place, || mount(place, disk, &stage))
}

/// Starts unmounting what has this identity.
pub(super) fn detach(place: Place<'_>, target: &Path, identity: Identity) -> Result<Channel, Failure> {
    begin(place, || take_away(place, target, identity).map(|()| None))
}

/// What the process has done.
pub(super) fn read(report: &Channel) -> Result<Option<Identity>, Refused> {
    let bytes = report.receive().map(|received| received.bytes).unwrap_or_default();
    let failure = match bytes.split_first() {
        Some((&DONE, [])) => return Ok(None),
        Some((&DONE, identity)) => match identity_of(identity) {
            Some(identity) => return Ok(Some(identity)),
            None => Failure::new("report", Errno::PROTO),
        },
        Some((&FAILED, failure)) => Failure::from_bytes(failure).unwrap_or_else(|| Failure::new("report", Errno::PROTO)),
        _ => Failure::new("the guest keeps its paths waiting", Errno::TIMEDOUT),
    };
    Err(refused(&failure))
}

fn identity_of(bytes: &[u8]) -> Option<Identity> {
    let (major, rest) = bytes.split_first_chunk::<4>()?;
    let (minor, rest) = rest.split_first_chunk::<4>()?;
    let inode = rest.first_chunk::<8>()?;
    Some(Identity(u32::from_ne_bytes(*major), u32::from_ne_bytes(*minor), u64::from_ne_bytes(*inode)))
}

fn begin(place: Place<'_>, work: impl FnOnce() -> Result<Option<Identity>, Failure>) -> Result<Channel, Failure> {
    let (report, theirs) = crate::launch::pair()?;
    let born = child(Birth::default(), || {
        signals::reset();
        signals::alarm(PATIENCE);
        let kept = descriptors::keep_only(&[theirs.as_fd(), place.init.pidfd.as_fd()]).during("close descriptors");
        let mut message = vec![DONE];
        match kept.and_then(|()| work()) {
            Ok(None) => {}
            Ok(Some(Identity(major, minor, inode))) => {
                message.extend([major.to_ne_bytes(), minor.to_ne_bytes()].concat());
                message.extend(inode.to_ne_bytes());
            }
            Err(failure) => {
                message = vec![FAILED];
                message.extend(failure.to_bytes());
            }
        }
        i32::from(theirs.send(&message, &[]).is_err())
    });
    born.during("clone").map(|_| report)
}

fn mount(place: Place<'_>, disk: &Mount, stage: &Path) -> Result<Option<Identity>, Failure> {
    let what = || format!("mount {}", disk.target.display());
    let namespace = format!("/proc/{}/ns/user", place.init.pid.as_raw_nonzero());
    let ids = openat(CWD, namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).during("user namespace")?;
    let Some(tree) = source::tree(disk, Owner { root: place.root, ids: ids.as_fd() })? else { return Ok(None) };
    let identity = Identity::of(&tree).during(what())?;
    let stage = Stage::set_up(stage)?;
    stage.place(&tree, DISK).during(what())?;
    drop(tree);
    move_into_thread_name_spaces(place.init.pidfd.as_fd(), ThreadNameSpaceType::USER).during("enter the container")?;
    unshare(UnshareFlags::NEWNS).during("unshare mounts")?;
    // The working directory has followed into the copy, open descriptors have not.
    let copy = openat(CWD, DISK, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during(what())?;
    let tree = clone_tree(copy.as_fd(), Path::new(""), true).during(what())?;
    drop(copy);
    enter(place, ThreadNameSpaceType::MOUNT)?;
    let kind = rustix::fs::fstat(&tree).during(what())?.st_mode;
    let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during(what())?;
    let file = !FileType::from_raw_mode(kind).is_dir();
    let target = target::make(&root, &disk.target, file, |make| make()).during(what())?;
    onto(&tree, target.as_fd()).during(what())?;
    Ok(Some(identity))
}

fn take_away(place: Place<'_>, path: &Path, identity: Identity) -> Result<(), Failure> {
    let what = || format!("unmount {}", path.display());
    enter(place, ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT)?;
    let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during(what())?;
    let found = match target::open(&root, path) {
        // The guest has taken it away, and its place.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other.during(what())?,
    };
    let is_mount = statx(&found, "", AtFlags::EMPTY_PATH, StatxFlags::INO).during(what())?;
    if !is_mount.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(());
    }
    if Identity::of(&found).during(what())? != identity {
        return Err(Failure::new(format!("the guest has mounted something else at {}", path.display()), Errno::BUSY));
    }
    // It would be in use by ourselves.
    drop(found);
    unmount(path, UnmountFlags::NOFOLLOW).during(what())
}

fn enter(place: Place<'_>, spaces: ThreadNameSpaceType) -> Result<(), Failure> {
    move_into_thread_name_spaces(place.init.pidfd.as_fd(), spaces).during("enter the container")?;
    identity::become_user(0, 0, &[]).during("become root of the container")
}
