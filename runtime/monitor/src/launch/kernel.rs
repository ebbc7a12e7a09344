//! proc and sysfs of the container, mounted by host root into the stage, with what they must not show covered.
//!
//! Both belong to namespaces (pid, network) and are mounted for those of the process that mounts. A helper with host
//! rights therefore enters them for a moment. Mounted by the container itself they would be its own to unmask.

use std::os::fd::AsFd;
use std::path::Path;

use lxhost_contract::Launch;
use rustix::mount::MountAttrFlags;
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::failure::{During, Failure};
use crate::launch::stage::{Stage, new_mount, onto};
use crate::sys::birth::{Birth, Child, child};

/// The kernel lets a container mount proc and sysfs of its own only while it sees unmasked ones.
const NESTING: [(&str, &str); 2] = [("proc", "host/proc"), ("sysfs", "host/sys")];

/// Makes the directories for those, while the stage can still be written to.
pub(crate) fn make_places(stage: &Stage, launch: &Launch) -> Result<(), Failure> {
    let wanted = if launch.nesting { &NESTING[..] } else { &[] };
    wanted.iter().try_for_each(|(_, place)| stage.make(place).during(*place))
}

/// Mounts `/proc` and `/sys` for the namespaces of `payload`, then the read-only and masked paths.
pub(crate) fn mount_kernel(stage: &Stage, launch: &Launch, payload: &Child, owner: (u32, u32)) -> Result<(), Failure> {
    let what = "proc and sysfs";
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).during(what)?;
    let helper = child(Birth::default(), || {
        let spaces = ThreadNameSpaceType::PROCESS_ID | ThreadNameSpaceType::NETWORK;
        let entered = move_into_thread_name_spaces(payload.pidfd.as_fd(), spaces).during("enter pid and net");
        let inner = entered.and_then(|()| {
            child(Birth::default(), || report(&theirs, mount_all(stage, launch, owner))).during("clone into pid namespace")
        });
        match inner {
            Ok(inner) => wait_for(&inner),
            Err(failure) => report(&theirs, Err(failure)),
        }
    })
    .during(what)?;
    drop(theirs);
    let status = wait_for(&helper);
    let mut bytes = [0; 512];
    let read = rustix::io::read(&ours, &mut bytes).unwrap_or(0);
    match bytes.get(..read).and_then(Failure::from_bytes) {
        Some(failure) => Err(failure),
        None if status == 0 => Ok(()),
        None => Err(Failure::new(what, rustix::io::Errno::IO)),
    }
}

fn wait_for(child: &Child) -> i32 {
    let waited = waitpid(Some(child.pid), WaitOptions::empty()).ok().flatten();
    waited.and_then(|(_, status)| status.exit_status()).unwrap_or(1)
}

fn report(pipe: &std::os::fd::OwnedFd, result: Result<(), Failure>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            let _ = rustix::io::write(pipe, &failure.to_bytes());
            1
        }
    }
}

fn mount_all(stage: &Stage, launch: &Launch, owner: (u32, u32)) -> Result<(), Failure> {
    let safe = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    for (kind, path, attributes) in [("proc", "/proc", safe), ("sysfs", "/sys", safe | MountAttrFlags::MOUNT_ATTR_RDONLY)] {
        let what = || format!("mount {path}");
        let tree = new_mount(kind, &[("source", kind)], attributes).during(what())?;
        let target = stage.make_in_root(Path::new(path), owner, false).during(what())?;
        onto(tree, target.as_fd()).during(what())?;
    }
    if launch.nesting {
        for (kind, place) in NESTING {
            let tree = new_mount(kind, &[("source", kind)], safe).during(format!("mount {place}"))?;
            stage.attach(tree, place).during(format!("mount {place}"))?;
        }
    }
    for path in &launch.read_only {
        stage.read_only(path).during(format!("read-only {}", path.display()))?;
    }
    for path in &launch.masked {
        stage.mask(path).during(format!("mask {}", path.display()))?;
    }
    Ok(())
}
