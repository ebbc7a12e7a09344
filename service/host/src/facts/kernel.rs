//! What the kernel can: its version, cgroup v2 and controllers, user namespaces, overlayfs, seccomp.

use super::source::Source;
use super::{fail, ok, warn};
use lxhost_engine::ports::Check;

/// Idmapped layers of overlayfs came with 5.19; everything else we need is older.
const OLDEST: (u32, u32) = (5, 19);

const CONTROLLERS: &[&str] = &["cpu", "io", "memory", "pids"];

pub(super) fn checks(source: &Source, release: &str) -> Vec<Check> {
    vec![
        version(release),
        control_groups(source),
        user_namespaces(source),
        overlay(source, release),
        seccomp(source),
        forwarding(source),
    ]
}

/// The first two numbers of a kernel release, such as `6.12.48+deb13-amd64`.
pub(super) fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn version(release: &str) -> Check {
    match parse_release(release) {
        Some(found) if found >= OLDEST => ok("kernel", release),
        Some(_) => {
            let (major, minor) = OLDEST;
            fail("kernel", format!("{release} is older than {major}.{minor}"), "install and boot a newer kernel")
        }
        None => warn("kernel", format!("{release:?} has no version in it"), "make sure that it is 5.19 or newer"),
    }
}

fn control_groups(source: &Source) -> Check {
    let Some(listed) = source.word("sys/fs/cgroup/cgroup.controllers") else {
        let hint = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
        return fail("control groups", "no unified hierarchy (cgroup v2) at /sys/fs/cgroup", hint);
    };
    let has: Vec<&str> = listed.split_whitespace().collect();
    let missing: Vec<&str> = CONTROLLERS.iter().copied().filter(|c| !has.contains(c)).collect();
    if missing.is_empty() {
        return ok("control groups", format!("v2 with {}", has.join(", ")));
    }
    let hint = if missing.contains(&"memory") {
        "limits of these kinds have no effect; for memory, boot with cgroup_enable=memory"
    } else {
        "limits of these kinds have no effect"
    };
    warn("control groups", format!("v2 without {}", missing.join(", ")), hint)
}

fn user_namespaces(source: &Source) -> Check {
    let name = "user namespaces";
    match source.number("proc/sys/user/max_user_namespaces") {
        None => fail(name, "the kernel has none", "boot a kernel with CONFIG_USER_NS"),
        Some(0) => fail(name, "turned off", "set user.max_user_namespaces above 0 (look in /etc/sysctl.d)"),
        Some(most) => ok(name, format!("up to {most}")),
    }
}

fn overlay(source: &Source, release: &str) -> Check {
    let name = "overlay";
    let known = source.text("proc/filesystems", 1 << 20).ok().flatten().unwrap_or_default();
    if known.lines().any(|line| line.split_whitespace().next_back() == Some("overlay")) {
        return ok(name, "available");
    }
    let modules = source.text(&format!("lib/modules/{release}/modules.dep"), 16 << 20).ok().flatten().unwrap_or_default();
    if modules.lines().filter_map(|line| line.split(':').next()).any(|path| path.contains("/overlay.ko")) {
        return ok(name, "a module that the first container loads");
    }
    warn(name, "not available", "pools of type overlay cannot be used; install the kernel's modules or use btrfs or dir")
}

fn seccomp(source: &Source) -> Check {
    match source.word("proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) if actions.split_whitespace().any(|a| a == "errno") => ok("seccomp", "available"),
        _ => fail("seccomp", "the kernel has no filters", "boot a kernel with CONFIG_SECCOMP_FILTER"),
    }
}

fn forwarding(source: &Source) -> Check {
    let hint = "a managed network turns it on when it comes up; if containers reach nothing outside, something turned it off \
                again: look in /etc/sysctl.d";
    match source.number("proc/sys/net/ipv4/ip_forward") {
        Some(1) => ok("forwarding", "on (IPv4)"),
        Some(_) => warn("forwarding", "off (IPv4)", hint),
        None => warn("forwarding", "unknown", hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = Source::new(dir.path());
        (dir, source)
    }

    #[test]
    fn versions_compare_as_numbers() {
        for (release, state) in [
            ("6.12.48+deb13-amd64", "ok"),
            ("5.19", "ok"),
            ("10.1-rc1", "ok"),
            ("5.9.0", "fail"),
            ("4.19.0-6", "fail"),
            ("x", "warn"),
        ] {
            assert_eq!(version(release).state, state, "{release}");
        }
    }

    #[test]
    fn a_missing_controller_is_named() {
        let (_dir, source) = machine(&[("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")]);
        let check = control_groups(&source);
        assert_eq!((check.state, check.message.as_str()), ("warn", "v2 without memory"));
        assert!(check.hint.contains("cgroup_enable=memory"));
        let (_dir, source) = machine(&[("sys/fs/cgroup/memory/tasks", "")]);
        assert_eq!(control_groups(&source).state, "fail");
    }

    #[test]
    fn user_namespaces_that_are_turned_off_fail() {
        let (_dir, source) = machine(&[("proc/sys/user/max_user_namespaces", "0\n")]);
        assert_eq!(user_namespaces(&source).state, "fail");
        let (_dir, source) = machine(&[("proc/sys/user/max_user_namespaces", "15000\n")]);
        assert_eq!(user_namespaces(&source).state, "ok");
    }

    #[test]
    fn overlay_may_be_built_in_a_module_or_missing() {
        let (_dir, source) = machine(&[("proc/filesystems", "nodev\toverlay\n\text4\n")]);
        assert_eq!(overlay(&source, "6.1").message, "available");
        let dep = "kernel/fs/fuse/overlay.kothing/x.ko:\nkernel/fs/overlayfs/overlay.ko.xz: kernel/fs/exportfs/exportfs.ko.xz\n";
        let (_dir, source) = machine(&[("lib/modules/6.1/modules.dep", dep)]);
        assert_eq!(overlay(&source, "6.1").state, "ok");
        assert_eq!(overlay(&source, "6.2").state, "warn");
    }
}
