//! Custom volumes of real pools and in real containers: data outlives runs, two containers see one volume with the same
//! owners, snapshots hold what was there at one moment, what may not be is refused, and nothing is left.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "volumes",
    Base::Packaged,
    [
        a_volume_outlives_runs_and_is_shared,
        a_volume_on_btrfs_is_a_subvolume,
        what_may_not_be_is_refused,
        a_full_disk_leaves_no_volume,
        a_snapshot_of_a_volume_holds_what_it_held,
        a_snapshot_on_btrfs_holds_what_it_held,
        a_snapshot_is_of_one_moment_whatever_runs,
        a_volume_goes_to_another_pool_and_into_a_backup
    ]
);

/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

/// Everything that can be done with volumes, on one pool.
fn they_live(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("storage volume create {pool} data initial.mode=0755")).succeed()?;
    for name in ["v1", "v2"] {
        stage.lxctl(&format!("create busybox {name} -s {pool}")).succeed()?;
    }
    stage.lxctl(&format!("storage volume attach {pool} data v1 /srv/data")).succeed()?;
    stage.lxctl(&format!("config device add v2 shared disk pool={pool} source=data path=/mnt/data readonly=true")).succeed()?;
    stage.lxctl("start v1 v2").succeed()?;
    inside(stage, "v1", "echo one >/srv/data/file && chown 7:8 /srv/data/file && stat -c %u:%g:%a /srv/data | grep -qx 0:0:755")?;
    inside(stage, "v2", "test \"$(cat /mnt/data/file)\" = one && test \"$(stat -c %u:%g /mnt/data/file)\" = 7:8")?;
    // What is read-only stays so, whatever root inside does.
    let tries = "! touch /mnt/data/x 2>/dev/null && ! mount -o remount,rw,bind /mnt/data 2>/dev/null && ! touch /mnt/data/x";
    inside(stage, "v2", tries)?;

    let refused = stage.lxctl(&format!("storage volume delete {pool} data")).fail()?.stderr_text();
    ensure!(refused.contains("v1") && refused.contains("v2"), "{refused}");
    let listed = stage.lxctl(&format!("storage volume list {pool} --format csv")).succeed()?;
    ensure!(listed.contains("data") && listed.contains("v1 v2"), "{listed}");

    stage.lxctl("restart v1 --force").succeed()?;
    inside(stage, "v1", "test \"$(cat /srv/data/file)\" = one")?;
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    inside(stage, "v1", "echo two >/srv/data/file")?;
    inside(stage, "v2", "test \"$(cat /mnt/data/file)\" = two")?;
    stage.delete("v1")?;
    inside(stage, "v2", "test \"$(cat /mnt/data/file)\" = two")?;
    stage.lxctl(&format!("storage volume detach {pool} data v2")).succeed()?;
    inside(stage, "v2", "test ! -e /mnt/data/file")?;
    stage.lxctl(&format!("storage volume attach {pool} data v2 /mnt/data")).succeed()?;
    inside(stage, "v2", "test \"$(cat /mnt/data/file)\" = two && stat -c %u:%g /mnt/data/file | grep -qx 7:8")?;
    stage.lxctl(&format!("storage volume detach {pool} data v2")).succeed()?;
    stage.lxctl(&format!("storage volume rename {pool} data old")).succeed()?;
    stage.lxctl(&format!("storage volume delete {pool} old")).succeed()?;
    stage.delete("v2")?;
    let left = format!("/var/lib/lxhost/pools/{pool}/volumes/instances");
    ensure!(stage.host.succeed(["find", &left, "-mindepth", "1"])?.is_empty());
    Ok(())
}

fn a_volume_outlives_runs_and_is_shared(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        they_live(&stage, pool)?;
    }
    Ok(())
}

fn a_volume_on_btrfs_is_a_subvolume(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    they_live(&stage, "volumes")?;
    let left = stage.host.succeed(["btrfs", "subvolume", "list", "/var/lib/lxhost"])?;
    ensure!(!left.contains("volumes/volumes/"), "{left}");
    Ok(())
}

