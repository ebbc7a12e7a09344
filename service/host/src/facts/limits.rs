//! How many containers this machine's sysctls allow, and which of them ends first. What one
//! container takes is that of a small Debian with systemd, rounded up.

use super::source::Source;
use super::{ok, warn};
use lxhost_engine::ports::Check;

/// A limit of the whole machine, and what one container takes of it.
struct Limit {
    sysctl: &'static str,
    each: u64,
}

const fn limit(sysctl: &'static str, each: u64) -> Limit {
    Limit { sysctl, each }
}

const LIMITS: &[Limit] = &[
    limit("kernel.pid_max", 40),
    limit("kernel.threads-max", 60),
    limit("kernel.pty.max", 3),
    limit("fs.file-max", 1000),
    limit("user.max_user_namespaces", 2),
    limit("user.max_mnt_namespaces", 12),
    limit("user.max_net_namespaces", 1),
    // All network namespaces share one table: who a container is to the host, and who the router is to it (0120).
    limit("net.ipv4.neigh.default.gc_thresh3", 2),
    limit("net.ipv6.neigh.default.gc_thresh3", 2),
];

/// Fewer containers than this are worth a warning, and so is less than a fifth of the room left.
const FEW: u64 = 200;

/// Limits that hold for each container by itself, because each has users of its own.
const EACH: &[(&str, u64, &str)] = &[
    ("fs.inotify.max_user_instances", 128, "services of a container fail with \"too many open files\""),
    ("fs.inotify.max_user_watches", 8192, "services of a container miss changes of files"),
    ("kernel.keys.maxkeys", 200, "services of a container fail with \"disk quota exceeded\""),
];

pub(super) fn checks(source: &Source) -> Vec<Check> {
    std::iter::once(containers(source)).chain(EACH.iter().filter_map(|each| too_low(source, each))).collect()
}

fn containers(source: &Source) -> Check {
    let rooms = LIMITS.iter().filter_map(|l| Some((value(source, l.sysctl)? / l.each, l.sysctl)));
    let Some((room, first)) = rooms.min() else {
        return warn("limits", "unknown", "make sure that /proc/sys is mounted");
    };
    let running = running(source);
    let mut message = format!("enough for about {room} containers; {first} ends first");
    let crowded = running > room - room / 5;
    if crowded {
        message = format!("{running} containers run; {message}");
    }
    if crowded || room < FEW {
        return warn("limits", message, format!("raise {first} in /etc/sysctl.d"));
    }
    ok("limits", message)
}

/// Containers of ours that run, by their scopes.
fn running(source: &Source) -> u64 {
    let scopes = std::fs::read_dir(source.path("sys/fs/cgroup/machine.slice")).into_iter().flatten().flatten();
    let ours = |name: &str| name.starts_with("lxhost-") && name.ends_with(".scope");
    scopes.filter(|entry| ours(&entry.file_name().to_string_lossy())).count() as u64
}

fn too_low(source: &Source, (sysctl, least, effect): &(&str, u64, &str)) -> Option<Check> {
    let found = value(source, sysctl).filter(|found| found < least)?;
    Some(warn(sysctl, format!("{found}, less than {least}: {effect}"), format!("set {sysctl}={least} or more in /etc/sysctl.d")))
}

fn value(source: &Source, sysctl: &str) -> Option<u64> {
    source.number(&format!("proc/sys/{}", sysctl.replace('.', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(sysctls: &[(&str, u64)]) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in sysctls {
            let path = dir.path().join("proc/sys").join(name.replace('.', "/"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{value}\n")).unwrap();
        }
        let source = Source::new(dir.path());
        (dir, source)
    }

    #[test]
    fn the_limit_that_ends_first_is_named() {
        let (_dir, source) =
            machine(&[("kernel.pid_max", 32_768), ("net.ipv4.neigh.default.gc_thresh3", 2048), ("kernel.pty.max", 4096)]);
        let check = containers(&source);
        assert_eq!(check.state, "ok");
        assert_eq!(check.message, "enough for about 819 containers; kernel.pid_max ends first");
        let (_dir, source) = machine(&[("kernel.pid_max", 400)]);
        assert_eq!(containers(&source).state, "warn");
    }

    #[test]
    fn more_containers_than_there_is_room_for_are_a_warning_that_names_the_limit() {
        let (dir, source) = machine(&[("kernel.pid_max", 4_194_304), ("net.ipv6.neigh.default.gc_thresh3", 1024)]);
        let slice = dir.path().join("sys/fs/cgroup/machine.slice");
        let run =
            |count: usize| (0..count).for_each(|i| std::fs::create_dir_all(slice.join(format!("lxhost-c{i}.scope"))).unwrap());
        run(400);
        std::fs::create_dir(slice.join("libvirt-vm.scope")).unwrap();
        assert_eq!(containers(&source).state, "ok");
        run(411);
        let check = containers(&source);
        assert_eq!(check.state, "warn");
        assert_eq!(
            check.message,
            "411 containers run; enough for about 512 containers; net.ipv6.neigh.default.gc_thresh3 ends first"
        );
        assert_eq!(check.hint, "raise net.ipv6.neigh.default.gc_thresh3 in /etc/sysctl.d");
    }

    #[test]
    fn a_limit_below_the_kernels_own_default_is_a_warning() {
        let (_dir, source) = machine(&[("kernel.keys.maxkeys", 20), ("fs.inotify.max_user_instances", 128)]);
        let found: Vec<_> = checks(&source).into_iter().map(|c| c.name).collect();
        assert_eq!(found, ["limits", "kernel.keys.maxkeys"]);
    }
}
