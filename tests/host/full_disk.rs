//! A disk that is full: every verb that makes something is refused as such, with nothing half-made, what runs
//! goes on, and what makes room works. The state directory is an ext4 of its own, filled to the last block.

use std::time::Duration;

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::image::{self, Form};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "full disk",
    Base::Packaged,
    [what_makes_something_is_refused_and_what_makes_room_works, a_disk_without_inodes_is_full_too]
);

/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;

/// Takes every free block, those included that ext4 keeps for root.
pub(crate) const FILL: &str = "cd /var/lib/lxhost; sync; size=$(($(stat -f -c %f .) * $(stat -f -c %S .))); \
    until fallocate -l $size filler.$$ || [ $size -le 0 ]; do size=$((size - 65536)); done 2>/dev/null; \
    for bs in 4096 512; do dd if=/dev/zero bs=$bs status=none of=filler.$$.$bs || true; done 2>/dev/null; sync";

/// A host with a disk of its own, a guest that runs and one that never did.
fn prepared(stage: &Stage) -> Result<Stage> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("launch busybox r1").succeed()?;
    stage.address("r1")?;
    for name in ["fresh", "goes"] {
        stage.lxctl(&format!("create busybox {name}")).succeed()?;
    }
    Ok(stage)
}

/// Each of these has to say that there is no room, and to change nothing.
fn nothing_is_made(stage: &Stage) -> Result<()> {
    let unified = image::busybox(&stage.cache)?.path_in_host(Form::Unified)?;
    nothing_changes(&stage.host, || {
        for (words, named) in [
            ("launch busybox r2", "r2"),
            ("create busybox r2", "r2"),
            ("start fresh", "fresh"),
            (&format!("image import {unified} --alias other"), ""),
        ] {
            let output = stage.lxctl(words).output()?;
            let said = output.stderr_text();
            ensure!(output.code == Some(NO_SPACE) && said.contains(named), "{words}: {}", output.describe());
        }
        Ok(())
    })
}

/// What runs goes on, what can be done without room is done, and the daemon comes up again.
fn the_rest_goes_on(stage: &Stage) -> Result<()> {
    stage.exec("r1", ["true"]).succeed()?;
    let written = stage.exec("r1", ["sh", "-c", "head -c 1000000 /dev/zero >/root/file"]).fail()?;
    ensure!(written.stderr_text().contains("No space left"), "{}", written.describe());
    stage.lxctl("config set r1 user.note=kept").succeed()?;
    stage.host.succeed(["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "lxhostd.service"])?;
    stage.host.succeed(["systemctl", "start", "lxhostd.service"])?;
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    ensure!(stage.lxctl("config get r1 user.note").succeed()? == "kept\n");
    stage.exec("r1", ["true"]).succeed()?;
    stage.lxctl("rename goes gone").succeed()?;
    stage.lxctl("delete gone").succeed()?;
    ensure!(stage.row("gone")?.is_none());
    Ok(())
}

fn room_again(stage: &Stage) -> Result<()> {
    stage.host.succeed(["sh", "-ec", "rm -rf /var/lib/lxhost/filler*; sync"])?;
    for name in ["r3", "r4"] {
        stage.lxctl(&format!("launch busybox {name}")).succeed()?;
        stage.address(name)?;
    }
    stage.lxctl("start fresh").succeed()?;
    ensure!(stage.exec("r3", ["hostname"]).succeed()? == "r3\n");
    stage.exec("r1", ["sh", "-c", "head -c 1000000 /dev/zero >/root/file"]).succeed()?;
    Ok(())
}

fn what_makes_something_is_refused_and_what_makes_room_works(stage: &Stage) -> Result<()> {
    let stage = prepared(stage)?;
    stage.host.succeed(["sh", "-ec", FILL])?;
    nothing_is_made(&stage)?;
    the_rest_goes_on(&stage)?;
    stage.host.succeed(["sh", "-ec", FILL])?;
    stage.lxctl("stop --force r1").succeed()?;
    ensure!(stage.status("r1")? == "stopped");
    stage.host.succeed(["sh", "-ec", "rm -rf /var/lib/lxhost/filler*; sync"])?;
    stage.eventually("what was set on the full disk, in the definition beside r1's disk", || {
        let found = stage.host.command(["grep", "-rl", "\"user.note\": \"kept\"", "/var/lib/lxhost/pools/default/instances"]);
        Ok((found.output()?.code == Some(0)).then_some(()))
    })?;
    stage.lxctl("start r1").succeed()?;
    room_again(&stage)
}

fn a_disk_without_inodes_is_full_too(stage: &Stage) -> Result<()> {
    let stage = prepared(stage)?;
    // The picture of what changes leaves out what is called a log, and half a million files would be too many for it.
    let fill = "mkdir /var/lib/lxhost/filler.log; cd /var/lib/lxhost/filler.log; \
        i=0; while seq -f $i.%.0f 20000 | xargs touch 2>/dev/null; do i=$((i+1)); done; \
        while [ $(stat -f -c %d .) -gt 0 ]; do mktemp last.XXXXXX >/dev/null; done";
    // Half a million files take a busy machine more than a minute.
    stage.host.command(["sh", "-ec", fill]).timeout(stage.host.patience(Duration::from_secs(180))).succeed()?;
    nothing_is_made(&stage)?;
    stage.exec("r1", ["true"]).succeed()?;
    stage.lxctl("delete goes").succeed()?;
    room_again(&stage)
}
