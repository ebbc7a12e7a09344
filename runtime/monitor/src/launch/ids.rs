//! User namespaces and their id maps (user_namespaces(7)), written by host root.

use std::fmt::Write;
use std::os::fd::OwnedFd;

use lxhost_contract::IdRange;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::failure::{During, Failure};
use crate::launch::write_file;
use crate::sys::birth::{Birth, child};

/// Both maps of a container.
#[derive(Debug)]
pub(crate) struct Maps {
    uids: String,
    gids: String,
    /// Host ids of the container's root.
    pub(crate) root: (u32, u32),
}

impl Maps {
    /// Checks that both maps have id 0 and host ids other than 0, and no more lines than the kernel takes.
    pub(crate) fn new(uids: &[IdRange], gids: &[IdRange]) -> Result<Self, Failure> {
        let root = (outside_of_root(uids)?, outside_of_root(gids)?);
        Ok(Self { uids: lines(uids), gids: lines(gids), root })
    }

    /// Writes the maps of a process that is alone in a new user namespace.
    pub(crate) fn write(&self, pid: Pid) -> Result<(), Failure> {
        let pid = pid.as_raw_nonzero();
        write_file(&format!("/proc/{pid}/uid_map"), self.uids.as_bytes()).during("uid_map")?;
        write_file(&format!("/proc/{pid}/gid_map"), self.gids.as_bytes()).during("gid_map")
    }

    /// A user namespace with these maps that no process is in, for idmapped mounts.
    pub(crate) fn namespace(&self) -> Result<OwnedFd, Failure> {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).during("user namespace")?;
        let birth = Birth { flags: libc::CLONE_NEWUSER, ..Birth::default() };
        let helper = child(birth, || {
            // Lives until the namespace is open: the only writer of the pipe is then the parent's copy.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            loop {
                rustix::event::pause();
            }
        })
        .during("user namespace")?;
        drop((ours, theirs));
        let opened = self.write(helper.pid).and_then(|()| {
            let path = format!("/proc/{}/ns/user", helper.pid.as_raw_nonzero());
            openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).during("user namespace")
        });
        let _ = rustix::process::pidfd_send_signal(&helper.pidfd, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(helper.pid), rustix::process::WaitOptions::empty());
        opened
    }
}

fn outside_of_root(ranges: &[IdRange]) -> Result<u32, Failure> {
    const MOST_LINES: usize = 340;
    let sane = ranges.len() <= MOST_LINES
        && ranges.iter().all(|r| r.count > 0 && r.outside > 0 && r.outside.checked_add(r.count).is_some());
    let root = ranges.iter().find(|r| r.inside == 0).map(|r| r.outside);
    match root {
        Some(outside) if sane => Ok(outside),
        _ => Err(Failure::new("id map", Errno::INVAL)),
    }
}

fn lines(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut text, range| {
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.count);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> IdRange {
        IdRange { inside, outside, count }
    }

    #[test]
    fn a_map_that_reaches_the_hosts_root_is_refused() {
        let good = [range(0, 100_000, 65_536)];
        assert!(Maps::new(&[range(0, 0, 10)], &good).is_err());
        assert!(Maps::new(&good, &[range(0, 100_000, 10), range(10, 0, 1)]).is_err());
    }

    #[test]
    fn a_map_without_root_is_refused() {
        assert!(Maps::new(&[range(1, 100_000, 10)], &[range(0, 100_000, 10)]).is_err());
    }

    #[test]
    fn several_ranges_become_several_lines() {
        let maps = Maps::new(&[range(0, 100_000, 1000), range(1000, 7000, 1)], &[range(0, 5, 1)]).unwrap();
        assert_eq!(maps.uids, "0 100000 1000\n1000 7000 1\n");
        assert_eq!(maps.root, (100_000, 5));
    }
}
