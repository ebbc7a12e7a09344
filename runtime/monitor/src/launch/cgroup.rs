//! The instance's part of the cgroup tree (cgroups(7)): `supervisor/` for the monitor, `payload/` for the container.
//!
//! PID 1 migrates one process, once, into the scope. That process becomes the monitor by a copy of itself that is born
//! in `supervisor/`: a second migration would cost another ten milliseconds.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::failure::{During, Failure};
use crate::sys::birth::{Birth, Side, clone, exit};

/// The leaf below `payload/` in which exec sessions are born: a cgroup with controllers enabled takes no process.
const SESSIONS: &str = ".lxhost";

/// The scope's directories.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    scope: OwnedFd,
    payload: OwnedFd,
    owner: (u32, u32),
}

impl Cgroup {
    /// Makes both directories and goes on as a process in `supervisor/`. The calling process ends here.
    pub(crate) fn enter(path: &Path, owner: (u32, u32)) -> Result<Self, Failure> {
        let scope = directory(CWD, path).during(format!("scope {}", path.display()))?;
        make(&scope, "supervisor").during("cgroup supervisor")?;
        make(&scope, "payload").during("cgroup payload")?;
        let supervisor = directory(&scope, "supervisor").during("cgroup supervisor")?;
        let payload = directory(&scope, "payload").during("cgroup payload")?;
        let first = pidfd_open(getpid(), PidfdFlags::empty()).during("cgroup supervisor")?;
        let birth = Birth { cgroup: Some(supervisor.as_fd()), silent: true, ..Birth::default() };
        if let Side::Parent(_) = clone(birth).during("cgroup supervisor")? {
            exit(0);
        }
        let _ = poll(&mut [PollFd::new(&first, PollFlags::IN)], None);
        let cgroup = Self { path: path.to_owned(), scope, payload, owner };
        cgroup.delegate()?;
        Ok(cgroup)
    }

    /// Hands the controllers that the scope has to the payload, and the payload to the container's root.
    fn delegate(&self) -> Result<(), Failure> {
        let controllers = read(&self.scope, "cgroup.controllers").during("cgroup controllers")?;
        for controller in ["cpuset", "cpu", "io", "memory", "pids"] {
            if controllers.split_ascii_whitespace().any(|found| found == controller) {
                let order = format!("+{controller}");
                write(&self.scope, "cgroup.subtree_control", &order).during(format!("cgroup {order}"))?;
            }
        }
        let known = std::fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap_or_default();
        let (uid, gid) = (Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)));
        for name in std::iter::once(".").chain(known.lines()) {
            match chownat(&self.payload, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                // A file of a controller that this scope does not have.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Failure::new(format!("cgroup payload/{name}"), errno)),
            }
        }
        Ok(())
    }

    /// Where the scope is, as the daemon told.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory into which the init is born.
    pub(crate) fn payload(&self) -> &OwnedFd {
        &self.payload
    }

    /// The directory into which sessions are born, made anew if the container took it away.
    pub(crate) fn sessions(&self) -> Result<OwnedFd, Errno> {
        if let Ok(open) = directory(&self.payload, SESSIONS) {
            return Ok(open);
        }
        make(&self.payload, SESSIONS)?;
        let open = directory(&self.payload, SESSIONS)?;
        let (uid, gid) = (Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)));
        for name in [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            chownat(&open, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(open)
    }

    /// SIGKILL for every process of the payload at once (kernel 5.14).
    pub(crate) fn kill(&self) -> Result<(), Errno> {
        write(&self.payload, "cgroup.kill", "1")
    }

    /// Asks the payload to stop or to go on running; `events` tells when it has.
    pub(crate) fn set_frozen(&self, frozen: bool) -> Result<(), Errno> {
        write(&self.payload, "cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Opens the file that polls with `PRI` when it changes.
    pub(crate) fn events(&self) -> Result<OwnedFd, Errno> {
        openat(&self.payload, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Whether every process of the payload is frozen, by whomever.
    pub(crate) fn is_frozen(&self) -> bool {
        read(&self.payload, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
    }

    /// Whether a process is left in the payload.
    pub(crate) fn is_populated(&self) -> bool {
        read(&self.payload, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }
}

fn directory(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn make(at: &OwnedFd, name: &str) -> Result<(), Errno> {
    match mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn write(at: &OwnedFd, name: &str, text: &str) -> Result<(), Errno> {
    let file = openat(at, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

fn read(at: &OwnedFd, name: &str) -> Result<String, Errno> {
    let file = openat(at, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = [0; 512];
    let read = rustix::io::read(&file, &mut bytes)?;
    Ok(String::from_utf8_lossy(bytes.get(..read).unwrap_or_default()).into_owned())
}
