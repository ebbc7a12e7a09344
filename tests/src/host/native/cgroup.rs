//! A control group of the host's own in every hierarchy of the machine. Without it two hosts booted by
//! nspawn share one group called `payload`, and each host's systemd signals the other's processes.
//! Depends on cgroupfs alone. Called by `boot`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// The groups of one host; removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    paths: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes the group `name` below this process's own, in the v2 hierarchy and in systemd's.
    pub(super) fn create(name: &str) -> Result<Self> {
        let mut paths = Vec::new();
        for parent in parents(&fs::read_to_string("/proc/self/cgroup")?, &fs::read_to_string("/proc/self/mountinfo")?) {
            let path = parent.join(name);
            fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
            paths.push(path);
        }
        Ok(Self { paths })
    }

    /// The groups `name` that a killed harness left, if any.
    pub(super) fn left_behind(name: &str) -> Result<Self> {
        let parents = parents(&fs::read_to_string("/proc/self/cgroup")?, &fs::read_to_string("/proc/self/mountinfo")?);
        Ok(Self { paths: parents.into_iter().map(|parent| parent.join(name)).filter(|path| path.exists()).collect() })
    }

    /// Moves a process into the group.
    pub(super) fn adopt(&self, pid: u32) -> Result<()> {
        for path in &self.paths {
            fs::write(path.join("cgroup.procs"), pid.to_string()).with_context(|| format!("entering {}", path.display()))?;
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for path in &self.paths {
            // The last process may still be on its way out.
            for _ in 0..200 {
                if remove(path).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// This process's groups in the hierarchies that a host's systemd uses.
fn parents(own: &str, mounts: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(hierarchy), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let mounted = mounts.lines().find_map(|mount| {
            let (place, source) = mount.split_once(" - ")?;
            let mut source = source.split(' ');
            let (kind, options) = (source.next()?, source.nth(1)?);
            let fits = match hierarchy {
                "" => kind == "cgroup2",
                "name=systemd" => kind == "cgroup" && options.split(',').any(|option| option == hierarchy),
                _ => false,
            };
            fits.then(|| place.split(' ').nth(4).map(PathBuf::from)).flatten()
        });
        if let Some(mounted) = mounted {
            found.push(mounted.join(path.trim_start_matches('/')));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_hybrid_machine_are_two() {
        let own = "9:name=systemd:/a\n4:memory:/m\n0::/b/c\n";
        let mounts = "30 20 0:1 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n31 20 0:2 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            parents(own, mounts),
            [PathBuf::from("/sys/fs/cgroup/systemd/a"), PathBuf::from("/sys/fs/cgroup/unified/b/c")]
        );
    }

    #[test]
    fn the_group_of_a_unified_machine_is_one() {
        let mounts = "30 20 0:1 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(parents("0::/user.slice/s.scope\n", mounts), [PathBuf::from("/sys/fs/cgroup/user.slice/s.scope")]);
    }
}