/// Everything that can be done with snapshots of a volume, on one pool.
fn snapshots_hold(stage: &Stage, pool: &str) -> Result<()> {
    let snapshot = "storage volume snapshot";
    stage.lxctl(&format!("storage volume create {pool} data initial.mode=0750")).succeed()?;
    stage.lxctl(&format!("create busybox v1 -s {pool}")).succeed()?;
    stage.lxctl(&format!("storage volume attach {pool} data v1 /srv/data")).succeed()?;
    stage.lxctl("start v1").succeed()?;
    let shown =
        "cat /srv/data/file; stat -c %u:%g:%a /srv/data/file; stat -c %u:%g:%a /srv/data; cd /srv/data; ls -A; readlink link";
    inside(stage, "v1", "cd /srv/data; echo one >file; chown 7:8 file; chmod 4755 file; ln -s /etc/shadow link; mkdir -p a/b")?;
    let before = inside(stage, "v1", shown)?;
    stage.lxctl(&format!("{snapshot} {pool} data --comment first")).succeed()?;
    stage.lxctl(&format!("{snapshot} create {pool} data kept")).succeed()?;
    inside(stage, "v1", "cd /srv/data; echo two >file; chown 9:9 file; touch more; rm link; rmdir a/b; chmod 0777 .")?;
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    let listed = stage.lxctl(&format!("{snapshot} list {pool} data -q")).succeed()?;
    ensure!(listed == "snap0\nkept\n", "{listed}");

    let refused = stage.lxctl(&format!("{snapshot} restore {pool} data snap0")).fail()?.stderr_text();
    ensure!(refused.contains("v1"), "{refused}");
    ensure!(inside(stage, "v1", "cat /srv/data/file")? == "two\n");
    stage.lxctl("stop v1 --force").succeed()?;
    stage.lxctl(&format!("{snapshot} restore {pool} data snap0")).succeed()?;
    stage.lxctl("start v1").succeed()?;
    let after = inside(stage, "v1", shown)?;
    ensure!(after == before, "{before}\n{after}");

    inside(stage, "v1", "echo three >/srv/data/file")?;
    stage.lxctl(&format!("{snapshot} create {pool} data kept --reuse")).succeed()?;
    stage.lxctl(&format!("{snapshot} rename {pool} data kept latest")).succeed()?;
    stage.lxctl(&format!("{snapshot} delete {pool} data snap0")).succeed()?;
    stage.lxctl("stop v1 --force").succeed()?;
    stage.lxctl(&format!("{snapshot} restore {pool} data latest")).succeed()?;
    stage.lxctl("start v1").succeed()?;
    ensure!(inside(stage, "v1", "cat /srv/data/file")? == "three\n");
    stage.delete("v1")?;
    stage.lxctl(&format!("storage volume delete {pool} data")).succeed()?;
    for place in ["instances", "snapshots"] {
        let left = format!("/var/lib/lxhost/pools/{pool}/volumes/{place}");
        ensure!(stage.host.succeed(["find", &left, "-mindepth", "1"])?.is_empty());
    }
    Ok(())
}

fn a_snapshot_of_a_volume_holds_what_it_held(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        snapshots_hold(&stage, pool)?;
    }
    Ok(())
}

fn a_snapshot_on_btrfs_holds_what_it_held(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    snapshots_hold(&stage, "volumes")?;
    let left = stage.host.succeed(["btrfs", "subvolume", "list", "/var/lib/lxhost"])?;
    ensure!(!left.contains("volumes/volumes/"), "{left}");
    Ok(())
}

/// Two files of which the first is never more than one ahead of the second, and enough beside them that a copy takes a while.
const WRITER: &str = "cd /srv; i=0; while [ $i -lt 400 ]; do i=$((i+1)); head -c 65536 /dev/zero >fill$i; done
(i=0; while :; do i=$((i+1)); echo $i >.first; mv .first first; echo $i >.second; mv .second second; done) >/dev/null 2>&1 &
while [ ! -s second ]; do sleep 0.1; done";

fn a_snapshot_is_of_one_moment_whatever_runs(stage: &Stage) -> Result<()> {
    for state in [State::Ext4, State::Btrfs] {
        let stage = stage.sibling(state)?;
        stage.with_busybox()?;
        stage.lxctl("create busybox w1").succeed()?;
        stage.lxctl("storage volume create default data").succeed()?;
        stage.lxctl("storage volume attach default data w1 /srv").succeed()?;
        stage.lxctl("start w1").succeed()?;
        inside(&stage, "w1", WRITER)?;
        stage.lxctl("storage volume snapshot default data s1").succeed()?;
        let at = inside(&stage, "w1", "cat /srv/first")?;
        stage.eventually("it writes on", || Ok((inside(&stage, "w1", "cat /srv/first")? != at).then_some(())))?;
        stage.lxctl("stop w1 --force").succeed()?;
        stage.lxctl("storage volume snapshot restore default data s1").succeed()?;
        stage.lxctl("start w1").succeed()?;
        inside(&stage, "w1", "cd /srv; d=$(($(cat first) - $(cat second))); [ $d -ge 0 ] && [ $d -le 1 ] && [ -s fill400 ]")?;
        stage.delete("w1")?;
        stage.lxctl("storage volume delete default data").succeed()?;
    }
    Ok(())
}

