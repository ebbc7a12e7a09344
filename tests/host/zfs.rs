//! Pools in zpools: in a file, on a device, in somebody else's zpool or dataset; what lives in them, what a crash and a full
//! pool leave, and what stays when they go.

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "zfs",
    Base::Packaged,
    [
        a_pool_that_is_only_named_lies_in_a_file_and_goes_without_a_trace needs [Zfs],
        an_older_snapshot_is_restored_and_later_ones_stay needs [Zfs],
        what_has_copies_is_deleted_and_they_stay needs [Zfs],
        a_size_bounds_what_a_guest_writes_and_changes_under_it needs [Zfs],
        a_pool_is_there_again_after_a_reboot_and_a_crash needs [Zfs, Kernel],
        a_killed_daemon_leaves_what_its_notes_say needs [Zfs],
        a_zpool_of_somebody_elses_is_shared needs [Zfs],
        a_device_is_taken_when_it_may_be needs [Zfs],
        a_full_pool_says_so_and_can_be_emptied needs [Zfs],
        a_pool_is_found_without_its_record needs [Zfs],
        what_may_not_be_is_refused needs [Zfs],
        without_its_module_it_is_unsupported_and_nothing_is_made needs [Zfs, Kernel],
        what_lies_in_files_goes_with_the_purged_package needs [Zfs],
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

/// Names of the datasets below one, and of their snapshots, without that itself.
fn datasets(stage: &Stage, above: &str) -> Result<Vec<String>> {
    let said = sh(stage, &format!("zfs list -H -t all -o name -r {above}"))?;
    let below = format!("{above}/");
    Ok(said.lines().filter_map(|name| name.strip_prefix(&below)).map(str::to_owned).collect())
}

/// Nothing tells that there was a pool of that name.
fn left_nothing(stage: &Stage, pool: &str) -> Result<()> {
    let left = sh(
        stage,
        &format!(
            "findmnt -nro TARGET | grep pools/{pool} || true; zpool list -H -o name | grep -v -e theirs || true; \
             losetup --noheadings --output BACK-FILE | grep disks/ || true; \
             ls -d /var/lib/lxhost/disks /var/lib/lxhost/pools/{pool} 2>/dev/null || true"
        ),
    )?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

fn a_pool_that_is_only_named_lies_in_a_file_and_goes_without_a_trace(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create zfs-pool zfs").succeed()?;
    let mode = sh(stage, "stat -c %a:%u /var/lib/lxhost/pools/zfs-pool; stat -c %a:%s /var/lib/lxhost/disks/zfs-pool.img")?;
    ensure!(mode == format!("700:0\n600:{}", 5_u64 << 30), "{mode}");
    ensure!(stage.lxctl("storage get zfs-pool size").succeed()?.trim() == "5GiB");
    stage.lxctl("launch busybox c1 -s zfs-pool").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept; chown 1000:1000 /root/kept; mkdir /root/d; ln -s kept /root/d/link")?;
    let owner = inside(stage, "c1", "stat -c %u:%g /root/kept; grep ' / ' /proc/mounts | cut -d' ' -f3")?;
    ensure!(owner == "1000:1000\nzfs\n", "{owner:?}");
    stage.lxctl("snapshot c1 s1").succeed()?;
    inside(stage, "c1", "echo other >/root/kept")?;
    stage.lxctl("copy c1 c2").succeed()?;
    stage.lxctl("start c2").succeed()?;
    inside(stage, "c2", "test \"$(cat /root/kept)\" = other")?;
    stage.lxctl("restore c1 s1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.lxctl("storage volume create zfs-pool data").succeed()?;
    stage.lxctl("storage volume attach zfs-pool data c2 /srv").succeed()?;
    inside(stage, "c2", "test -z \"$(ls -A /srv)\"; echo x >/srv/x")?;
    stage.lxctl("storage volume copy zfs-pool/data zfs-pool/data2").succeed()?;
    // Nobody has it yet, so nobody has mounted it.
    let pulled = stage.lxctl("storage volume file pull zfs-pool data2/x -").succeed()?;
    ensure!(pulled == "x\n", "{pulled:?}");
    stage.lxctl("storage volume attach zfs-pool data2 c1 /srv").succeed()?;
    inside(stage, "c1", "test \"$(cat /srv/x)\" = x")?;
    // To another pool, and back by way of a backup.
    stage.lxctl("copy c1 c3 -s default").succeed()?;
    stage.lxctl("start c3").succeed()?;
    inside(stage, "c3", "test \"$(cat /root/kept)\" = kept")?;
    stage.lxctl("export c1 /root/c1.tar.gz").succeed()?;
    // A daemon that is killed finds everything where it was.
    stage.kill_daemon()?;
    inside(stage, "c2", "test \"$(cat /srv/x)\" = x")?;
    ensure!(stage.lxctl("storage delete zfs-pool").output()?.code == Some(5), "it holds something");
    stage.lxctl("delete c3 --force").succeed()?;
    stage.delete("c1")?;
    stage.lxctl("import /root/c1.tar.gz -s zfs-pool").succeed()?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.lxctl("restore c1 s1").succeed()?;
    stage.delete("c1")?;
    stage.delete("c2")?;
    for volume in ["data", "data2"] {
        stage.lxctl(&format!("storage volume delete zfs-pool {volume}")).succeed()?;
    }
    let left = datasets(stage, "lxhost-zfs-pool")?;
    ensure!(left.len() == 2, "the pool's directory and the image: {left:?}");
    stage.lxctl("storage delete zfs-pool").succeed()?;
    left_nothing(stage, "zfs-pool")
}

fn an_older_snapshot_is_restored_and_later_ones_stay(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own zfs size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    for (number, snapshot) in ["s1", "s2", "s3"].into_iter().enumerate() {
        inside(stage, "c1", &format!("echo {number} >/root/number"))?;
        stage.lxctl(&format!("snapshot c1 {snapshot}")).succeed()?;
    }
    inside(stage, "c1", "echo now >/root/number")?;
    for (snapshot, number) in [("s1", "0"), ("s3", "2"), ("s2", "1"), ("s1", "0")] {
        stage.lxctl(&format!("restore c1 {snapshot}")).succeed()?;
        inside(stage, "c1", &format!("test \"$(cat /root/number)\" = {number}; echo other >/root/number"))?;
    }
    // In the middle of the line.
    stage.lxctl("delete c1/s2").succeed()?;
    for (snapshot, number) in [("s3", "2"), ("s1", "0")] {
        stage.lxctl(&format!("restore c1 {snapshot}")).succeed()?;
        inside(stage, "c1", &format!("test \"$(cat /root/number)\" = {number}"))?;
    }
    stage.lxctl("copy c1/s3 c2").succeed()?;
    // An earlier copy follows the original.
    inside(stage, "c1", "echo fresh >/root/number")?;
    stage.lxctl("snapshot c1 s4").succeed()?;
    stage.lxctl("copy c1 c2 --refresh").succeed()?;
    stage.delete("c1")?;
    stage.lxctl("start c2").succeed()?;
    inside(stage, "c2", "test \"$(cat /root/number)\" = fresh")?;
    stage.lxctl("restore c2 s3").succeed()?;
    inside(stage, "c2", "test \"$(cat /root/number)\" = 2")?;
    stage.delete("c2")?;
    let left = datasets(stage, "lxhost-own")?;
    ensure!(left.len() == 2, "the pool's directory and the image: {left:?}");
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn what_has_copies_is_deleted_and_they_stay(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own zfs size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept; dd if=/dev/urandom of=/root/big bs=1M count=20 2>/dev/null; sync")?;
    stage.lxctl("copy c1 c2").succeed()?;
    inside(stage, "c1", "echo later >/root/kept")?;
    stage.lxctl("copy c1 c3").succeed()?;
    stage.lxctl("copy c2 c4").succeed()?;
    // The originals go while their copies run.
    for copy in ["c2", "c3", "c4"] {
        stage.lxctl(&format!("start {copy}")).succeed()?;
    }
    let sum = inside(stage, "c1", "sha256sum </root/big")?;
    stage.delete("c1")?;
    for (copy, word) in [("c2", "kept"), ("c3", "later"), ("c4", "kept")] {
        inside(stage, copy, &format!("test \"$(cat /root/kept)\" = {word}"))?;
        ensure!(inside(stage, copy, "sha256sum </root/big")? == sum, "{copy}");
    }
    stage.delete("c2")?;
    // The image, too, which all of them were made of.
    stage.lxctl("image delete busybox").succeed()?;
    for copy in ["c3", "c4"] {
        stage.lxctl(&format!("restart {copy} --force")).succeed()?;
        ensure!(inside(stage, copy, "sha256sum </root/big")? == sum, "{copy}");
    }
    stage.delete("c3")?;
    ensure!(inside(stage, "c4", "sha256sum </root/big")? == sum);
    stage.delete("c4")?;
    stage.eventually("everything is gone", || Ok((datasets(stage, "lxhost-own")? == ["dir"]).then_some(())))?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn a_size_bounds_what_a_guest_writes_and_changes_under_it(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own zfs size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own -d root,size=32MiB").succeed()?;
    // Zeros take nothing here.
    let write = |file: &str, megabytes: u32| {
        let script = format!("dd if=/dev/urandom of=/root/{file} bs=1M count={megabytes} conv=fsync");
        Ok::<bool, anyhow::Error>(stage.exec("c1", ["sh", "-c", &script]).output()?.code == Some(0))
    };
    ensure!(!write("a", 40)?, "it is bounded from the first start");
    inside(stage, "c1", "rm /root/a; df -m / | grep -qwE '3[1-3]'")?;
    stage.lxctl("config device set c1 root size=64MiB").succeed()?;
    ensure!(write("a", 40)?);
    sh(stage, "zpool sync lxhost-own")?;
    let refused = stage.lxctl("config device set c1 root size=32MiB").output()?;
    ensure!(refused.code == Some(13), "{}", refused.describe());
    // More than it is by itself, while it runs, and less again.
    stage.lxctl("config device set c1 root size=256MiB").succeed()?;
    inside(stage, "c1", "df -m / | grep -qwE '25[5-7]'")?;
    stage.lxctl("config device set c1 root size=48MiB").succeed()?;
    ensure!(!write("b", 20)?);
    // One that is full starts, so that it can be emptied.
    stage.lxctl("restart c1 --force").succeed()?;
    inside(stage, "c1", "rm /root/b")?;
    stage.lxctl("storage volume create own data size=16MiB").succeed()?;
    stage.lxctl("storage volume attach own data c1 /srv").succeed()?;
    inside(stage, "c1", "df -m /srv | grep -qw 16")?;
    // The pool grows under it, and does not shrink.
    let total = || total(stage, "own");
    let before = total()?;
    stage.lxctl("storage set own size=2GiB").succeed()?;
    let after = total()?;
    ensure!(after > before + (800 << 20), "{before}, then {after}");
    ensure!(stage.lxctl("storage set own size=1GiB").output()?.code == Some(8));
    stage.delete("c1")?;
    stage.lxctl("storage volume delete own data").succeed()?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

/// Bytes that `lxctl storage info` says the pool has.
fn total(stage: &Stage, pool: &str) -> Result<u64> {
    let said = stage.lxctl(&format!("storage info {pool} --format json")).succeed()?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    said["total"].as_u64().with_context(|| format!("no total: {said}"))
}

fn a_pool_is_there_again_after_a_reboot_and_a_crash(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own zfs size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own -c boot.autostart=true").succeed()?;
    stage.lxctl("storage volume create own data").succeed()?;
    stage.lxctl("storage volume attach own data c1 /srv").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept; echo x >/srv/x; sync")?;
    stage.lxctl("snapshot c1 s1").succeed()?;
    let runs = || stage.eventually("c1 runs again", || Ok((stage.status("c1")? == "running").then_some(())));
    stage.host.reboot()?;
    runs()?;
    inside(stage, "c1", "test \"$(cat /root/kept /srv/x)\" = \"kept\nx\"")?;
    // What a crash leaves: trees that no note names, one with a snapshot, and a directory that was thrown away.
    sh(
        stage,
        "p=lxhost-own/lxhost.0000000000000000000000000000000; \
         for i in 0 1; do zfs create -o mountpoint=legacy ${p}$i; done; zfs snapshot ${p}0@${p#*/}2; \
         first=$(zfs list -H -o name -r lxhost-own | grep -m1 'own/lxhost.[1-9a-f]'); zfs snapshot $first@${p#*/}3; \
         cd /var/lib/lxhost/pools/own/.trash; mkdir -p bin/root; printf lxhost.00000000000000000000000000000001 >bin/tree; \
         sync; zpool sync",
    )?;
    stage.host.crash()?;
    stage.host.power_on()?;
    runs()?;
    inside(stage, "c1", "test \"$(cat /root/kept /srv/x)\" = \"kept\nx\"")?;
    stage.eventually("what was left is gone", || {
        let left = datasets(stage, "lxhost-own")?.iter().any(|name| name.contains("lxhost.0000"));
        let bin = stage.host.command(["test", "-e", "/var/lib/lxhost/pools/own/.trash/bin"]).output()?.code == Some(0);
        Ok((!left && !bin).then_some(()))
    })?;
    stage.lxctl("restore c1 s1").succeed()?;
    // Whoever unmounts and exports everything takes nothing away.
    stage.lxctl("stop c1 --force").succeed()?;
    sh(stage, "umount -R /var/lib/lxhost/pools/own; zpool export lxhost-own")?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept /srv/x)\" = \"kept\nx\"")?;
    stage.delete("c1")?;
    stage.lxctl("storage volume delete own data").succeed()?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

/// What the pool has are the trees that its notes name, each snapshot has a copy, and each root a record.
fn agrees(stage: &Stage) -> Result<Option<()>> {
    let noted = sh(
        stage,
        "cd /var/lib/lxhost/pools/own; for note in images/*/tree instances/*/tree snapshots/*/tree .trash/*/tree volumes/*/*/tree; \
         do test ! -e $note || { cat $note; echo; }; done | sort",
    )?;
    let there = sh(stage, "zfs list -H -o name -t filesystem -d 1 lxhost-own | sed -n 's,.*/\\(lxhost\\.\\),\\1,p' | sort")?;
    let alone = sh(stage, "zfs list -H -o clones -t snapshot -r lxhost-own | grep -cvE '/' || true")?;
    let roots = sh(stage, "ls /var/lib/lxhost/pools/own/instances | wc -l")?;
    let own = stage.list()?.into_iter().filter(|row| row["name"] != "c0").count();
    Ok((noted == there && alone == "0" && roots == own.to_string()).then_some(()))
}

fn a_killed_daemon_leaves_what_its_notes_say(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own zfs size=1GiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept")?;
    stage.lxctl("snapshot c1 s1").succeed()?;
    // Each is killed at another moment, and done to its end by the next round where that has not happened.
    let verbs =
        ["copy c1 c2", "snapshot c1 s2", "restore c1 s1", "delete c2 --force", "delete c1/s2", "create busybox c3 -s own"];
    for round in 0..3_u64 {
        for (number, verb) in (0..).zip(verbs) {
            let words: Vec<&str> = ["systemd-run", "--quiet", "--collect", "lxctl"].into_iter().chain(verb.split(' ')).collect();
            stage.host.succeed(words)?;
            std::thread::sleep(std::time::Duration::from_millis(round * 450 + number * 70));
            stage.kill_daemon()?;
            stage.eventually(&format!("an end of {verb} in round {round}"), || agrees(stage))?;
            // What was interrupted when it had stopped c1 leaves it so.
            if stage.status("c1")? == "stopped" {
                stage.lxctl("start c1").succeed()?;
            }
            inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
        }
        for name in ["c2", "c3"] {
            if stage.row(name)?.is_some() {
                stage.delete(name)?;
            }
        }
        stage.lxctl("restore c1 s1").succeed()?;
    }
    stage.delete("c1")?;
    let left = || Ok((datasets(stage, "lxhost-own")?.len() == 2).then_some(()));
    stage.eventually("the pool's directory and the image, and nothing else", left)?;
    stage.lxctl("storage delete own").succeed()?;
    // A zpool is made whole or not at all.
    for round in 0..4_u64 {
        stage.host.succeed(["systemd-run", "--quiet", "--collect", "lxctl", "storage", "create", "own", "zfs", "size=300MiB"])?;
        std::thread::sleep(std::time::Duration::from_millis(round * 300));
        stage.kill_daemon()?;
        if stage.lxctl("storage get own size").output()?.code == Some(0) {
            stage.lxctl("create busybox c1 -s own").succeed()?;
            stage.delete("c1")?;
            stage.lxctl("storage delete own").succeed()?;
        }
        left_nothing(stage, "own")?;
    }
    Ok(())
}

fn a_zpool_of_somebody_elses_is_shared(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    sh(
        stage,
        "truncate -s 1G /var/disk.img; losetup /dev/loop20 /var/disk.img; zpool create -m /var/theirs theirs /dev/loop20; \
         zfs create theirs/mine; echo mine >/var/theirs/mine/file; zfs create theirs/guests; zfs create theirs/lxhost-taken",
    )?;
    let held = || {
        sh(
            stage,
            "zfs get -H -o name,property,value,source -r mountpoint,canmount,quota,lxhost:pool theirs; cat /var/theirs/mine/file",
        )
    };
    let before = held()?;
    nothing_changes(&stage.host, || {
        for (words, code) in [
            ("storage create taken zfs source=theirs", 5),
            ("storage create own zfs source=nobodys", 2),
            ("storage create own zfs source=theirs/nothing", 2),
            ("storage create own zfs source=theirs@now", 2),
            ("storage create own zfs source=theirs zfs.pool_name=other", 2),
            ("storage create own zfs source=theirs source.wipe=true", 2),
            ("storage create own zfs size=300MiB zfs.pool_name=theirs", 5),
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    let output = stage.lxctl("storage create own zfs source=theirs size=20GiB").output()?;
    ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
    ensure!(held()? == before, "what was begun is left");
    // What is looked at in vain is as it was.
    sh(stage, "zpool export theirs")?;
    let output = stage.lxctl("storage create own zfs source=theirs/nothing").output()?;
    ensure!(output.code == Some(2) && sh(stage, "zpool list -H -o name")?.is_empty(), "{}", output.describe());
    sh(stage, "zpool import theirs")?;
    for source in ["theirs", "theirs/guests"] {
        stage.lxctl(&format!("storage create own zfs source={source} size=512MiB")).succeed()?;
        let refused = stage.lxctl(&format!("storage create two zfs source={source}")).fail()?.stderr_text();
        ensure!(refused.contains("belongs to pool own"), "{refused}");
        stage.lxctl("launch busybox c1 -s own").succeed()?;
        inside(stage, "c1", "echo kept >/root/kept")?;
        let small = total(stage, "own")?;
        stage.lxctl("storage set own size=640MiB").succeed()?;
        ensure!(small <= 512 << 20 && total(stage, "own")? > small + (100 << 20));
        // Nobody imports the zpool again.
        stage.lxctl("stop c1 --force").succeed()?;
        sh(stage, "umount -R /var/lib/lxhost/pools/own; zpool export theirs")?;
        stage.lxctl("start c1").succeed()?;
        inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
        stage.delete("c1")?;
        // What is not the pool's nobody has mounted.
        sh(stage, "test ! -e /var/theirs/mine/file; zfs mount -a")?;
        // What somebody else has put below the pool's dataset is not deleted with it.
        sh(stage, &format!("zfs create -o mountpoint=none {source}/lxhost-own/guest"))?;
        let refused = stage.lxctl("storage delete own").fail()?.stderr_text();
        ensure!(refused.contains("guest"), "{refused}");
        sh(stage, &format!("zfs destroy {source}/lxhost-own/guest"))?;
        stage.lxctl("storage delete own").succeed()?;
        ensure!(held()? == before, "{}", held()?);
    }
    sh(stage, "zpool destroy theirs; losetup -d /dev/loop20; rm /var/disk.img")?;
    left_nothing(stage, "own")
}

fn a_device_is_taken_when_it_may_be(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    sh(stage, "truncate -s 600M /var/disk.img; losetup /dev/loop20 /var/disk.img; mkfs.ext4 -q /dev/loop20")?;
    let held = sh(stage, "sha256sum /var/disk.img")?;
    let output = stage.lxctl("storage create own zfs source=/dev/loop20").output()?;
    ensure!(output.code == Some(5), "{}", output.describe());
    ensure!(sh(stage, "sha256sum /var/disk.img")? == held, "it was written to");
    stage.lxctl("storage create own zfs source=/dev/loop20 source.wipe=true zfs.pool_name=ours").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    inside(stage, "c1", "echo kept >/root/kept")?;
    let refused = stage.lxctl("storage create two zfs size=300MiB zfs.pool_name=ours").output()?;
    ensure!(refused.code == Some(5) && refused.stderr_text().contains("ours"), "{}", refused.describe());
    let refused = stage.lxctl("storage create two dir source=/dev/block/7:20 source.wipe=true").fail()?.stderr_text();
    ensure!(refused.contains("in use"), "{refused}");
    // The device gets another name, as disks do.
    stage.lxctl("stop c1 --force").succeed()?;
    sh(
        stage,
        "umount -R /var/lib/lxhost/pools/own; zpool export ours; losetup -d /dev/loop20; losetup /dev/loop21 /var/disk.img",
    )?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", "test \"$(cat /root/kept)\" = kept")?;
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    ensure!(sh(stage, "wipefs --noheadings /dev/loop21")?.is_empty(), "nothing tells of it any more");
    sh(stage, "losetup -d /dev/loop21; rm /var/disk.img")?;
    left_nothing(stage, "own")
}

fn a_full_pool_says_so_and_can_be_emptied(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    stage.lxctl("storage create own zfs size=300MiB").succeed()?;
    stage.lxctl("launch busybox c1 -s own").succeed()?;
    stage.lxctl("create busybox c2 -s own").succeed()?;
    let full = stage.exec("c1", ["sh", "-c", "dd if=/dev/urandom of=/root/big bs=1M count=400 conv=fsync"]).output()?;
    ensure!(full.code != Some(0), "it fits: {}", full.describe());
    sh(stage, "zpool sync lxhost-own")?;
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
    stage.lxctl("storage create own zfs size=512MiB").succeed()?;
    stage.lxctl("create busybox c1 -s own").succeed()?;
    let defined = "grep -rqs '\"c1\"' /var/lib/lxhost/pools/own/instances";
    stage.eventually("c1 is written down", || {
        Ok((stage.host.command(["sh", "-c", defined]).output()?.code == Some(0)).then_some(()))
    })?;
    sh(
        stage,
        "systemctl stop lxhostd.service; rm -f /var/lib/lxhost/state.db*; umount -R /var/lib/lxhost/pools/own; \
         zpool export lxhost-own; systemctl start lxhostd.service",
    )?;
    let refused = stage.lxctl("storage create own zfs size=512MiB").fail()?.stderr_text();
    ensure!(refused.contains("another pool's"), "{refused}");
    stage.lxctl("recover --yes").succeed()?;
    ensure!(stage.lxctl("storage get own source").succeed()?.trim() == "/var/lib/lxhost/disks/own.img");
    stage.lxctl("storage set own size=600MiB").succeed()?;
    stage.lxctl("start c1").succeed()?;
    stage.delete("c1")?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn what_may_not_be_is_refused(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    nothing_changes(&stage.host, || {
        for words in [
            "storage create own zfs size=1MiB",
            "storage create own zfs source=/srv/own",
            "storage create own zfs source=-x",
            "storage create own zfs source=a//b",
            "storage create own zfs size=1GiB zfs.clone_copy=false",
            "storage create own zfs size=1GiB zfs.pool_name=a/b",
            "storage create own zfs size=1GiB zfs.pool_name=mirror",
            "storage create own dir size=300MiB zfs.pool_name=x",
            "storage create own zfs source=/dev/null",
            "storage create own zfs source=/dev/nothing source.wipe=true",
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(2), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    left_nothing(stage, "own")
}

fn without_its_module_it_is_unsupported_and_nothing_is_made(stage: &Stage) -> Result<()> {
    prepare(stage)?;
    let refused = |words: &str| {
        nothing_changes(&stage.host, || {
            let output = stage.lxctl("storage create own zfs").output()?;
            ensure!(output.code == Some(8) && output.stderr_text().contains(words), "{}", output.describe());
            ensure!(!output.stderr_text().contains("undoing"), "{}", output.describe());
            Ok(())
        })
    };
    sh(stage, "mv /usr/sbin/zpool /usr/sbin/zpool.away")?;
    refused("zfsutils-linux zfs-dkms")?;
    sh(
        stage,
        "mv /usr/sbin/zpool.away /usr/sbin/zpool; test ! -e /sys/module/zfs || rmmod zfs; cd /usr/lib/modules/*; mv modules.dep modules.away",
    )?;
    refused("apt install zfs-dkms")?;
    sh(stage, "cd /usr/lib/modules/*; mv modules.away modules.dep")?;
    stage.lxctl("storage create own zfs").succeed()?;
    stage.lxctl("storage delete own").succeed()?;
    left_nothing(stage, "own")
}

fn what_lies_in_files_goes_with_the_purged_package(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Plain)?;
    prepare(&stage)?;
    sh(&stage, "truncate -s 300M /var/disk.img; zpool create -m none theirs /var/disk.img")?;
    stage.lxctl("storage create own zfs size=300MiB").succeed()?;
    stage.lxctl("storage create two zfs source=theirs").succeed()?;
    for pool in ["own", "two"] {
        stage.lxctl(&format!("create busybox c-{pool} -s {pool}")).succeed()?;
    }
    sh(&stage, "apt-get purge -q -y lxhost")?;
    sh(&stage, "test ! -e /var/lib/lxhost/pools; test ! -e /var/lib/lxhost/disks")?;
    ensure!(sh(&stage, "zpool list -H -o name")? == "theirs");
    ensure!(datasets(&stage, "theirs")?.len() > 2, "what lies on a disk stays");
    Ok(())
}
