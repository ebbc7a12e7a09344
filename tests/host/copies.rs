//! Copies of real containers, on an overlay over ext4, on plain trees and on btrfs: a copy boots with an address and
//! an identity of its own, its original goes on untouched, and nothing is left.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "copies",
    Base::Packaged,
    [
        a_copy_lives_beside_its_original_on_an_overlay,
        a_copy_lives_beside_its_original_on_btrfs,
        an_instance_goes_from_pool_to_pool,
        an_instance_goes_from_btrfs_to_layers_and_back,
        what_cannot_be_copied_is_refused,
        a_full_disk_leaves_no_copy
    ]
);

/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;
/// What is made in the original: a file with an owner, a deletion, a directory made anew, and an identity.
const MAKE: &str = "mkdir -p /srv/own && echo one >/srv/own/file && chown 7:8 /srv/own/file && rm -f /bin/usleep \
    && rm -rf /home && mkdir -p /home/new && echo of-the-original >/etc/machine-id";
/// What has to be so in every copy.
const CHECK: &str = "test \"$(cat /srv/own/file)\" = one && test \"$(stat -c %u:%g /srv/own/file)\" = 7:8 \
    && test ! -e /bin/usleep && test -d /home/new";
/// What nobody but its author may see.
const SPOIL: &str = "echo two >/srv/own/file && touch /bin/usleep && rm -rf /home/new";

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

/// What no two of them may have in common.
fn identity(stage: &Stage, name: &str) -> Result<[String; 4]> {
    let address = stage.address(name)?;
    let said = inside(stage, name, "cat /sys/class/net/eth0/address; cat /etc/machine-id; hostname")?;
    let words: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    let [mac, machine, host] = words.try_into().map_err(|words| anyhow::anyhow!("{name} is {words:?}"))?;
    ensure!(host == name, "{name} calls itself {host}");
    Ok([address, mac, machine, host])
}

/// Everything that can be done with copies, on one pool.
fn they_live(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox c1 -s {pool}")).succeed()?;
    stage.address("c1")?;
    inside(stage, "c1", MAKE)?;
    stage.lxctl("snapshot c1 before").succeed()?;
    let init = stage.init_of("c1")?;
    stage.lxctl("copy c1 c2").succeed()?;
    ensure!(stage.status("c1")? == "running" && stage.init_of("c1")? == init, "it went on");
    ensure!(stage.status("c2")? == "stopped");
    stage.lxctl("stop --force c1").succeed()?;
    stage.lxctl("copy c1 c3").succeed()?;
    stage.lxctl("copy c1/before c4").succeed()?;
    stage.lxctl("copy c3 c5 --instance-only").succeed()?;
    stage.lxctl("start c1 c2 c3 c4 c5").succeed()?;
    let all = ["c1", "c2", "c3", "c4", "c5"];
    let identities = all.iter().map(|name| identity(stage, name)).collect::<Result<Vec<_>>>()?;
    for part in 0..4 {
        let mut parts: Vec<&String> = identities.iter().map(|identity| &identity[part]).collect();
        parts.sort();
        parts.dedup();
        ensure!(parts.len() == all.len(), "{identities:?}");
    }
    for name in all {
        inside(stage, name, CHECK)?;
        inside(stage, name, SPOIL)?;
    }
    let listed = stage.lxctl("list -c nS --format csv,noheader").succeed()?;
    ensure!(listed.lines().collect::<Vec<_>>() == ["c1,1", "c2,1", "c3,1", "c4,0", "c5,0"], "{listed}");
    they_follow(stage, &identities)?;
    // The snapshot of a copy is its own.
    stage.lxctl("delete c1/before").succeed()?;
    stage.lxctl("restore c3 before").succeed()?;
    inside(stage, "c3", CHECK)?;
    ensure!(identity(stage, "c3")?[2] == identities[2][2], "a restored copy is still itself");
    stage.delete("c1")?;
    stage.lxctl("restart --force c2 c4").succeed()?;
    ensure!(inside(stage, "c2", "cat /srv/own/file")? == "two\n");
    stage.delete("c2 c3 c4 c5")?;
    for place in ["snapshots", "instances"] {
        let left = stage.host.succeed(["find", &format!("/var/lib/lxhost/pools/{pool}/{place}"), "-mindepth", "1"])?;
        ensure!(left.is_empty(), "{left}");
    }
    Ok(())
}

/// Copies are brought up to date with `c1`, which runs: they hold what it does, and are still themselves.
fn they_follow(stage: &Stage, identities: &[[String; 4]]) -> Result<()> {
    inside(stage, "c1", "echo three >/srv/own/file && touch /srv/own/more")?;
    stage.lxctl("snapshot c1 again").succeed()?;
    let init = stage.init_of("c1")?;
    stage.lxctl("stop --force c5").succeed()?;
    stage.lxctl("copy c1 c5 --refresh").succeed()?;
    ensure!(stage.status("c1")? == "running" && stage.init_of("c1")? == init, "it went on");
    ensure!(stage.lxctl("snapshot list c5 -q").succeed()? == "before\nagain\n");
    inside(stage, "c1", "rm /srv/own/more")?;
    stage.lxctl("delete c1/again").succeed()?;
    for round in ["first", "second"] {
        stage.lxctl("copy c1 c5 --refresh").succeed()?;
        ensure!(stage.lxctl("snapshot list c5 -q").succeed()? == "before\n", "{round}");
        stage.lxctl("start c5").succeed()?;
        inside(stage, "c5", "test \"$(cat /srv/own/file)\" = three && test ! -e /srv/own/more")?;
        ensure!(identity(stage, "c5")? == identities[4], "it is itself");
        stage.lxctl("stop --force c5").succeed()?;
    }
    stage.lxctl("restore c5 before").succeed()?;
    stage.lxctl("copy c1/before c5 --refresh").succeed()?;
    stage.lxctl("start c5").succeed()?;
    inside(stage, "c5", CHECK)?;
    // As it was found.
    inside(stage, "c1", "echo two >/srv/own/file").map(drop)
}

