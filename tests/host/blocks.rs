//! Block volumes of real pools: sparse, of the size they were given, grown and never made smaller, kept by snapshots and
//! copies with their holes, and no place for files.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "blocks",
    Base::Packaged,
    [a_block_volume_lives_on_plain_pools, a_block_volume_lives_on_btrfs, what_may_not_be_is_refused]
);

/// Exit statuses.
const USAGE: i32 = 2;
const UNSUPPORTED: i32 = 8;

fn volume(stage: &Stage, words: &str) -> Result<String> {
    stage.lxctl(&format!("storage volume {words}")).succeed()
}

/// Path of the disk of the only volume on `pool` whose disk has so many bytes; it takes less than 64 MiB.
fn disk(stage: &Stage, pool: &str, bytes: u64) -> Result<String> {
    let find = format!("find $(readlink -f /var/lib/lxhost/pools/{pool})/volumes/instances -name volume.img -size {bytes}c");
    let found = stage.host.succeed(["sh", "-ec", &find])?;
    let path = found.trim().to_owned();
    ensure!(!path.is_empty() && !path.contains('\n'), "{found:?}");
    let taken: u64 = stage.host.succeed(["sh", "-ec", &format!("du -k {path} | cut -f1")])?.trim().parse()?;
    ensure!(taken < 64 << 10, "{path} takes {taken} KiB");
    Ok(path)
}

fn write(stage: &Stage, disk: &str, word: &str) -> Result<()> {
    // In the middle of nothing.
    stage.host.succeed(["sh", "-ec", &format!("printf {word} | dd of={disk} bs=1 seek=5368709120 conv=notrunc status=none")])?;
    ensure!(read(stage, disk)?.starts_with(word), "{disk}");
    Ok(())
}

fn read(stage: &Stage, disk: &str) -> Result<String> {
    stage.host.succeed(["sh", "-ec", &format!("dd if={disk} bs=1 skip=5368709120 count=4 status=none")])
}

const TEN: u64 = 10 << 30;
const ELEVEN: u64 = 11 << 30;

/// Everything that can be done with a block volume on `pool`, and to `other`.
fn it_lives(stage: &Stage, pool: &str, other: &str) -> Result<()> {
    volume(stage, &format!("create {pool} disk --type=block"))?;
    let listed = volume(stage, &format!("list {pool} --format csv"))?;
    ensure!(listed.contains("disk,") && listed.contains(",block,"), "{listed}");
    ensure!(volume(stage, &format!("get {pool} disk size"))?.trim() == "10GiB");
    let info = volume(stage, &format!("info {pool} disk --bytes"))?;
    ensure!(info.contains("Content type: block") && info.contains(&format!("Total: {TEN}")), "{info}");
    let mut place = disk(stage, pool, TEN)?;
    write(stage, &place, "one!")?;

    volume(stage, &format!("snapshot {pool} disk s1"))?;
    write(stage, &place, "two!")?;
    volume(stage, &format!("set {pool} disk size=11GiB"))?;
    place = disk(stage, pool, ELEVEN)?;
    ensure!(read(stage, &place)? == "two!");
    nothing_changes(&stage.host, || {
        let refused = stage.lxctl(&format!("storage volume set {pool} disk size=10GiB")).fail()?;
        ensure!(refused.code == Some(USAGE) && refused.stderr_text().contains("smaller"), "{}", refused.describe());
        Ok(())
    })?;
    volume(stage, &format!("copy {pool}/disk {other}/away"))?;
    ensure!(read(stage, &disk(stage, other, ELEVEN)?)? == "two!");
    volume(stage, &format!("snapshot restore {pool} disk s1"))?;
    place = disk(stage, pool, ELEVEN)?;
    ensure!(read(stage, &place)? == "one!", "it holds what it held, and is as large as it was");
    volume(stage, &format!("copy {pool}/disk {other}/away --refresh"))?;
    ensure!(read(stage, &disk(stage, other, ELEVEN)?)? == "one!");
    volume(stage, &format!("snapshot restore {other} away s1"))?;
    ensure!(read(stage, &disk(stage, other, ELEVEN)?)? == "one!");
    volume(stage, &format!("delete {other} away"))?;

    volume(stage, &format!("rename {pool} disk disk1"))?;
    volume(stage, &format!("move {pool}/disk1 {other}/disk2"))?;
    ensure!(read(stage, &disk(stage, other, ELEVEN)?)? == "one!");
    volume(stage, &format!("copy {other}/disk2 {other}/disk3"))?;
    volume(stage, &format!("delete {other} disk2"))?;
    ensure!(read(stage, &disk(stage, other, ELEVEN)?)? == "one!");
    volume(stage, &format!("delete {other} disk3"))?;
    Ok(())
}

fn with_dir(stage: &Stage) -> Result<()> {
    stage.host.succeed(["sh", "-ec", "lxctl storage show disks >/dev/null 2>&1 || lxctl storage create disks dir"]).map(drop)
}

fn a_block_volume_lives_on_plain_pools(stage: &Stage) -> Result<()> {
    with_dir(stage)?;
    stage.lxctl("storage create layers overlay").succeed()?;
    it_lives(stage, "layers", "disks")?;
    it_lives(stage, "disks", "layers")
}

fn a_block_volume_lives_on_btrfs(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    with_dir(&stage)?;
    stage.lxctl("storage create trees btrfs").succeed()?;
    it_lives(&stage, "trees", "disks")?;
    it_lives(&stage, "disks", "trees")
}

fn what_may_not_be_is_refused(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    with_dir(stage)?;
    volume(stage, "create disks disk --type=block size=1MiB")?;
    volume(stage, "create disks data")?;
    stage.lxctl("create busybox b1").succeed()?;
    nothing_changes(&stage.host, || {
        for size in ["0", "512", "1048577", "10GB", "9EiB", "7EiB", "18446744073709551616", "-1", "much"] {
            let refused = stage.lxctl(&format!("storage volume create disks new --type=block size={size}")).fail()?;
            ensure!(refused.code == Some(USAGE), "{size}: {}", refused.describe());
        }
        for (words, code) in [
            ("create disks new --type=block initial.uid=1", USAGE),
            ("create disks new --type=iso", USAGE),
            ("set disks disk size=1048577", USAGE),
            ("file list disks disk", UNSUPPORTED),
            ("file push /etc/hostname disks disk/x", UNSUPPORTED),
            ("file pull disks disk/volume.img /tmp/stolen", UNSUPPORTED),
            ("export disks disk /tmp/disk.tar", UNSUPPORTED),
            ("attach disks disk b1 /srv", UNSUPPORTED),
            ("copy disks/data disks/disk --refresh", USAGE),
        ] {
            let refused = stage.lxctl(&format!("storage volume {words}")).fail()?;
            ensure!(refused.code == Some(code), "{words}, not with {code}: {}", refused.describe());
        }
        Ok(())
    })?;
    stage.delete("b1")?;
    volume(stage, "delete disks disk data").map(drop)
}
