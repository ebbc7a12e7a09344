//! Snapshots of real containers, on an overlay over ext4, on plain trees and on btrfs: what was there is there
//! again, whether the container ran or not, and nothing is left.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "snapshots",
    Base::Packaged,
    [
        what_was_there_is_there_again_on_an_overlay,
        what_was_there_is_there_again_on_btrfs,
        what_makes_no_sense_is_refused,
        a_full_disk_leaves_no_snapshot,
        a_timer_takes_what_is_due_and_removes_what_is_over
    ]
);

/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;
/// What is made in a root: a file with an owner and an attribute, a deletion, and a directory made anew.
const MAKE: &str = "mkdir -p /srv/own && echo one >/srv/own/file && chown 7:8 /srv/own/file && ln -s file /srv/own/link \
    && rm -f /bin/rmdir.static /bin/usleep && rm -rf /home && mkdir -p /home/new";
/// What has to be so afterwards.
const CHECK: &str = "test \"$(cat /srv/own/file)\" = one && test \"$(stat -c %u:%g /srv/own/file)\" = 7:8 \
    && test \"$(readlink /srv/own/link)\" = file && test ! -e /bin/usleep && test -d /home/new && test ! -e /srv/later";
/// What spoils it.
const SPOIL: &str = "echo two >/srv/own/file && rm /srv/own/link && touch /srv/later && rm -rf /home/new && touch /bin/usleep";

fn inside(stage: &Stage, name: &str, script: &str) -> Result<()> {
    stage.exec(name, ["sh", "-ec", script]).succeed()?;
    Ok(())
}

/// Everything that can be done with snapshots, on one pool.
fn they_live(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox c1 -s {pool}")).succeed()?;
    stage.lxctl("wait c1 --for running --timeout 30").succeed()?;
    inside(stage, "c1", MAKE)?;
    let init = stage.init_of("c1")?;
    stage.lxctl("snapshot c1 running --comment alive").succeed()?;
    ensure!(stage.status("c1")? == "running" && stage.init_of("c1")? == init, "it went on");
    inside(stage, "c1", CHECK)?;
    stage.lxctl("stop --force c1").succeed()?;
    stage.lxctl("snapshot c1 stopped").succeed()?;
    stage.lxctl("start c1").succeed()?;
    for name in ["running", "stopped", "running"] {
        inside(stage, "c1", CHECK)?;
        inside(stage, "c1", SPOIL)?;
        stage.lxctl(&format!("config set c1 user.spoilt={name}")).succeed()?;
        stage.lxctl(&format!("restore c1 {name}")).succeed()?;
        ensure!(stage.status("c1")? == "running", "it ran, and runs again");
        ensure!(stage.lxctl("config get c1 user.spoilt").succeed()?.trim().is_empty(), "its configuration is restored");
    }
    inside(stage, "c1", CHECK)?;
    stage.lxctl("pause c1").succeed()?;
    stage.lxctl("snapshot create c1").succeed()?;
    stage.lxctl("resume c1").succeed()?;
    // What lies under the root goes; the root goes on, and is the same after another start.
    stage.lxctl("delete c1/running c1/stopped").succeed()?;
    inside(stage, "c1", CHECK)?;
    stage.lxctl("stop --force c1").succeed()?;
    stage.lxctl("snapshot c1 again").succeed()?;
    stage.lxctl("start c1").succeed()?;
    inside(stage, "c1", CHECK)?;
    let listed = stage.lxctl("snapshot list c1 -q").succeed()?;
    ensure!(listed.lines().collect::<Vec<_>>() == ["snap0", "again"], "{listed}");
    stage.delete("c1")?;
    let left = stage.host.succeed(["find", &format!("/var/lib/lxhost/pools/{pool}/snapshots"), "-mindepth", "1"])?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

fn what_was_there_is_there_again_on_an_overlay(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        they_live(&stage, pool)?;
    }
    Ok(())
}

fn what_was_there_is_there_again_on_btrfs(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    they_live(&stage, "volumes")?;
    let left = stage.host.succeed(["btrfs", "subvolume", "list", "/var/lib/lxhost"])?;
    ensure!(!left.contains("/snapshots/"), "{left}");
    Ok(())
}

fn what_makes_no_sense_is_refused(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox s1").succeed()?;
    stage.lxctl("snapshot s1 one").succeed()?;
    let long = "a".repeat(300);
    nothing_changes(&stage.host, || {
        for name in ["../x", "a/b", "..", long.as_str()] {
            for words in
                [format!("snapshot create s1 {name}"), format!("restore s1 {name}"), format!("snapshot rename s1 one {name}")]
            {
                let output = stage.lxctl(&words).output()?;
                ensure!(output.code == Some(2), "{words}: {}", output.describe());
            }
        }
        for (words, code) in [("snapshot s1 one", 4), ("restore s1 two", 3), ("delete s1/two", 3), ("snapshot nobody", 3)] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.delete("s1")
}

fn a_full_disk_leaves_no_snapshot(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.running("f1")?;
    stage.lxctl("snapshot f1 before").succeed()?;
    inside(&stage, "f1", "head -c 3000000 /dev/urandom >/root/file")?;
    let fill = crate::full_disk::FILL;
    stage.host.succeed(["sh", "-ec", fill])?;
    nothing_changes(&stage.host, || {
        let output = stage.lxctl("snapshot f1 full").output()?;
        ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
        Ok(())
    })?;
    ensure!(stage.exec("f1", ["echo", "yes"]).succeed()? == "yes\n", "it was let go on");
    stage.lxctl("delete f1/before").succeed()?;
    stage.host.succeed(["sh", "-ec", "rm -rf /var/lib/lxhost/filler*; sync"])?;
    stage.lxctl("snapshot f1 room").succeed()?;
    ensure!(stage.lxctl("snapshot list f1 -q").succeed()? == "room\n");
    stage.delete("f1")
}

fn a_timer_takes_what_is_due_and_removes_what_is_over(stage: &Stage) -> Result<()> {
    let timer = |state: &str| {
        stage.eventually(&format!("a timer that is {state}"), || {
            let said = stage.host.command(["systemctl", "is-active", "lxhost-snapshots.timer"]).output()?;
            Ok((said.stdout_text().trim() == state).then_some(()))
        })
    };
    stage.running("t1")?;
    timer("inactive")?;
    stage.lxctl("snapshot create t1 short --expiry 1S").succeed()?;
    stage.lxctl("snapshot create t1 long").succeed()?;
    timer("active")?;
    let words = ["lxctl", "config", "set", "t1", "snapshots.schedule", "* * * * *"];
    stage.host.succeed(words)?;
    // It calls on the minute, and what is scheduled comes with the next but one at the latest.
    let took = std::time::Duration::from_secs(240);
    stage.within(took, "a scheduled snapshot", || {
        let names = stage.lxctl("snapshot list t1 -q").succeed()?;
        Ok((names.lines().any(|name| name == "snap0") && !names.contains("short")).then_some(()))
    })?;
    stage.lxctl("config unset t1 snapshots.schedule").succeed()?;
    timer("inactive")?;
    ensure!(stage.lxctl("snapshot list t1 -q").succeed()?.contains("long"));
    stage.lxctl("config set t1 snapshots.schedule @startup").succeed()?;
    let before = stage.lxctl("snapshot list t1 -q").succeed()?.lines().count();
    stage.lxctl("restart --force t1").succeed()?;
    ensure!(stage.lxctl("snapshot list t1 -q").succeed()?.lines().count() == before + 1);
    stage.delete("t1")
}