fn a_copy_lives_beside_its_original_on_an_overlay(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        they_live(&stage, pool)?;
    }
    Ok(())
}

fn a_copy_lives_beside_its_original_on_btrfs(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    they_live(&stage, "volumes")
}

/// A copy of what runs, and then the original itself, with a snapshot each, go from one pool to another and back.
fn they_go(stage: &Stage, here: &str, there: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox c1 -s {here}")).succeed()?;
    stage.address("c1")?;
    inside(stage, "c1", MAKE)?;
    stage.lxctl("snapshot c1 before").succeed()?;
    let (init, was) = (stage.init_of("c1")?, identity(stage, "c1")?);
    stage.lxctl(&format!("copy c1 c2 -s {there}")).succeed()?;
    ensure!(stage.init_of("c1")? == init, "it went on");
    stage.lxctl("start c2").succeed()?;
    inside(stage, "c2", CHECK)?;
    let copied = identity(stage, "c2")?;
    ensure!((0..4).all(|part| copied[part] != was[part]), "{was:?} and {copied:?}");
    inside(stage, "c2", SPOIL)?;
    stage.lxctl("stop --force c2").succeed()?;
    stage.lxctl("restore c2 before").succeed()?;
    stage.lxctl("start c2").succeed()?;
    inside(stage, "c2", CHECK)?;
    let refused = stage.lxctl(&format!("move c1 -s {there}")).fail()?;
    ensure!(refused.stderr_text().contains("stop it first"), "{}", refused.describe());
    stage.lxctl("stop --force c1").succeed()?;
    stage.lxctl(&format!("move c1 -s {there}")).succeed()?;
    let left = stage.host.command(["find", &format!("/var/lib/lxhost/pools/{here}/instances"), "-mindepth", "1"]).succeed()?;
    ensure!(left.is_empty(), "{left}");
    stage.lxctl("start c1").succeed()?;
    ensure!(identity(stage, "c1")?[1..] == was[1..], "it is still itself");
    inside(stage, "c1", CHECK)?;
    stage.lxctl("stop --force c1").succeed()?;
    stage.lxctl(&format!("move c1 web -s {here}")).succeed()?;
    let listed = stage.lxctl("list -c nS --format csv,noheader").succeed()?;
    ensure!(listed.lines().collect::<Vec<_>>() == ["c2,1", "web,1"], "{listed}");
    stage.lxctl("restore web before").succeed()?;
    stage.lxctl("start web").succeed()?;
    inside(stage, "web", CHECK)?;
    stage.delete("web c2")?;
    for pool in [here, there] {
        for place in ["snapshots", "instances"] {
            let left = stage.host.succeed(["find", &format!("/var/lib/lxhost/pools/{pool}/{place}"), "-mindepth", "1"])?;
            ensure!(left.is_empty(), "{left}");
        }
    }
    Ok(())
}

fn an_instance_goes_from_pool_to_pool(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("storage create layers overlay").succeed()?;
    stage.lxctl("storage create trees dir").succeed()?;
    they_go(&stage, "layers", "trees")
}

fn an_instance_goes_from_btrfs_to_layers_and_back(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    stage.lxctl("storage create layers overlay").succeed()?;
    they_go(&stage, "volumes", "layers")
}

fn what_cannot_be_copied_is_refused(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox k1").succeed()?;
    stage.lxctl("storage create other dir").succeed()?;
    // One that runs, and one that is no copy.
    stage.lxctl("launch busybox k3").succeed()?;
    stage.lxctl("create k4 --empty").succeed()?;
    nothing_changes(&stage.host, || {
        for (words, code) in [
            ("copy k1 k1", 4),
            ("copy k1 ../x", 2),
            ("copy k1/nothing k2", 3),
            ("copy nobody k2", 3),
            ("copy k1 k2 -p nobodys", 3),
            ("copy k1 k2 -c limits.memory=much", 2),
            ("copy k1 k2 -s nowhere", 3),
            ("move k1 -s nowhere", 3),
            ("move k1 -s default", 2),
            ("move k1 ../x -s other", 2),
            ("move k1", 2),
            ("copy k1 k1 --refresh", 2),
            ("copy k1 --refresh", 2),
            ("copy k1/nothing k5 --refresh", 3),
            ("copy k1 k3 --refresh", 5),
            ("copy k1 k4 --refresh", 5),
            ("copy k1 serveur2:k2", 8),
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.delete("k1 k3 k4")?;
    stage.lxctl("storage delete other").succeed()?;
    Ok(())
}

fn a_full_disk_leaves_no_copy(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.running("f1")?;
    inside(&stage, "f1", "head -c 3000000 /dev/urandom >/root/file")?;
    stage.host.succeed(["sh", "-ec", crate::full_disk::FILL])?;
    nothing_changes(&stage.host, || {
        let output = stage.lxctl("copy f1 f2").output()?;
        ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
        Ok(())
    })?;
    ensure!(inside(&stage, "f1", "echo yes")? == "yes\n", "it was let go on");
    stage.host.succeed(["sh", "-ec", "rm -rf /var/lib/lxhost/filler*; sync"])?;
    stage.lxctl("copy f1 f2").succeed()?;
    stage.lxctl("start f2").succeed()?;
    ensure!(inside(&stage, "f2", "wc -c </root/file")?.trim() == "3000000");
    stage.delete("f1 f2")
}
