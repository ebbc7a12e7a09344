//! Whether the machine's sysctls allow as many busybox containers at a time as a test of load wants: asked before it
//! begins, not found out after the eight hundredth. Some of them a native host does not even see. Depends on /proc.
//! Called by suites.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

/// What one container takes of each limit.
const EACH: &[(&str, usize)] = &[
    ("kernel.pid_max", 10),
    ("kernel.threads-max", 10),
    ("kernel.pty.max", 2),
    ("fs.file-max", 200),
    ("user.max_user_namespaces", 2),
    ("user.max_mnt_namespaces", 5),
    ("user.max_net_namespaces", 2),
    // One for all network namespaces of the machine; what nobody speaks to leaves room for others (0120).
    ("net.ipv4.neigh.default.gc_thresh3", 1),
    ("net.ipv6.neigh.default.gc_thresh3", 1),
];

/// Says so when so many containers cannot run at a time here; `sysctls` is `/proc/sys`.
///
/// # Errors
/// When a limit is too low: its name, and what raises it.
pub fn allow(sysctls: &Path, containers: usize) -> Result<()> {
    for (name, each) in EACH {
        let found = fs::read_to_string(sysctls.join(name.replace('.', "/")));
        // What this kernel does not limit is no limit.
        let Some(found) = found.ok().and_then(|text| text.trim().parse::<usize>().ok()) else { continue };
        let wanted = containers * each;
        if found < wanted {
            bail!("{name} is {found}, and {containers} containers want {wanted}: sysctl -w {name}={wanted}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_named_with_what_raises_it() {
        let sysctls = tempfile::tempdir().unwrap();
        fs::create_dir_all(sysctls.path().join("kernel/pty")).unwrap();
        fs::write(sysctls.path().join("kernel/pty/max"), "512\n").unwrap();
        allow(sysctls.path(), 256).unwrap();
        let said = allow(sysctls.path(), 1000).unwrap_err().to_string();
        assert_eq!(said, "kernel.pty.max is 512, and 1000 containers want 2000: sysctl -w kernel.pty.max=2000");
    }
}