/// Every pair of drivers: a copy, a move and a backup hold what the original does, and nothing is left of what was made.
fn a_volume_goes_to_another_pool_and_into_a_backup(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    for (pool, driver) in [("trees", "dir"), ("volumes", "btrfs")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
    }
    let shown = "cat file; stat -c %u:%g:%a file link .; ls -A; readlink link; stat -c %h:%s hard; cat a/b/deep";
    for (from, to) in [("trees", "volumes"), ("volumes", "trees"), ("trees", "trees"), ("volumes", "volumes")] {
        stage.lxctl(&format!("storage volume create {from} data initial.mode=2750 initial.uid=5 user.team=red")).succeed()?;
        stage.lxctl(&format!("create busybox v1 -s {from}")).succeed()?;
        stage.lxctl(&format!("storage volume attach {from} data v1 /srv")).succeed()?;
        stage.lxctl("start v1").succeed()?;
        inside(&stage, "v1", "cd /srv; echo one >file; chown 7:8 file; chmod 4755 file; ln -s /etc/shadow link; mkdir -p a/b")?;
        inside(&stage, "v1", "cd /srv; echo deep >a/b/deep; echo same >hard; ln hard twin; chmod 01777 a")?;
        let before = inside(&stage, "v1", &format!("cd /srv; {shown}"))?;
        stage.lxctl(&format!("storage volume snapshot {from} data s1")).succeed()?;
        inside(&stage, "v1", "echo two >/srv/file")?;
        let changed = inside(&stage, "v1", &format!("cd /srv; {shown}"))?;

        stage.lxctl(&format!("storage volume copy {from}/data {to}/copy")).succeed()?;
        stage.lxctl(&format!("storage volume copy {from}/data/s1 {to}/past")).succeed()?;
        stage.lxctl(&format!("storage volume export {from} data /tmp/data.tar.zst")).succeed()?;
        let verified = stage.lxctl("backup verify /tmp/data.tar.zst --format csv").succeed()?;
        ensure!(verified.contains("data") && verified.contains("s1"), "{verified}");
        stage.lxctl(&format!("storage volume import {to} /tmp/data.tar.zst back")).succeed()?;
        let other = if to == "trees" { "volumes" } else { "trees" };
        stage.lxctl(&format!("storage volume move {to}/back {other}/moved")).succeed()?;
        let made = [(to, "copy", &changed), (to, "past", &before), (other, "moved", &changed)];
        for (pool, name, holds) in made {
            stage.lxctl(&format!("storage volume attach {pool} {name} v1 {name} /mnt/{name}")).succeed()?;
            let is = inside(&stage, "v1", &format!("cd /mnt/{name}; {shown}"))?;
            ensure!(is == *holds, "{from} to {to}, {name}: {holds}\n{is}");
            let team = stage.lxctl(&format!("storage volume get {pool} {name} user.team")).succeed()?;
            ensure!(team == "red\n", "{team}");
            // What is done to one is not done to the others.
            inside(&stage, "v1", &format!("rm -r /mnt/{name}/a"))?;
        }
        ensure!(inside(&stage, "v1", &format!("cd /srv; {shown}"))? == changed);
        stage.delete("v1")?;
        for (pool, name) in [(to, "copy"), (other, "moved")] {
            stage.lxctl(&format!("storage volume snapshot restore {pool} {name} s1")).succeed()?;
        }
        stage.lxctl(&format!("create busybox v2 -s {from}")).succeed()?;
        stage.lxctl(&format!("storage volume attach {other} moved v2 /srv")).succeed()?;
        stage.lxctl("start v2").succeed()?;
        ensure!(inside(&stage, "v2", &format!("cd /srv; {shown}"))? == before, "a snapshot that went along");
        stage.delete("v2")?;
        for (pool, name) in [(from, "data"), (to, "copy"), (to, "past"), (other, "moved")] {
            stage.lxctl(&format!("storage volume delete {pool} {name}")).succeed()?;
        }
        for pool in ["trees", "volumes"] {
            let places = ["instances", "snapshots"].map(|place| format!("/var/lib/lxhost/pools/{pool}/volumes/{place}"));
            let left = stage.host.succeed(["find", places[0].as_str(), places[1].as_str(), "-mindepth", "1"])?;
            ensure!(left.is_empty(), "{left}");
        }
    }
    Ok(())
}

fn what_may_not_be_is_refused(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox r1").succeed()?;
    stage.lxctl("storage volume create default shared-data").succeed()?;
    nothing_changes(&stage.host, || {
        for words in [
            "storage volume create default mine",
            "storage volume delete default shared-data",
            "storage volume snapshot default shared-data",
        ] {
            let output = stage.lxctl(words).user("alice").output()?;
            ensure!(output.code == Some(6), "{words}: {}", output.describe());
        }
        for (words, code) in [
            ("storage volume create default ../x", 2),
            ("storage volume create default shared-data", 4),
            ("storage volume create default big size=1GiB", 8),
            ("storage volume create default disk --type=tape", 2),
            ("storage volume attach default nothing r1 /srv", 3),
            ("storage volume attach default shared-data r1 /proc/x", 2),
            ("storage volume attach default shared-data r1 ../srv", 2),
            ("storage volume snapshot default nothing", 3),
            ("storage volume snapshot default shared-data ../x", 2),
            ("storage volume snapshot restore default shared-data nothing", 3),
            ("storage volume set default shared-data snapshots.schedule=@startup", 2),
            ("config device add r1 d disk pool=default source=nothing path=/srv", 3),
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        Ok(())
    })
}

fn a_full_disk_leaves_no_volume(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("create busybox r1").succeed()?;
    stage.lxctl("storage volume create default goes").succeed()?;
    stage.host.succeed(["sh", "-ec", crate::full_disk::FILL])?;
    nothing_changes(&stage.host, || {
        let output = stage.lxctl("storage volume create default comes").output()?;
        ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
        Ok(())
    })?;
    stage.lxctl("storage volume delete default goes").succeed()?;
    Ok(())
}
