//! Pools that bring a file system: in a file or on a device, made and mounted by the daemon, mounted again whatever has
//! become of the mount, growing, and gone without a trace.

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "pools",
    Base::Packaged,
    [
        a_pool_in_a_file_lives_on_every_driver,
        a_pool_is_mounted_again_whatever_happened,
        a_pool_grows_under_a_guest,
        a_pool_in_a_file_is_found_without_its_record,
        a_pool_that_gets_full_is_told_of_and_refuses_with_numbers,
        what_may_not_be_is_refused,
        a_pool_on_ext4_grows_under_a_guest needs [Kernel],
        a_pool_lives_on_a_device needs [Kernel],
    ]
);

/// Loop devices, an image, and a default pool that is another one.
fn prepare(stage: &Stage) -> Result<()> {
    stage.with_loops()?;
    stage.with_busybox()?;
    stage.lxctl("create busybox c0").succeed()?;
    stage.delete("c0")
}

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

fn sh(stage: &Stage, script: &str) -> Result<String> {
    Ok(stage.host.succeed(["sh", "-ec", script])?.trim().to_owned())
}

/// Bytes that `lxctl storage info` says the pool has.
fn total(stage: &Stage, pool: &str) -> Result<u64> {
    let said = stage.lxctl(&format!("storage info {pool} --format json")).succeed()?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    said["total"].as_u64().with_context(|| format!("no total: {said}"))
}

fn mounted(stage: &Stage, pool: &str) -> Result<String> {
    sh(stage, &format!("findmnt -nro FSTYPE,OPTIONS --mountpoint /var/lib/lxhost/pools/{pool} || echo nothing"))
}

/// Nothing tells that there was a pool of that name.
fn left_nothing(stage: &Stage, pool: &str) -> Result<()> {
    ensure!(mounted(stage, pool)? == "nothing");
    let script = format!(
        "test ! -e /var/lib/lxhost/pools/{pool} && test ! -e /var/lib/lxhost/disks && \
         ! losetup --noheadings --output BACK-FILE | grep disks/{pool}.img"
    );
    sh(stage, &script).map(drop)
}

fn a_pool_in_a_file_lives_on_every_driver(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    prepare(&stage)?;
    for (driver, kind) in [("btrfs", "btrfs"), ("overlay", "ext4"), ("dir", "ext4")] {
        stage.lxctl(&format!("storage create own {driver} size=300MiB")).succeed()?;
        let mount = mounted(&stage, "own")?;
        ensure!(mount.starts_with(kind) && mount.contains("nodev"), "{mount}");
        sh(
            &stage,
            "test $(stat -c %a:%u /var/lib/lxhost/pools/own) = 700:0 && test $(stat -c %a /var/lib/lxhost/disks/own.img) = 600",
        )?;
        sh(&stage, "test $(du -m /var/lib/lxhost/disks/own.img | cut -f1) -lt 100")?;
        let size = total(&stage, "own")?;
        ensure!((200 << 20..=300 << 20).contains(&size), "{driver}: {size}");
        stage.lxctl("launch busybox c1 -s own").succeed()?;
        inside(&stage, "c1", "echo kept >/root/kept")?;
        stage.lxctl("snapshot c1 s1").succeed()?;
        stage.lxctl("copy c1 c2").succeed()?;
        stage.lxctl("start c2").succeed()?;
        inside(&stage, "c2", "test \"$(cat /root/kept)\" = kept")?;
        stage.lxctl("storage volume create own data").succeed()?;
        stage.lxctl("storage volume attach own data c2 /srv").succeed()?;
        inside(&stage, "c2", "echo x >/srv/x")?;
        // What is done to volumes finds their pool, too.
        stage.lxctl("stop c2 --force").succeed()?;
        sh(&stage, "umount /var/lib/lxhost/pools/own")?;
        stage.lxctl("storage volume copy own/data own/data2").succeed()?;
        sh(&stage, "grep -rqs x /var/lib/lxhost/pools/own/volumes/instances/*/root/x")?;
        stage.lxctl("storage volume delete own data2").succeed()?;
        ensure!(stage.lxctl("storage delete own").output()?.code == Some(5), "it holds something");
        stage.delete("c1 c2")?;
        stage.lxctl("storage volume delete own data").succeed()?;
        stage.lxctl("storage delete own").succeed()?;
        left_nothing(&stage, "own")?;
    }
    Ok(())
}

