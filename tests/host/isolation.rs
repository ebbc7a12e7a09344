//! What stands between a container and its host, as the kernel says after the start.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "isolation",
    Base::Packaged,
    [
        every_container_has_its_own_65536_ids,
        no_id_range_is_somebody_elses,
        every_namespace_is_its_own,
        system_calls_and_capabilities_are_limited,
        files_on_disk_are_not_shifted,
        nobody_on_the_host_reaches_what_guests_hold,
        sys_is_read_only_and_proc_is_masked,
        devices_are_few,
        containers_within_need_nesting,
        a_neighbour_is_neither_seen_nor_reached_through_the_host,
    ]
);

fn two(stage: &Stage) -> Result<()> {
    stage.with_debian()?;
    for name in ["s1", "s2"] {
        if stage.row(name)?.is_none() {
            stage.launch_ready("debian", name)?;
        }
    }
    Ok(())
}

fn map(stage: &Stage, name: &str) -> Result<(u64, u64)> {
    let map = stage.host.succeed(["cat", &format!("/proc/{}/uid_map", stage.init_of(name)?)])?;
    let numbers: Vec<u64> = map.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(numbers.len() == 3 && numbers[0] == 0, "{map}");
    Ok((numbers[1], numbers[2]))
}

fn every_container_has_its_own_65536_ids(stage: &Stage) -> Result<()> {
    two(stage)?;
    let ((first, size), (second, other)) = (map(stage, "s1")?, map(stage, "s2")?);
    ensure!(size == 65_536 && other == 65_536 && first.abs_diff(second) >= 65_536, "{first} and {second}");
    Ok(())
}

fn no_id_range_is_somebody_elses(stage: &Stage) -> Result<()> {
    two(stage)?;
    let (first, size) = map(stage, "s1")?;
    for line in stage.host.succeed(["sh", "-c", "cat /etc/subuid /etc/subgid"])?.lines() {
        let mut fields = line.split(':').skip(1).filter_map(|field| field.parse::<u64>().ok());
        let (start, count) = (fields.next().context("a start")?, fields.next().context("a count")?);
        ensure!(first + size <= start || start + count <= first, "{first} is in {line}");
    }
    Ok(())
}

fn every_namespace_is_its_own(stage: &Stage) -> Result<()> {
    two(stage)?;
    let init = stage.init_of("s1")?;
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let of = |pid: &str| stage.host.succeed(["readlink", &format!("/proc/{pid}/ns/{kind}")]);
        let (mine, host, other) = (of(&init.to_string())?, of("1")?, of(&stage.init_of("s2")?.to_string())?);
        ensure!(mine != host && mine != other, "{kind}: {mine} {host} {other}");
    }
    Ok(())
}

fn system_calls_and_capabilities_are_limited(stage: &Stage) -> Result<()> {
    two(stage)?;
    let status = stage.exec("s1", ["cat", "/proc/self/status"]).succeed()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    ensure!(field("Seccomp:") == "2", "{status}");
    let bounding = u64::from_str_radix(&field("CapBnd:"), 16)?;
    // CAP_SYS_MODULE 16, CAP_SYS_TIME 25, CAP_MAC_ADMIN 33
    for capability in [16, 25, 33] {
        ensure!(bounding & (1 << capability) == 0, "capability {capability} is there: {bounding:x}");
    }
    ensure!(field("NoNewPrivs:") == "0", "sudo cannot work in the container");
    for argv in [
        &["mknod", "/root/sda", "b", "8", "0"][..],
        &["mount", "-t", "ext4", "/dev/vda", "/mnt"],
        &["date", "-s", "2000-01-01"],
        &["dmesg", "-C"],
    ] {
        stage.exec("s1", argv.iter().copied()).fail()?;
    }
    Ok(())
}

fn files_on_disk_are_not_shifted(stage: &Stage) -> Result<()> {
    two(stage)?;
    stage.exec("s1", ["sh", "-c", "echo x >/root/unshifted; chown 33:33 /root/unshifted; sync"]).succeed()?;
    let found = stage.host.succeed(["find", "/var/lib/lxhost", "-name", "unshifted", "-printf", "%U:%G\\n"])?;
    ensure!(found.lines().next() == Some("33:33"), "{found}");
    Ok(())
}

