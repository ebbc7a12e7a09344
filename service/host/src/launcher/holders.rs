//! What keeps a mount of a container busy, read from /proc: processes that stand in it, run from it or have files of it
//! open, and mounts below it. For a message to people: what is not seen is left out.

use std::path::{Path, PathBuf};

use lxhost_model::name::quoted;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// Most that is named.
const NAMED: usize = 3;
/// Most processes, and most open files of one, that are looked at: they are a guest's.
const PROCESSES: usize = 4096;
const FILES: usize = 1024;

/// Holders of what is mounted at `target` in the namespace of the process `leader`, whose container has the processes of
/// the cgroup `payload`.
pub(super) fn of(leader: u32, payload: &Path, target: &str) -> Vec<String> {
    let table = std::fs::read_to_string(format!("/proc/{leader}/mountinfo")).unwrap_or_default();
    let Some((mount, below)) = mounts(&table, target) else { return vec![] };
    let mut found: Vec<String> = below.iter().map(|path| format!("what is mounted at {}", quoted(path))).collect();
    for pid in processes(payload) {
        if found.len() >= NAMED {
            break;
        }
        found.extend(hold(pid, mount).map(|how| format!("{} ({how})", name(pid))));
    }
    found.truncate(NAMED);
    found
}

/// The number of the topmost mount at `target`, and paths of the mounts in it.
fn mounts(table: &str, target: &str) -> Option<(u64, Vec<String>)> {
    let rows: Vec<(u64, u64, String)> = table.lines().filter_map(row).collect();
    let mount = rows.iter().rev().find(|(_, _, path)| path == target)?.0;
    Some((mount, rows.iter().filter(|(_, parent, _)| *parent == mount).map(|(.., path)| path.clone()).collect()))
}

/// Number, parent's number and path of a row of mountinfo.
fn row(line: &str) -> Option<(u64, u64, String)> {
    let mut fields = line.split(' ');
    let (number, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let path = fields.nth(2)?;
    // Blanks, tabs, line breaks and backslashes are written in octal.
    let path = path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
    Some((number, parent, path))
}

fn processes(payload: &Path) -> Vec<u32> {
    let (mut found, mut groups) = (vec![], vec![payload.to_owned()]);
    while let Some(group) = groups.pop() {
        let listed = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
        if found.len() >= PROCESSES {
            break;
        }
        let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
        groups.extend(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
    }
    found.truncate(PROCESSES);
    found
}

/// How a process holds the mount, if it does.
fn hold(pid: u32, mount: u64) -> Option<&'static str> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let is_in = |path: &Path| {
        let flags = AtFlags::from_bits_retain(0x4000 /* AT_STATX_DONT_SYNC */);
        statx(CWD, path, flags, StatxFlags::MNT_ID).is_ok_and(|found| found.stx_mnt_id == mount)
    };
    let ways = [("cwd", "its working directory"), ("root", "its root"), ("exe", "its program")];
    if let Some((_, how)) = ways.iter().find(|(link, _)| is_in(&proc.join(link))) {
        return Some(how);
    }
    let files = std::fs::read_dir(proc.join("fd")).into_iter().flatten().flatten().take(FILES);
    files.map(|file| file.path()).any(|path| is_in(&path)).then_some("an open file")
}

/// A process as those inside know it.
fn name(pid: u32) -> String {
    let said = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let inside = inside.and_then(|pids| pids.split_whitespace().last()).unwrap_or_default();
    format!("process {inside} {}", quoted(said.trim_end_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
20 1 0:19 / / rw - overlay x rw
31 20 8:1 /a /srv/my\\040data rw - ext4 /dev/sda1 rw
32 31 0:40 / /srv/my\\040data/sub rw - tmpfs t rw
33 20 8:1 /b /srv/my\\040data rw - ext4 /dev/sda1 rw
34 33 0:41 / /srv/my\\040data/top rw - tmpfs t rw
broken
";

    #[test]
    fn the_topmost_mount_at_a_path_counts() {
        assert_eq!(mounts(TABLE, "/srv/my data"), Some((33, vec!["/srv/my data/top".to_owned()])));
        assert_eq!(mounts(TABLE, "/srv"), None);
    }

    #[test]
    fn a_process_holds_where_it_stands_and_what_it_has_open() {
        let mount = |path: &str| statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).unwrap().stx_mnt_id;
        let own = std::process::id();
        assert_eq!(hold(own, mount("/proc/self/cwd")), Some("its working directory"));
        let _open = std::fs::File::open("/proc/self/status").unwrap();
        assert_eq!(hold(own, mount("/proc")), Some("an open file"));
        assert_eq!(hold(own, u64::MAX), None);
    }
}
