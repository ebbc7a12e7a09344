//! Sizes of roots and volumes: what a guest writes ends where they say, on btrfs and by projects of ext4.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "quotas",
    Base::Packaged,
    [
        a_root_on_btrfs_ends_where_its_size_says,
        a_volume_on_btrfs_ends_where_its_size_says,
        a_guest_makes_directories_where_it_asks_for_subvolumes,
        projects_of_ext4_end_where_the_sizes_say needs [Quota],
        a_size_that_cannot_be_kept_is_refused
    ]
);

/// Exit status of `LimitsExceeded`.
const LIMITS_EXCEEDED: i32 = 13;
/// Exit status of `Unsupported`.
const UNSUPPORTED: i32 = 8;

/// Writes so many megabytes into a new file of a guest; says whether there was room.
fn fits(stage: &Stage, name: &str, file: &str, megabytes: u32) -> Result<bool> {
    let script = format!("dd if=/dev/urandom of={file} bs=1M count={megabytes} conv=fsync 2>&1");
    let output = stage.exec(name, ["sh", "-c", &script]).output()?;
    let said = output.stdout_text();
    ensure!(output.code == Some(0) || said.contains("quota exceeded") || said.contains("No space"), "{}", output.describe());
    Ok(output.code == Some(0))
}

/// Everything about the size of a root, on one pool.
fn roots(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox q1 -s {pool} -d root,size=32MiB")).succeed()?;
    ensure!(fits(stage, "q1", "/root/a", 8)?);
    ensure!(!fits(stage, "q1", "/root/b", 40)?, "there is no room for more than the size");
    stage.exec("q1", ["rm", "/root/b"]).succeed()?;
    stage.lxctl("config device set q1 root size=64MiB").succeed()?;
    ensure!(fits(stage, "q1", "/root/b", 40)?, "it has grown while the guest ran");
    let refused = stage.lxctl("config device set q1 root size=16MiB").output()?;
    ensure!(refused.code == Some(LIMITS_EXCEEDED), "{}", refused.describe());
    ensure!(stage.lxctl("config device get q1 root size").succeed()?.trim() == "64MiB", "what is refused changes nothing");
    // What is full can be started, and emptied.
    ensure!(!fits(stage, "q1", "/root/c", 40)?);
    stage.lxctl("restart --force q1").succeed()?;
    ensure!(!fits(stage, "q1", "/root/d", 40)?, "the limit outlives the run");
    stage.exec("q1", ["sh", "-c", "rm -f /root/b /root/c /root/d"]).succeed()?;
    stage.lxctl("config device set q1 root size=128MiB").succeed()?;
    stage.lxctl("snapshot q1 s1").succeed()?;
    stage.lxctl("restore q1 s1").succeed()?;
    ensure!(!fits(stage, "q1", "/root/b", 140)?, "what is restored has a limit, too");
    stage.exec("q1", ["rm", "/root/b"]).succeed()?;
    stage.lxctl("copy q1 q2").succeed()?;
    stage.lxctl("start q2").succeed()?;
    ensure!(!fits(stage, "q2", "/root/b", 140)?, "and so has a copy");
    stage.delete("q2")?;
    stage.lxctl("config device unset q1 root size").succeed()?;
    ensure!(fits(stage, "q1", "/root/b", 140)?, "there is no limit any more");
    stage.delete("q1")
}

/// The same about a volume, which two guests use.
fn volumes(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("storage volume create {pool} bounded size=16MiB")).succeed()?;
    for name in ["w1", "w2"] {
        stage.lxctl(&format!("launch busybox {name} -s {pool}")).succeed()?;
        stage.lxctl(&format!("storage volume attach {pool} bounded {name} /srv")).succeed()?;
    }
    ensure!(fits(stage, "w1", "/srv/a", 10)? && !fits(stage, "w2", "/srv/b", 10)?, "it is one room for both");
    stage.lxctl(&format!("storage volume set {pool} bounded size=64MiB")).succeed()?;
    ensure!(fits(stage, "w2", "/srv/b", 20)?);
    let refused = stage.lxctl(&format!("storage volume set {pool} bounded size=8MiB")).output()?;
    ensure!(refused.code == Some(LIMITS_EXCEEDED), "{}", refused.describe());
    stage.lxctl(&format!("storage volume unset {pool} bounded size")).succeed()?;
    ensure!(fits(stage, "w1", "/srv/c", 80)?);
    stage.delete("w1")?;
    stage.delete("w2")?;
    stage.lxctl(&format!("storage volume delete {pool} bounded")).succeed()?;
    Ok(())
}

