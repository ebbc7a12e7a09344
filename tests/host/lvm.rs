//! Pools in volume groups: in a file, on a device, in somebody else's group; what lives in them, what a crash and a full
//! pool leave, and what stays when they go.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "lvm",
    Base::Packaged,
    [
        a_pool_holds_everything_and_goes_without_a_trace needs [DeviceMapper],
        a_size_bounds_what_a_guest_writes_and_changes_under_it needs [DeviceMapper, Quota],
        a_pool_is_there_again_after_a_reboot_and_a_crash needs [DeviceMapper, Kernel],
        a_group_of_somebody_elses_is_shared needs [DeviceMapper],
        a_device_is_taken_when_it_may_be needs [DeviceMapper],
        a_full_pool_says_so_and_can_be_emptied needs [DeviceMapper],
        a_pool_is_found_without_its_record needs [DeviceMapper],
        what_may_not_be_is_refused needs [DeviceMapper],
    ]
);

/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;

/// Loop devices, an image, and a default pool that is another one.
fn prepare(stage: &Stage) -> Result<()> {
    sh(stage, "modprobe loop")?;
    stage.with_busybox()?;
    stage.lxctl("create busybox c0").succeed()?;
    stage.delete("c0")
}

fn sh(stage: &Stage, script: &str) -> Result<String> {
    Ok(stage.host.succeed(["sh", "-ec", script])?.trim().to_owned())
}

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

/// Names of the logical volumes of a group.
fn volumes(stage: &Stage, group: &str) -> Result<Vec<String>> {
    let said = sh(stage, &format!("lvs --noheadings -o lv_name {group}"))?;
    Ok(said.split_whitespace().map(str::to_owned).collect())
}