/// A program that a guest's root has made setuid would be root's for whoever on the host could run it.
fn nobody_on_the_host_reaches_what_guests_hold(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox h1").succeed()?;
    stage.lxctl("storage volume create default held").succeed()?;
    stage.lxctl("storage volume attach default held h1 /srv").succeed()?;
    const MAKE: &str = "for at in /root /srv; do cp /bin/busybox $at/setuid; chmod 4755 $at/setuid; done; chmod 777 / /srv";
    stage.exec("h1", ["sh", "-ec", MAKE]).succeed()?;
    let deeds = [
        "storage volume snapshot default held s1",
        "snapshot h1 s1",
        "copy h1 h2",
        "storage volume copy default/held default/held2",
        "publish h1/s1 --alias held",
        "restore h1 s1",
        "storage set default trash.expiry=1d",
        "delete --force h2",
        "storage volume delete default held2",
    ];
    for deed in std::iter::once("list").chain(deeds) {
        stage.lxctl(deed).timeout(Duration::from_secs(120)).succeed()?;
        const FIND: &str = "find /var/lib/lxhost /run/lxhost -xdev \\( -name setuid -o -name busybox -o -name 'state.db*' -o -path '*/definitions/*' \
            -o -name '*.yaml' \\) -type f";
        let found = stage.host.succeed(["sh", "-ec", FIND])?;
        ensure!(found.lines().filter(|line| line.ends_with("/setuid")).count() >= 2, "{deed}: {found}");
        let reach = "while read -r path; do test ! -r \"$path\" || echo \"$path\"; done";
        let reached = stage.host.command(["sh", "-c", reach]).stdin(found.clone()).user("alice").succeed()?;
        ensure!(reached.is_empty(), "{deed}: an ordinary user reads {reached}");
        // A second door, should the state directory be opened.
        let open = stage.host.succeed(["sh", "-ec", "find /var/lib/lxhost -maxdepth 1 -name 'state.db*' -perm /077"])?;
        ensure!(open.is_empty(), "{deed}: {open}");
    }
    for words in [
        "storage unset default trash.expiry",
        "trash empty",
        "image delete held",
        "delete --force h1",
        "storage volume delete default held",
    ] {
        stage.lxctl(words).succeed()?;
    }
    Ok(())
}

fn sys_is_read_only_and_proc_is_masked(stage: &Stage) -> Result<()> {
    two(stage)?;
    stage.exec("s1", ["sh", "-c", "echo x >/sys/kernel/uevent_helper"]).fail()?;
    stage.exec("s1", ["sh", "-c", "echo b >/proc/sysrq-trigger"]).fail()?;
    stage.exec("s1", ["sh", "-c", "echo core >/proc/sys/kernel/core_pattern"]).fail()?;
    let keys = stage.exec("s1", ["sh", "-c", "cat /proc/kcore | head -c 1 | wc -c"]).output()?;
    ensure!(keys.stdout_text().trim() == "0", "{}", keys.describe());
    Ok(())
}

fn devices_are_few(stage: &Stage) -> Result<()> {
    two(stage)?;
    let found = stage.exec("s1", ["find", "/dev", "-xdev", "(", "-type", "b", "-o", "-type", "c", ")"]).succeed()?;
    for device in found.lines() {
        let name = device.trim_start_matches("/dev/");
        let known = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "fuse", "net/tun", "pts/ptmx"]
            .contains(&name);
        ensure!(known || name.starts_with("pts/") || name.starts_with("tty"), "{device}");
    }
    Ok(())
}

fn containers_within_need_nesting(stage: &Stage) -> Result<()> {
    two(stage)?;
    stage.lxctl("launch debian nest --config security.nesting=true --wait").succeed()?;
    let proc = "mkdir -p /root/proc && unshare --mount --pid --fork mount -t proc proc /root/proc";
    let within = format!("unshare --user --map-root-user sh -ec '{proc}'");
    stage.exec("nest", ["sh", "-c", &within]).succeed()?;
    // What lets it; a host booted by nspawn has another proc below its root, so that elsewhere it may work as well.
    stage.exec("nest", ["test", "-d", "/run/host/proc/1"]).succeed()?;
    stage.exec("s1", ["test", "-e", "/run/host/proc"]).fail()?;
    // What engines do with /var/lib/docker and /var/lib/containers: a root on an overlay cannot carry another.
    for place in ["/var/lib/docker", "/var/lib/containers"] {
        let layers = format!(
            "cd {place}; mkdir lower upper work merged; \
             mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr merged; echo kept >merged/file"
        );
        stage.exec("nest", ["sh", "-ec", &layers]).succeed()?;
    }
    stage.lxctl("restart nest").succeed()?;
    ensure!(stage.exec("nest", ["cat", "/var/lib/docker/upper/file"]).succeed()? == "kept\n");
    stage.delete("nest")
}

fn a_neighbour_is_neither_seen_nor_reached_through_the_host(stage: &Stage) -> Result<()> {
    two(stage)?;
    stage.exec("s2", ["systemd-run", "--quiet", "--unit=secret", "sleep", "98765"]).succeed()?;
    let seen = stage.exec("s1", ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).succeed()?;
    ensure!(!seen.contains("98765"), "{seen}");
    stage.delete("s1 s2")
}
