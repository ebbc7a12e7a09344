//! Counters of a running container from cgroupfs (cgroup-v2 of the kernel's documentation).

use std::path::Path;

use lxhost_engine::ports::launcher::Counters;

/// Reads what is there: files of controllers that the host does not have are missing.
pub(super) fn read(payload: &Path) -> Counters {
    let number = |name: &str| std::fs::read_to_string(payload.join(name)).ok()?.trim().parse::<u64>().ok();
    let stat = std::fs::read_to_string(payload.join("cpu.stat")).unwrap_or_default();
    Counters {
        cpu: usage(&stat).map(|usec| usec.saturating_mul(1000)),
        memory: number("memory.current"),
        memory_peak: number("memory.peak"),
        processes: number("pids.current").or_else(|| Some(count(payload, 0))),
    }
}

fn usage(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).and_then(|value| value.parse().ok())
}

fn count(cgroup: &Path, depth: usize) -> u64 {
    const DEEPEST: usize = 32;
    let own = std::fs::read_to_string(cgroup.join("cgroup.procs")).map_or(0, |text| text.lines().count() as u64);
    let Ok(entries) = std::fs::read_dir(cgroup) else { return own };
    let below = entries.flatten().filter(|entry| depth < DEEPEST && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    own + below.map(|entry| count(&entry.path(), depth + 1)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_controllers_there_are_still_processes() {
        let dir = std::env::temp_dir().join(format!("lxhost-counters-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("system.slice")).unwrap();
        std::fs::write(dir.join("cgroup.procs"), "1\n").unwrap();
        std::fs::write(dir.join("system.slice/cgroup.procs"), "20\n30\n").unwrap();
        std::fs::write(dir.join("cpu.stat"), "usage_usec 12\nuser_usec 3\n").unwrap();
        let counters = read(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(counters, Counters { cpu: Some(12_000), memory: None, memory_peak: None, processes: Some(3) });
    }
}