/// Nothing tells that there was a pool of that name.
fn left_nothing(stage: &Stage, pool: &str) -> Result<()> {
    let left = sh(
        stage,
        &format!(
            "findmnt -nro TARGET | grep pools/{pool} || true; vgs --noheadings -o vg_name | grep lxhost-{pool} || true; \
             losetup --noheadings --output BACK-FILE | grep disks/ || true; ls -d /var/lib/lxhost/disks /var/lib/lxhost/pools/{pool} \
             2>/dev/null || true; dmsetup ls | grep -v 'No devices' || true"
        ),
    )?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

fn a_pool_holds_everything_and_goes_without_a_trace(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own lvm size=1GiB").succeed()?;
    let mode = sh(stage, "stat -c %a:%u /var/lib/lxhost/pools/own; stat -c %a /var/lib/lxhost/disks/own.img")?;
    ensure!(mode == "700:0\n600", "{mode}");
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "test ! -e /lost+found; echo kept >/root/kept")?;
    stage.lxctl("snapshot c1 s1").succeed()?;
    inside(stage, "c1", "echo other >/root/kept")?;
    stage.lxctl("copy c1 c2").succeed()?;
    stage.lxctl("start c2").succeed()?;
    inside(stage, "c2", "test \"$(cat /root/kept)\" = other")?;
    stage.lxctl("restore c1 s1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.lxctl("storage volume create own data").succeed()?;
    stage.lxctl("storage volume attach own data c2 /srv").succeed()?;
    inside(stage, "c2", "test -z \"$(ls -A /srv)\"; echo x >/srv/x")?;
    stage.lxctl("storage volume copy own/data own/data2").succeed()?;
    // Nobody has it yet, so nobody has mounted it.
    let pulled = stage.lxctl("storage volume file pull own data2/x -").succeed()?;
    ensure!(pulled == "x\n", "{pulled:?}");
    stage.lxctl("storage volume attach own data2 c1 /srv").succeed()?;
    inside(stage, "c1", "test \"$(cat /srv/x)\" = x")?;
    // To another pool, and back by way of a backup.
    stage.lxctl("copy c1 c3 -s default").succeed()?;
    stage.lxctl("start c3").succeed()?;
    inside(stage, "c3", "test \"$(cat /root/kept)\" = kept")?;
    stage.lxctl("export c1 /root/c1.tar.gz").succeed()?;
    // A daemon that is killed finds everything where it was.
    stage.host.succeed(["systemctl", "kill", "-s", "KILL", "lxhostd.service"])?;
    inside(stage, "c2", "test \"$(cat /srv/x)\" = x")?;
    ensure!(stage.lxctl("storage delete own").output()?.code == Some(5), "it holds something");
    stage.lxctl("delete c3 --force").succeed()?;
    stage.delete("c1")?;
    stage.lxctl("import /root/c1.tar.gz -s own").succeed()?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.lxctl("restore c1 s1").succeed()?;
    stage.delete("c1")?;
    stage.delete("c2")?;
    for volume in ["data", "data2"] {
        stage.lxctl(&format!("storage volume delete own {volume}")).succeed()?;
    }
    let left = volumes(stage, "lxhost-own")?;
    ensure!(left.len() == 3, "the pool's directory, the thin pool and the image: {left:?}");
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn a_size_bounds_what_a_guest_writes_and_changes_under_it(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own lvm size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own -d root,size=32MiB").succeed()?;
    let write = |file: &str, megabytes: u32| {
        let script = format!("dd if=/dev/zero of=/root/{file} bs=1M count={megabytes} conv=fsync");
        Ok::<bool, anyhow::Error>(stage.exec("c1", ["sh", "-c", &script]).output()?.code == Some(0))
    };
    ensure!(!write("a", 40)?, "it is bounded from the first start");
    inside(stage, "c1", "rm /root/a; df -m / | grep -qw 32")?;
    stage.lxctl("config device set c1 root size=64MiB").succeed()?;
    ensure!(write("a", 40)?);
    let refused = stage.lxctl("config device set c1 root size=32MiB").output()?;
    ensure!(refused.code == Some(13), "{}", refused.describe());
    // More than it is by itself, while it runs, and less again.
    stage.lxctl("config device set c1 root size=12GiB").succeed()?;
    inside(stage, "c1", "df -m / | grep -qw 12288")?;
    stage.lxctl("config device set c1 root size=48MiB").succeed()?;
    ensure!(!write("b", 20)?);
    inside(stage, "c1", "rm /root/b")?;
    stage.lxctl("storage volume create own data size=16MiB").succeed()?;
    stage.lxctl("storage volume attach own data c1 /srv").succeed()?;
    inside(stage, "c1", "df -m /srv | grep -qw 16")?;
    // The pool grows under it, and does not shrink.
    let total = || sh(stage, "lxctl storage info own --format json | sed -n 's/.*\"total\": *\\([0-9]*\\).*/\\1/p'");
    let before: u64 = total()?.parse()?;
    stage.lxctl("storage set own size=2GiB").succeed()?;
    let after: u64 = total()?.parse()?;
    ensure!(after > before + (900 << 20), "{before}, then {after}");
    ensure!(stage.lxctl("storage set own size=1GiB").output()?.code == Some(8));
    stage.delete("c1")?;
    stage.lxctl("storage volume delete own data").succeed()?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn a_pool_is_there_again_after_a_reboot_and_a_crash(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own lvm size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own -c boot.autostart=true").succeed()?;
    stage.lxctl("storage volume create own data").succeed()?;
    stage.lxctl("storage volume attach own data c1 /srv").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept; echo x >/srv/x; sync")?;
    stage.lxctl("snapshot c1 s1").succeed()?;
    let runs = || stage.eventually("c1 runs again", || Ok((stage.status("c1")? == "running").then_some(())));
    stage.host.reboot()?;
    runs()?;
    inside(stage, "c1", "test \"$(cat /root/kept /srv/x)\" = \"kept\nx\"")?;
    // What a crash leaves: a volume that no note names, and a directory that was thrown away.
    sh(
        stage,
        "pool=lxhost-own; tag=$(lvs --noheadings -o lv_tags $pool/lxhost.dir | tr -d ' '); \
         lvcreate -qq -y -V 1g -T $pool/lxhost --addtag $tag -n lxhost.00000000000000000000000000000000 2>/dev/null; \
         lvcreate -qq -y -V 1g -T $pool/lxhost --addtag $tag -n lxhost.00000000000000000000000000000001 2>/dev/null; \
         cd /var/lib/lxhost/pools/own/.trash; mkdir -p bin/root; printf lxhost.00000000000000000000000000000001 >bin/tree; sync",
    )?;
    stage.host.crash()?;
    stage.host.power_on()?;
    runs()?;
    inside(stage, "c1", "test \"$(cat /root/kept /srv/x)\" = \"kept\nx\"")?;
    stage.eventually("what was left is gone", || {
        let left = volumes(stage, "lxhost-own")?.iter().any(|name| name.starts_with("lxhost.0000"));
        let bin = stage.host.command(["test", "-e", "/var/lib/lxhost/pools/own/.trash/bin"]).output()?.code == Some(0);
        Ok((!left && !bin).then_some(()))
    })?;
    stage.lxctl("restore c1 s1").succeed()?;
    // Whoever unmounts everything takes nothing away.
    stage.lxctl("stop c1 --force").succeed()?;
    sh(stage, "umount -R /var/lib/lxhost/pools/own")?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept /srv/x)\" = \"kept\nx\"")?;
    stage.delete("c1")?;
    stage.lxctl("storage volume delete own data").succeed()?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn a_group_of_somebody_elses_is_shared(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    sh(
        stage,
        "truncate -s 1G /var/disk.img; losetup /dev/loop20 /var/disk.img; vgcreate -qq theirs /dev/loop20; \
         lvcreate -qq -y -L 64M -n mine theirs; lvcreate -qq -y -L 8M -n lxhost theirs; mkfs.ext4 -q /dev/theirs/mine",
    )?;
    let held = sh(stage, "sha256sum </dev/theirs/mine")?;
    nothing_changes(&stage.host, || {
        for (words, code) in [
            ("storage create own lvm source=theirs", 5),
            ("storage create own lvm source=nobodys", 2),
            ("storage create own lvm source=theirs lvm.vg_name=other", 2),
            ("storage create own lvm source=theirs source.wipe=true", 2),
            ("storage create own lvm source=/dev/theirs/mine source.wipe=true lvm.vg_name=theirs", 5),
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    let output = stage.lxctl("storage create own lvm source=theirs size=20GiB lvm.thinpool_name=ours").output()?;
    ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
    ensure!(volumes(stage, "theirs")? == ["lxhost", "mine"], "what was begun is left");
    stage.lxctl("storage create own lvm source=theirs size=512MiB lvm.thinpool_name=ours").succeed()?;
    let refused = stage.lxctl("storage create two lvm source=theirs lvm.thinpool_name=more").fail()?.stderr_text();
    ensure!(refused.contains("belongs to pool own"), "{refused}");
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept")?;
    stage.lxctl("storage set own size=640MiB").succeed()?;
    stage.delete("c1")?;
    // What somebody else has put into the thin pool is not deleted with it.
    sh(stage, "lvcreate -qq -y -V 1g -T theirs/ours -n guest 2>/dev/null")?;
    let refused = stage.lxctl("storage delete own").fail()?.stderr_text();
    ensure!(refused.contains("guest"), "{refused}");
    sh(stage, "lvremove -qq -y theirs/guest")?;
    stage.lxctl("storage delete own").succeed()?;
    ensure!(volumes(stage, "theirs")? == ["lxhost", "mine"]);
    ensure!(sh(stage, "sha256sum </dev/theirs/mine")? == held);
    sh(stage, "vgremove -qq -y theirs; pvremove -qq /dev/loop20; losetup -d /dev/loop20; rm /var/disk.img")?;
    left_nothing(stage, "own")
}

fn a_device_is_taken_when_it_may_be(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    sh(stage, "truncate -s 600M /var/disk.img; losetup /dev/loop20 /var/disk.img; mkfs.ext4 -q /dev/loop20")?;
    let held = sh(stage, "sha256sum /var/disk.img")?;
    let output = stage.lxctl("storage create own lvm source=/dev/loop20").output()?;
    ensure!(output.code == Some(5), "{}", output.describe());
    ensure!(sh(stage, "sha256sum /var/disk.img")? == held, "it was written to");
    stage.lxctl("storage create own lvm source=/dev/loop20 source.wipe=true lvm.vg_name=ours").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept")?;
    let refused = stage.lxctl("storage create two lvm size=300MiB lvm.vg_name=ours").output()?;
    ensure!(refused.code == Some(5) && refused.stderr_text().contains("ours"), "{}", refused.describe());
    let refused = stage.lxctl("storage create two dir source=/dev/block/7:20 source.wipe=true").fail()?.stderr_text();
    ensure!(refused.contains("in use"), "{refused}");
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    ensure!(sh(stage, "wipefs --noheadings /dev/loop20")?.is_empty(), "nothing tells of it any more");
    sh(stage, "losetup -d /dev/loop20; rm /var/disk.img")?;
    left_nothing(stage, "own")
}

fn a_full_pool_says_so_and_can_be_emptied(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own lvm size=300MiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    stage.lxctl("create busybox c2 -s own").succeed()?;
    let full = stage.exec("c1", ["sh", "-c", "dd if=/dev/urandom of=/root/big bs=1M count=400 conv=fsync"]).output()?;
    ensure!(full.code != Some(0), "it fits: {}", full.describe());
    for words in ["create busybox c3 -s own", "copy c2 c3", "snapshot c2", "storage volume create own data"] {
        let output = stage.lxctl(words).output()?;
        ensure!(output.code == Some(NO_SPACE), "{words}: {}", output.describe());
        ensure!(output.stderr_text().contains("full"), "{words}: {}", output.describe());
    }
    stage.delete("c1")?;
    stage.lxctl("start c2").succeed()?;
    inside(stage, "c2", "dd if=/dev/urandom of=/root/big bs=1M count=20 conv=fsync")?;
    stage.delete("c2")?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn a_pool_is_found_without_its_record(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own lvm size=512MiB").succeed()?;
    stage.lxctl("create busybox c1 -s own").succeed()?;
    let defined = "grep -rqs '\"c1\"' /var/lib/lxhost/pools/own/instances";
    stage.eventually("c1 is written down", || {
        Ok((stage.host.command(["sh", "-c", defined]).output()?.code == Some(0)).then_some(()))
    })?;
    sh(
        stage,
        "systemctl stop lxhostd.service; rm -f /var/lib/lxhost/state.db*; umount -R /var/lib/lxhost/pools/own; \
         vgchange -qq -an lxhost-own; losetup -D; systemctl start lxhostd.service",
    )?;
    let refused = stage.lxctl("storage create own lvm size=512MiB").fail()?.stderr_text();
    ensure!(refused.contains("another pool's"), "{refused}");
    stage.lxctl("recover --yes").succeed()?;
    ensure!(stage.lxctl("storage get own source").succeed()?.trim() == "/var/lib/lxhost/disks/own.img");
    stage.lxctl("start c1").succeed()?;
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn what_may_not_be_is_refused(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    nothing_changes(&stage.host, || {
        for words in [
            "storage create own lvm",
            "storage create own lvm size=1MiB",
            "storage create own lvm source=/srv/own",
            "storage create own lvm source=-x",
            "storage create own lvm size=1GiB lvm.use_thinpool=false",
            "storage create own lvm size=1GiB lvm.vg_name=a/b",
            "storage create own lvm size=1GiB lvm.thinpool_name=x_tdata",
            "storage create own dir size=300MiB lvm.vg_name=x",
            "storage create own lvm source=/dev/null",
            "storage create own lvm source=/dev/nothing source.wipe=true",
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(2), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    // The tools are not there.
    sh(stage, "mv /usr/sbin/vgs /usr/sbin/vgs.away; mv /usr/sbin/lvcreate /usr/sbin/lvcreate.away")?;
    let output = stage.lxctl("storage create own lvm size=300MiB").output()?;
    sh(stage, "mv /usr/sbin/vgs.away /usr/sbin/vgs; mv /usr/sbin/lvcreate.away /usr/sbin/lvcreate")?;
    ensure!(output.code == Some(8) && output.stderr_text().contains("lvm2"), "{}", output.describe());
    left_nothing(stage, "own")
}