fn a_pool_is_mounted_again_whatever_happened(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    prepare(&stage)?;
    stage.lxctl("storage create own-1 btrfs size=300MiB btrfs.mount_options=compress=zstd:3,noatime").succeed()?;
    stage.lxctl("launch busybox c1 -s own-1").succeed()?;
    inside(&stage, "c1", "echo kept >/root/kept; sync")?;
    let mount = mounted(&stage, "own-1")?;
    ensure!(mount.contains("compress=zstd:3") && mount.contains("noatime"), "{mount}");
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    inside(&stage, "c1", "test -e /root/kept")?;
    // Somebody unmounts it.
    stage.lxctl("stop c1 --force").succeed()?;
    sh(&stage, "umount /var/lib/lxhost/pools/own-1")?;
    ensure!(total(&stage, "own-1")? <= 300 << 20, "another file system was asked");
    sh(&stage, "umount /var/lib/lxhost/pools/own-1")?;
    stage.lxctl("start c1").succeed()?;
    inside(&stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    // In an orderly way, and not.
    stage.lxctl("config set c1 boot.autostart=true").succeed()?;
    stage.host.reboot()?;
    stage.eventually("c1 runs again", || Ok((stage.status("c1")? == "running").then_some(())))?;
    inside(&stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.host.crash()?;
    stage.host.power_on()?;
    stage.eventually("c1 runs again", || Ok((stage.status("c1")? == "running").then_some(())))?;
    inside(&stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    // What cannot be mounted is said, and nothing is made in the directory below.
    stage.lxctl("stop c1 --force").succeed()?;
    sh(&stage, "umount /var/lib/lxhost/pools/own-1; mv /var/lib/lxhost/disks/own-1.img /var/lib/lxhost/disks/away")?;
    for words in ["start c1", "create busybox c2 -s own-1", "storage info own-1", "storage volume create own-1 data"] {
        let refused = stage.lxctl(words).fail()?.stderr_text();
        ensure!(refused.contains("own-1") && refused.contains("gone"), "{words}: {refused}");
    }
    sh(
        &stage,
        "test -z \"$(ls -A /var/lib/lxhost/pools/own-1)\"; mv /var/lib/lxhost/disks/away /var/lib/lxhost/disks/own-1.img",
    )?;
    stage.lxctl("start c1").succeed()?;
    inside(&stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    // While somebody stands in it, it stays a pool.
    stage.delete("c1")?;
    sh(&stage, "systemd-run --quiet --unit=sits sh -c 'cd /var/lib/lxhost/pools/own-1 && exec sleep 1000'")?;
    stage.eventually("somebody stands in it", || {
        let stands = "test $(readlink /proc/$(systemctl show -P MainPID sits)/cwd) = /var/lib/lxhost/pools/own-1";
        Ok((stage.host.command(["sh", "-c", stands]).output()?.code == Some(0)).then_some(()))
    })?;
    let refused = stage.lxctl("storage delete own-1").fail()?.stderr_text();
    ensure!(refused.contains("uses"), "{refused}");
    stage.lxctl("create busybox c3 -s own-1").succeed()?;
    stage.delete("c3")?;
    sh(&stage, "systemctl stop sits.service")?;
    stage.lxctl("storage delete own-1").succeed()?;
    left_nothing(&stage, "own-1")
}

/// A pool of that driver grows while a guest runs in it, and never shrinks.
fn grows(stage: &Stage, driver: &str) -> Result<()> {
    stage.lxctl(&format!("storage create own {driver} size=300MiB")).succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    let before = total(stage, "own")?;
    stage.lxctl("storage set own size=700MiB").succeed()?;
    let after = total(stage, "own")?;
    ensure!(after > before + (300 << 20), "{driver}: {before}, then {after}");
    inside(stage, "c1", "dd if=/dev/zero of=/root/big bs=1M count=350 2>/dev/null")?;
    for (size, code) in [("500MiB", 8), ("699MiB", 8), ("much", 2), ("2EiB", 2)] {
        let output = stage.lxctl(&format!("storage set own size={size}")).output()?;
        ensure!(output.code == Some(code), "{size}: {}", output.describe());
    }
    ensure!(stage.lxctl("storage get own size").succeed()?.trim() == "700MiB" && total(stage, "own")? == after);
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn a_pool_grows_under_a_guest(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    prepare(&stage)?;
    grows(&stage, "btrfs")
}

// For the ioctl of ext4 there has to be CAP_SYS_RESOURCE, which the machine of the tests need not have.
fn a_pool_on_ext4_grows_under_a_guest(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    grows(stage, "dir")
}

fn a_pool_in_a_file_is_found_without_its_record(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    prepare(&stage)?;
    stage.lxctl("storage create own btrfs size=300MiB").succeed()?;
    stage.lxctl("create busybox c1 -s own").succeed()?;
    let defined = "grep -rqs '\"c1\"' /var/lib/lxhost/pools/own/instances";
    stage.eventually("c1 is written down", || {
        Ok((stage.host.command(["sh", "-c", defined]).output()?.code == Some(0)).then_some(()))
    })?;
    sh(
        &stage,
        "systemctl stop lxhostd.service && rm -f /var/lib/lxhost/state.db* && umount /var/lib/lxhost/pools/own && systemctl start lxhostd.service",
    )?;
    let refused = stage.lxctl("storage create own btrfs size=300MiB").fail()?.stderr_text();
    ensure!(refused.contains("another pool's"), "{refused}");
    stage.lxctl("recover --yes").succeed()?;
    ensure!(stage.lxctl("storage get own source").succeed()?.trim() == "/var/lib/lxhost/disks/own.img");
    stage.lxctl("storage set own size=400MiB").succeed()?;
    stage.lxctl("start c1").succeed()?;
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(&stage, "own")
}

fn a_pool_that_gets_full_is_told_of_and_refuses_with_numbers(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    prepare(&stage)?;
    stage.lxctl("storage create own dir size=256MiB").succeed()?;
    // What is free then is less than what is kept in reserve.
    sh(&stage, "cd /var/lib/lxhost/pools/own && fallocate -l $(( $(stat -fc '%a * %S' .) - 1048576 )) ballast")?;
    let refused = stage.lxctl("create busybox c1 -s own").output()?;
    ensure!(refused.code == Some(7) && refused.stderr_text().contains("kept in reserve"), "{}", refused.describe());
    ensure!(stage.row("c1")?.is_none());
    ensure!(stage.lxctl("storage info own").succeed()?.contains("Warning: it is nearly full"));
    let found = stage.lxctl("doctor --format csv").output()?.stdout_text();
    ensure!(found.lines().any(|line| line.starts_with("pool own,warn,")), "{found}");
    let told = "journalctl --sync && journalctl --no-pager --catalog LXHOST_POOL=own";
    stage.eventually("the journal tells of it", || {
        let said = sh(&stage, told)?;
        Ok((said.contains("pool own is nearly full") && said.contains("90 percent or more")).then_some(()))
    })?;
    sh(&stage, "rm /var/lib/lxhost/pools/own/ballast")?;
    stage.lxctl("create busybox c1 -s own").succeed()?;
    ensure!(stage.lxctl("info c1").succeed()?.contains("Disk usage:"));
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(&stage, "own")
}

fn what_may_not_be_is_refused(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox r1").succeed()?;
    sh(stage, "mkdir -p /var/lib/lxhost/pools/full && touch /var/lib/lxhost/pools/full/mine")?;
    // Whoever could put something else in the place of a pool would be root.
    sh(
        stage,
        "mkdir -p /srv/of/alice /srv/open/own && chown alice /srv/of/alice && chmod 777 /srv/open && ln -s /srv/of/alice /srv/way",
    )?;
    nothing_changes(&stage.host, || {
        for (words, code) in [
            ("storage create own dir size=much", 2),
            ("storage create own dir size=1MiB", 2),
            ("storage create own dir size=1GiB source=/srv/own", 2),
            ("storage create own dir source=/dev/null", 2),
            ("storage create own dir source=/dev/nothing", 2),
            ("storage create own dir source=/dev/../etc", 2),
            ("storage create own dir source=/dev/null size=1GiB", 2),
            ("storage create own dir source.wipe=true", 2),
            ("storage create own dir size=1GiB btrfs.mount_options=noatime", 2),
            ("storage create own btrfs size=1GiB btrfs.mount_options=subvol=/", 2),
            ("storage create full dir size=300MiB", 5),
            ("storage create own dir source=/srv/of/alice", 10),
            ("storage create own dir source=/srv/of/alice/pool", 10),
            ("storage create own dir source=/srv/way/pool", 10),
            ("storage create own dir source=/srv/open/own", 10),
            ("storage set default size=20GiB", 2),
            ("storage create own zfss", 8),
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        let said = stage.lxctl("storage create own zfss").fail()?.stderr_text();
        ensure!(said.contains("zfs") && said.contains("btrfs"), "{said}");
        // Where LVM or ZFS is not installed that is all that is said.
        for (tool, words, packages) in [
            ("lvcreate", "lvm size=300MiB", "lvm2"),
            ("zpool", "zfs", "zfsutils-linux zfs-dkms"),
            ("zpool", "zfs source=tank", "zfs-dkms"),
        ] {
            let without = format!("! command -v {tool} >/dev/null || exit 0; lxctl storage create own {words}");
            let said = stage.host.command(["sh", "-c", &without]).output()?;
            ensure!(said.code == Some(0) || said.code == Some(8) && said.stderr_text().contains(packages), "{}", said.describe());
            ensure!(!said.stderr_text().contains("undoing"), "{}", said.describe());
        }
        let output = stage.lxctl("--no-ask-password storage create own dir size=300MiB").user("alice").output()?;
        ensure!(output.code == Some(6), "{}", output.describe());
        Ok(())
    })
}

fn a_pool_lives_on_a_device(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    sh(stage, "truncate -s 600M /var/disk.img && losetup /dev/loop20 /var/disk.img && mkfs.ext4 -q /dev/loop20")?;
    let held = sh(stage, "sha256sum /var/disk.img")?;
    for (words, code) in [
        ("storage create own overlay source=/dev/loop20", 5),
        ("storage create own overlay source=/dev/loop20 size=1GiB", 2),
        ("storage create own overlay source=/dev/loop20 source.wipe=maybe", 2),
    ] {
        let output = stage.lxctl(words).output()?;
        ensure!(output.code == Some(code), "{words}: {}", output.describe());
    }
    ensure!(sh(stage, "sha256sum /var/disk.img")? == held, "it was written to");
    stage.lxctl("storage create own overlay source=/dev/loop20 source.wipe=true").succeed()?;
    ensure!(!stage.lxctl("storage show own").succeed()?.contains("wipe"));
    // What the other hosts' kernel has not.
    let mount = mounted(stage, "own")?;
    ensure!(mount.contains("prjquota") && mount.contains("nodev"), "{mount}");
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept")?;
    let refused = stage.lxctl("storage create two btrfs source=/dev/loop20 source.wipe=true").fail()?.stderr_text();
    ensure!(refused.contains("belongs to pool own"), "{refused}");
    let refused = stage.lxctl("storage create two dir source=/dev/block/7:20 source.wipe=true").fail()?.stderr_text();
    ensure!(refused.contains("in use"), "{refused}");
    // The device gets another name, as disks do.
    stage.lxctl("stop c1 --force").succeed()?;
    sh(stage, "umount /var/lib/lxhost/pools/own && losetup -d /dev/loop20 && losetup /dev/loop21 /var/disk.img")?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    ensure!(mounted(stage, "own")? == "nothing");
    ensure!(sh(stage, "wipefs --noheadings /dev/loop21")?.is_empty(), "nothing tells of it any more");
    sh(stage, "losetup -d /dev/loop21; rm /var/disk.img").map(drop)
}