fn a_root_on_btrfs_ends_where_its_size_says(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create counted btrfs").succeed()?;
    roots(&stage, "counted")
}

fn a_volume_on_btrfs_ends_where_its_size_says(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create counted btrfs").succeed()?;
    volumes(&stage, "counted")
}

/// Makes a subvolume (btrfs-ioctl: `SUBVOL_CREATE`); its exit status is the error's number.
const SUBVOLUME: &str = "sysopen(D, $ARGV[0], 0) or exit 99; my $name = pack(\"x8Z4088\", \"sub\"); \
    ioctl(D, 0x5000940e, $name) ? exit 0 : exit $!+0";

fn a_guest_makes_directories_where_it_asks_for_subvolumes(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_debian()?;
    stage.lxctl("storage create counted btrfs").succeed()?;
    stage.lxctl("launch debian s1 -s counted --wait").succeed()?;
    let refused = stage.exec("s1", ["perl", "-e", SUBVOLUME, "/root"]).output()?;
    ensure!(refused.code == Some(25), "ENOTTY: {}", refused.describe());
    stage.host.succeed(["perl", "-e", SUBVOLUME, "/var/lib/lxhost"])?;
    stage.host.succeed(["btrfs", "subvolume", "delete", "/var/lib/lxhost/sub"])?;
    // systemd-tmpfiles(8) asks for one, too, and makes do.
    stage.exec("s1", ["sh", "-c", "printf 'v /srv/mine 0750 - - -\n' | systemd-tmpfiles --create -"]).succeed()?;
    stage.exec("s1", ["test", "-d", "/srv/mine"]).succeed()?;
    let made = stage.host.succeed(["btrfs", "subvolume", "list", "/var/lib/lxhost"])?;
    ensure!(!made.contains("mine"), "{made}");
    stage.delete("s1")
}

fn projects_of_ext4_end_where_the_sizes_say(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    let script = "truncate -s 600M /var/tmp/counted.img; mkfs.ext4 -q -O quota,project -E quotatype=prjquota /var/tmp/counted.img; \
        mkdir -p /srv/counted; mount -o loop,prjquota /var/tmp/counted.img /srv/counted";
    stage.host.succeed(["sh", "-ec", script])?;
    stage.lxctl("storage create layers overlay source=/srv/counted/layers").succeed()?;
    roots(stage, "layers")?;
    volumes(stage, "layers")?;
    stage.lxctl("launch busybox q3 -s layers -d root,size=32MiB").succeed()?;
    let shown = stage.exec("q3", ["df", "-m", "/"]).succeed()?;
    ensure!(shown.split_whitespace().any(|word| word == "32"), "the guest sees its size: {shown}");
    stage.delete("q3")?;
    stage.lxctl("storage create trees dir source=/srv/counted/trees").succeed()?;
    stage.lxctl("launch busybox q4 -s trees -d root,size=16MiB").succeed()?;
    ensure!(!fits(stage, "q4", "/root/a", 20)?);
    stage.delete("q4")
}

fn a_size_that_cannot_be_kept_is_refused(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox r1").succeed()?;
    nothing_changes(&stage.host, || {
        for words in ["config device override r1 root size=1GiB", "create busybox r2 -d root,size=1GiB"] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(UNSUPPORTED), "{words}: {}", output.describe());
            ensure!(output.stderr_text().contains("prjquota"), "it says what is missing: {}", output.describe());
        }
        for size in ["much", "0", "1023KiB"] {
            let output = stage.lxctl(&format!("config device override r1 root size={size}")).output()?;
            ensure!(output.code == Some(2), "{size}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.delete("r1")
}
