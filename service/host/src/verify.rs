//! Looks into /proc after a start whether every layer of isolation is really there. A layer that is silently absent is
//! worse than one that fails: whoever calls this refuses to call the container running.

use std::io;
use std::path::PathBuf;

/// The namespaces a container has of its own, by their names in `/proc/PID/ns`.
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "uts", "ipc", "cgroup"];

/// What the payload must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Rows of `/proc/PID/uid_map` and `gid_map`: first id inside, first outside, how many.
    pub ids: Vec<(u32, u32, u32)>,
    /// A filter of ours is loaded above those of the daemon.
    pub seccomp: bool,
    /// Capabilities that may be in the bounding set.
    pub capabilities: u64,
}

/// The layer that is missing.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// A namespace is the daemon's own.
    #[error("isolation layer missing: the {namespace} namespace is the host's")]
    Namespace {
        /// Its name.
        namespace: &'static str,
    },
    /// An id map is another one.
    #[error("isolation layer missing: {map} is {found:?}")]
    Ids {
        /// `uid_map` or `gid_map`.
        map: &'static str,
        /// Its rows.
        found: Vec<(u32, u32, u32)>,
    },
    /// No filter of ours.
    #[error("isolation layer missing: {found} seccomp filters where {wanted} are expected")]
    Seccomp {
        /// Filters loaded.
        found: u32,
        /// Filters expected at least.
        wanted: u32,
    },
    /// A capability too many.
    #[error("isolation layer missing: capabilities {extra:#x} are not dropped")]
    Capabilities {
        /// Those too many.
        extra: u64,
    },
    /// The process is not there any more: there is nothing to isolate.
    #[error("process {pid} has ended")]
    Gone {
        /// Its id.
        pid: u32,
    },
    /// /proc could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Proc {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Compares the process with what it must be.
///
/// # Errors
/// The first layer that is missing; `Gone` when the process has ended meanwhile.
pub fn verify(pid: u32, expected: &Expectation) -> Result<(), Missing> {
    let process = Process { pid, dir: PathBuf::from(format!("/proc/{pid}")) };
    let own = Process { pid: std::process::id(), dir: PathBuf::from("/proc/self") };
    let status = Status::parse(&process.read("status")?);
    if status.is_zombie {
        return Err(Missing::Gone { pid });
    }
    for namespace in NAMESPACES {
        if process.namespace(namespace)? == own.namespace(namespace)? {
            return Err(Missing::Namespace { namespace });
        }
    }
    for map in ["uid_map", "gid_map"] {
        let found = rows(&process.read(map)?);
        if found != expected.ids {
            return Err(Missing::Ids { map, found });
        }
    }
    let outer = Status::parse(&own.read("status")?).filters;
    let wanted = outer + u32::from(expected.seccomp);
    if status.filters < wanted {
        return Err(Missing::Seccomp { found: status.filters, wanted });
    }
    match status.bounding & !expected.capabilities {
        0 => Ok(()),
        extra => Err(Missing::Capabilities { extra }),
    }
}

struct Process {
    pid: u32,
    dir: PathBuf,
}

impl Process {
    fn fail(&self, path: PathBuf, source: io::Error) -> Missing {
        // ESRCH comes from files that were opened before the end.
        if source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(3) {
            return Missing::Gone { pid: self.pid };
        }
        Missing::Proc { path, source }
    }
    fn read(&self, name: &str) -> Result<String, Missing> {
        let path = self.dir.join(name);
        std::fs::read_to_string(&path).map_err(|source| self.fail(path, source))
    }
    fn namespace(&self, name: &str) -> Result<PathBuf, Missing> {
        let path = self.dir.join("ns").join(name);
        std::fs::read_link(&path).map_err(|source| self.fail(path, source))
    }
}

pub(crate) fn rows(map: &str) -> Vec<(u32, u32, u32)> {
    map.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) is_zombie: bool,
    pub(crate) filters: u32,
    pub(crate) bounding: u64,
}

impl Status {
    pub(crate) fn parse(text: &str) -> Self {
        let mut status = Self { bounding: u64::MAX, ..Self::default() };
        let mut mode = 0;
        let mut counted = None;
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name {
                "State" => status.is_zombie = value.starts_with(['Z', 'X']),
                "Seccomp" => mode = value.parse().unwrap_or(0),
                "Seccomp_filters" => counted = value.parse().ok(),
                "CapBnd" => status.bounding = u64::from_str_radix(value, 16).unwrap_or(u64::MAX),
                _ => {}
            }
        }
        // Kernels before 5.9 do not count.
        status.filters = counted.unwrap_or(u32::from(mode == 2));
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_in_the_hosts_namespaces_is_named_as_not_isolated() {
        let expected = Expectation { ids: vec![(0, 100_000, 65_536)], seccomp: true, capabilities: 0 };
        let missing = verify(std::process::id(), &expected).unwrap_err();
        assert!(matches!(missing, Missing::Namespace { namespace: "user" }), "{missing}");
    }

    #[test]
    fn a_status_says_filters_and_bounds() {
        let status =
            Status::parse("Name:\tx\nState:\tS (sleeping)\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\nSeccomp_filters:\t3\n");
        assert_eq!(status, Status { is_zombie: false, filters: 3, bounding: 0xa804_25fb });
        assert_eq!(Status::parse("Seccomp:\t2\n").filters, 1);
        assert_eq!(Status::parse("").bounding, u64::MAX, "what cannot be read is not trusted");
    }

    #[test]
    fn a_process_that_is_gone_is_gone() {
        // The largest pid of Linux is below 2^22.
        let gone = verify(u32::MAX, &Expectation { ids: vec![], seccomp: false, capabilities: 0 }).unwrap_err();
        assert!(matches!(gone, Missing::Gone { .. }));
    }

    #[test]
    fn maps_are_read_row_by_row() {
        assert_eq!(rows("         0     100000      65536\n     70000  5  1\n"), [(0, 100_000, 65_536), (70_000, 5, 1)]);
    }
}
