//! What is deleted on a pool with a trash is there again with everything in it, on layers, on plain trees, on btrfs and on
//! ZFS;
//! what is removed for good leaves nothing.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "trash",
    Base::Packaged,
    [
        what_was_deleted_is_there_again_on_layers_and_plain_trees,
        what_was_deleted_is_there_again_on_btrfs,
        what_was_deleted_is_there_again_on_zfs needs [Zfs],
        a_lost_database_brings_nothing_back_to_life
    ]
);

/// Exit statuses of `AlreadyExists` and of what is missing.
const EXISTS: i32 = 4;
const MISSING: i32 = 3;
const LOSE: &str = "systemctl stop lxhostd.service && rm -f /var/lib/lxhost/state.db* && systemctl start lxhostd.service";

fn inside(stage: &Stage, name: &str, script: &str) -> Result<()> {
    stage.exec(name, ["sh", "-ec", script]).succeed().map(drop)
}

fn listed(stage: &Stage) -> Result<Vec<String>> {
    Ok(stage.lxctl("trash list -q").succeed()?.lines().map(str::to_owned).collect())
}

/// Everything that can be done with the trash, on one pool.
fn it_lives(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox c1 -s {pool}")).succeed()?;
    stage.lxctl(&format!("storage volume create {pool} data")).succeed()?;
    stage.lxctl(&format!("storage volume attach {pool} data c1 /srv")).succeed()?;
    inside(stage, "c1", "echo one >/root/kept && chown 7:8 /root/kept && echo two >/srv/kept")?;
    stage.lxctl("snapshot c1 s1").succeed()?;
    inside(stage, "c1", "echo later >/root/kept")?;
    stage.lxctl(&format!("storage set {pool} trash.expiry=7d")).succeed()?;
    stage.lxctl("delete --force c1").succeed()?;
    stage.lxctl(&format!("storage volume delete {pool} data")).succeed()?;
    ensure!(stage.row("c1")?.is_none() && listed(stage)? == ["c1", "data"]);
    let refused = stage.lxctl(&format!("storage delete {pool}")).fail()?.stderr_text();
    ensure!(refused.contains("lxctl trash empty"), "{refused}");
    // Its name and its ids are another's by now.
    stage.lxctl(&format!("launch busybox c1 -s {pool}")).succeed()?;
    ensure!(stage.lxctl("trash restore c1").output()?.code == Some(EXISTS));
    stage.lxctl("undo").succeed()?;
    stage.lxctl("undo --name c2").succeed()?;
    ensure!(listed(stage)?.is_empty());
    ensure!(stage.lxctl("undo").output()?.code == Some(MISSING), "there is nothing more");
    stage.lxctl("start c2").succeed()?;
    inside(
        stage,
        "c2",
        "test $(cat /root/kept) = later && test $(stat -c %u:%g /root/kept) = 7:8 && test $(cat /srv/kept) = two",
    )?;
    // A snapshot alone.
    stage.lxctl("delete c2/s1").succeed()?;
    ensure!(listed(stage)? == ["c1/s1"]);
    stage.lxctl("undo").succeed()?;
    stage.lxctl("restore c2 s1").succeed()?;
    inside(stage, "c2", "test $(cat /root/kept) = one && test $(cat /srv/kept) = two")?;
    inside(stage, "c1", "test ! -e /root/kept")?;
    // For good.
    stage.lxctl("delete --force c1 --now").succeed()?;
    stage.lxctl("delete --force c2").succeed()?;
    stage.lxctl("trash empty").succeed()?;
    stage.lxctl(&format!("storage volume delete {pool} data --now")).succeed()?;
    ensure!(listed(stage)?.is_empty());
    for place in ["instances", "snapshots", "volumes/instances"] {
        let left = stage.host.succeed(["find", &format!("/var/lib/lxhost/pools/{pool}/{place}"), "-mindepth", "1"])?;
        ensure!(left.is_empty(), "{left}");
    }
    Ok(())
}

fn what_was_deleted_is_there_again_on_layers_and_plain_trees(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        it_lives(&stage, pool)?;
    }
    nothing_changes(&stage.host, || stage.lxctl("storage set layers trash.expiry=soon").fail().map(drop))?;
    // An image may go before what was made of it, and comes back in it.
    stage.lxctl("create busybox c3 -s layers").succeed()?;
    stage.lxctl("delete c3").succeed()?;
    stage.lxctl("image delete busybox").succeed()?;
    stage.lxctl("undo").succeed()?;
    stage.lxctl("start c3").succeed()?;
    inside(&stage, "c3", "test -x /bin/sh")
}

fn what_was_deleted_is_there_again_on_btrfs(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    it_lives(&stage, "volumes")
}

fn what_was_deleted_is_there_again_on_zfs(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    // The default pool is another one.
    stage.lxctl("create busybox c0").succeed()?;
    stage.lxctl("delete c0").succeed()?;
    stage.lxctl("storage create datasets zfs size=1GiB").succeed()?;
    it_lives(stage, "datasets")?;
    // Before the image nothing was left in it.
    let left = "test $(zfs list -H -o name -t all -r lxhost-datasets | wc -l) = 3 && lxctl image delete busybox && lxctl storage delete datasets";
    stage.host.succeed(["sh", "-ec", left]).map(drop)
}

fn a_lost_database_brings_nothing_back_to_life(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("storage create layers overlay trash.expiry=7d").succeed()?;
    stage.lxctl("storage volume create layers data").succeed()?;
    for name in ["c1", "c2"] {
        stage.lxctl(&format!("create busybox {name} -s layers")).succeed()?;
        stage.lxctl(&format!("snapshot {name} s1")).succeed()?;
    }
    stage.lxctl("delete c1 c2/s1").succeed()?;
    stage.lxctl("storage volume delete layers data").succeed()?;
    stage.host.succeed(["sh", "-c", LOSE])?;
    stage.lxctl("recover --yes").succeed()?;
    ensure!(stage.row("c1")?.is_none() && stage.row("c2")?.is_some());
    let mut there = listed(&stage)?;
    there.sort();
    ensure!(there == ["c1", "c2/s1", "data"], "{there:?}");
    for name in ["c1", "c2/s1", "data"] {
        stage.lxctl(&format!("trash restore {name}")).succeed()?;
    }
    for name in ["c1", "c2"] {
        stage.lxctl(&format!("start {name}")).succeed()?;
        stage.lxctl(&format!("restore {name} s1")).succeed()?;
    }
    Ok(())
}
