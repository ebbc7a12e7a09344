//! Finds the host's PID 1 among the machine's processes: the child of systemd-nspawn below the keeper.
//! Depends on /proc. Called by `boot` and `power`.

use std::fs;

/// The PID 1 of the host whose outermost process is `unshare`, as the machine counts, once it runs systemd.
#[must_use]
pub fn find(unshare: u32) -> Option<i32> {
    let keeper = *children(unshare).first()?;
    children(keeper).into_iter().flat_map(children).find_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let first = field("NSpid:")?.split_whitespace().next_back()? == "1";
        (first && field("Name:")? == "systemd").then(|| i32::try_from(pid).ok()).flatten()
    })
}

/// The children of a process, oldest first.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}
