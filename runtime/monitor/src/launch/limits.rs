//! Resource limits of the init and of sessions: what the launch says, nothing of what the daemon had.

use lxhost_contract::Launch;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::failure::{During, Failure};

const KNOWN: [(u32, Resource); 16] = [
    (0, Resource::Cpu),
    (1, Resource::Fsize),
    (2, Resource::Data),
    (3, Resource::Stack),
    (4, Resource::Core),
    (5, Resource::Rss),
    (6, Resource::Nproc),
    (7, Resource::Nofile),
    (8, Resource::Memlock),
    (9, Resource::As),
    (10, Resource::Locks),
    (11, Resource::Sigpending),
    (12, Resource::Msgqueue),
    (13, Resource::Nice),
    (14, Resource::Rtprio),
    (15, Resource::Rttime),
];

/// Sets all limits of a process, `None` being the caller, with host rights: the container's root may not raise them.
///
/// On a host that is itself a container without CAP_SYS_RESOURCE a limit goes as far as the monitor's own.
pub(crate) fn set(launch: &Launch, pid: Option<Pid>) -> Result<(), Failure> {
    for limit in &launch.rlimits {
        let Some((_, resource)) = KNOWN.into_iter().find(|(number, _)| *number == limit.resource) else { continue };
        let wanted = Rlimit { current: finite(limit.soft), maximum: finite(limit.hard) };
        let set = match prlimit(pid, resource, wanted) {
            Err(Errno::PERM) => prlimit(pid, resource, within(wanted, getrlimit(resource).maximum)),
            other => other,
        };
        set.map(drop).during(format!("rlimit {resource:?}"))?;
    }
    Ok(())
}

fn finite(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

fn within(wanted: Rlimit, most: Option<u64>) -> Rlimit {
    let cut = |value: Option<u64>| match (value, most) {
        (Some(value), Some(most)) => Some(value.min(most)),
        (value, most) => value.or(most),
    };
    Rlimit { current: cut(wanted.current), maximum: cut(wanted.maximum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_may_not_be_raised_goes_as_far_as_it_may() {
        let wanted = Rlimit { current: Some(1024), maximum: None };
        let cut = within(wanted, Some(4096));
        assert_eq!((cut.current, cut.maximum), (Some(1024), Some(4096)));
        let free = within(Rlimit { current: None, maximum: Some(5) }, None);
        assert_eq!((free.current, free.maximum), (None, Some(5)));
    }
}
