//! Backups of real containers: what goes into one comes out of it, with its snapshots, beside the original; on every
//! kind of pool, by D-Bus as by lxctl. What is damaged or hostile changes nothing.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::image::hostile::{Archive, Kind};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::tool;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "backups",
    Base::Packaged,
    [
        what_goes_in_comes_out_beside_the_original,
        a_backup_of_btrfs_comes_out_on_an_overlay,
        a_script_makes_backups_of_all,
        what_is_no_whole_backup_changes_nothing,
        a_second_configuration_counts_for_nothing,
        backups_that_are_bombs_change_nothing needs [Speed],
        an_ordinary_user_needs_leave,
        a_full_disk_leaves_no_half_of_an_instance
    ]
);

const UNTRUSTED: i32 = 10;
/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;
/// What is made in a root: a file with an owner and a capability's worth of mode, a deletion, a directory made anew.
const MAKE: &str = "mkdir -p /srv/own && echo one >/srv/own/file && chown 7:8 /srv/own/file && chmod 4711 /srv/own/file \
    && ln -s file /srv/own/link && ln /srv/own/file /srv/own/same && mkfifo /srv/own/pipe \
    && rm -f /bin/usleep && rm -rf /home && mkdir -p /home/new";
/// What has to be so afterwards.
const CHECK: &str = "test \"$(cat /srv/own/same)\" = one && test \"$(stat -c %u:%g:%a:%h /srv/own/file)\" = 7:8:4711:2 \
    && test \"$(readlink /srv/own/link)\" = file && test -p /srv/own/pipe && test ! -e /bin/usleep \
    && test \"$(ls /home)\" = new && test ! -e /srv/later";

fn inside(stage: &Stage, name: &str, script: &str) -> Result<()> {
    stage.exec(name, ["sh", "-ec", script]).succeed()?;
    Ok(())
}

/// A container with a snapshot in which all is well, and changed since.
fn with_a_snapshot(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox c1 -s {pool} -c user.a=b --description original")).succeed()?;
    stage.lxctl("wait c1 --for running --timeout 30").succeed()?;
    inside(stage, "c1", MAKE)?;
    stage.lxctl("snapshot c1 good --comment before").succeed()?;
    inside(stage, "c1", "touch /srv/later")
}

fn address(stage: &Stage, name: &str) -> Result<String> {
    stage.eventually(&format!("{name} has an address"), || {
        let address = stage.lxctl(&format!("list {name} -c 4 --format csv,noheader")).succeed()?;
        Ok(Some(address.trim().to_owned()).filter(|address| !address.is_empty()))
    })
}

fn what_goes_in_comes_out_beside_the_original(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        with_a_snapshot(&stage, pool)?;
        let init = stage.init_of("c1")?;
        stage.lxctl("export c1 /tmp/c1.tar.zst").succeed()?;
        ensure!(stage.status("c1")? == "running" && stage.init_of("c1")? == init, "it went on");
        stage.lxctl(&format!("import /tmp/c1.tar.zst c2 -s {pool}")).succeed()?;
        stage.lxctl("start c2").succeed()?;
        inside(&stage, "c2", "test -e /srv/later")?;
        ensure!(address(&stage, "c1")? != address(&stage, "c2")?, "both have an address of their own");
        ensure!(stage.lxctl("config get c2 user.a").succeed()?.trim() == "b");
        stage.lxctl("restore c2 good").succeed()?;
        inside(&stage, "c2", CHECK)?;
        // At rest, without snapshots, from standard input; and back under its own name.
        stage.lxctl("stop --force c2").succeed()?;
        stage.host.succeed(["sh", "-ec", "lxctl export c2 - --instance-only | lxctl import - c3"])?;
        ensure!(stage.lxctl("snapshot list c3 -q").succeed()?.is_empty());
        stage.lxctl("start c3").succeed()?;
        inside(&stage, "c3", CHECK)?;
        for name in ["c1", "c2", "c3"] {
            stage.delete(name)?;
        }
        let left = format!("find /var/lib/lxhost/pools/{pool}/instances /var/lib/lxhost/pools/{pool}/snapshots -mindepth 1");
        let left = stage.host.succeed(left.split(' '))?;
        ensure!(left.is_empty(), "{left}");
    }
    stage.lxctl("import /tmp/c1.tar.zst").succeed()?;
    stage.delete("c1")
}

fn a_backup_of_btrfs_comes_out_on_an_overlay(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Btrfs)?;
    stage.with_busybox()?;
    stage.lxctl("storage create volumes btrfs").succeed()?;
    stage.lxctl("storage create layers overlay").succeed()?;
    with_a_snapshot(&stage, "volumes")?;
    stage.lxctl("export c1 /tmp/c1.tar.gz").succeed()?;
    stage.host.succeed(["sh", "-ec", "gzip -t /tmp/c1.tar.gz && tar tzf /tmp/c1.tar.gz | grep -qx backup/index.yaml"])?;
    for pool in ["layers", "volumes"] {
        stage.lxctl(&format!("import /tmp/c1.tar.gz {pool}1 -s {pool}")).succeed()?;
        stage.lxctl(&format!("start {pool}1")).succeed()?;
        stage.lxctl(&format!("restore {pool}1 good")).succeed()?;
        inside(&stage, &format!("{pool}1"), CHECK)?;
        stage.delete(&format!("{pool}1"))?;
    }
    stage.delete("c1")?;
    let left = stage.host.succeed(["btrfs", "subvolume", "list", "/var/lib/lxhost"])?;
    ensure!(!left.contains("/snapshots/") && !left.contains("/instances/"), "{left}");
    Ok(())
}

/// The script that one of the documents gives its readers, with the command's name changed.
const SCRIPT: &str = r#"#!/bin/bash
BACKUP_DIR="/backup/lxd"
DATE=$(date +%Y%m%d_%H%M%S)
for container in $(lxctl list -c n --format csv); do
    lxctl snapshot "$container" "backup-$DATE"
    lxctl export "$container" "$BACKUP_DIR/${container}_$DATE.tar.gz"
    lxctl delete "$container/backup-$DATE"
done
find "$BACKUP_DIR" -name "*.tar.gz" -mtime +7 -delete
"#;

fn a_script_makes_backups_of_all(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox web").succeed()?;
    stage.lxctl("create busybox db").succeed()?;
    stage.host.succeed(["mkdir", "-p", "/backup/lxd"])?;
    stage.host.put("/root/backup-lxd.sh", 0o755, SCRIPT)?;
    stage.host.succeed(["bash", "/root/backup-lxd.sh"])?;
    let made = stage.host.succeed(["sh", "-c", "ls /backup/lxd"])?;
    ensure!(made.lines().count() == 2 && made.contains("web_") && made.contains("db_"), "{made}");
    ensure!(stage.lxctl("snapshot list web -q").succeed()?.is_empty());
    for name in ["web", "db"] {
        let verified =
            stage.host.succeed(["sh", "-ec", &format!("lxctl backup verify /backup/lxd/{name}_*.tar.gz --format json")])?;
        ensure!(verified.contains("backup-20"), "the snapshot is in it: {verified}");
        stage.delete(name)?;
        stage.host.succeed(["sh", "-ec", &format!("lxctl import /backup/lxd/{name}_*.tar.gz")])?;
        stage.lxctl(&format!("start {name}")).succeed()?;
        stage.delete(name)?;
    }
    Ok(())
}

fn what_is_no_whole_backup_changes_nothing(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox c1").succeed()?;
    stage.lxctl("export c1 /tmp/whole.tar").succeed()?;
    let make = "cd /tmp && head -c 1000000 whole.tar >cut.tar && echo nothing >text.tar && : >empty.tar \
        && mkdir -p x/backup/container && tar xOf whole.tar backup/index.yaml >x/backup/index.yaml \
        && ln -s / x/backup/container/rootfs && tar cf link.tar -C x backup/index.yaml backup/container/rootfs \
        && rm x/backup/container/rootfs && mkdir -p x/backup/container/rootfs/etc && echo canary >x/backup/container/rootfs/etc/x \
        && tar cPf above.tar -C x backup/index.yaml --transform 's,/etc/x$,/../../../../../../etc/canary,' backup/container/rootfs/etc/x \
        && sed -i 's/^    config:/    config:\\n      security.nesting: maybe/' x/backup/index.yaml \
        && tar cf key.tar -C x backup/index.yaml backup/container/rootfs";
    stage.host.succeed(["sh", "-ec", make])?;
    nothing_changes(&stage.host, || {
        for file in ["cut", "text", "empty", "link", "above", "key"] {
            let output = stage.lxctl(&format!("import /tmp/{file}.tar c2")).output()?;
            ensure!(output.code == Some(UNTRUSTED), "{file}: {}", output.describe());
        }
        for (words, code) in [("import /tmp/whole.tar", 4), ("import /tmp c2", 2), ("import /tmp/whole.tar ../c2", 2)] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        let output = stage.lxctl("export c1 /nonexistent/c1.tar").output()?;
        ensure!(output.code == Some(1), "{}", output.describe());
        let output = stage.host.command(["sh", "-c", "lxctl export c1 - >/dev/full"]).output()?;
        ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
        Ok(())
    })?;
    stage.delete("c1")
}

/// What one who looks is shown has to be what is made: there is one place that says what an instance is.
fn a_second_configuration_counts_for_nothing(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox c1 -c user.a=b").succeed()?;
    stage.lxctl("export c1 /tmp/whole.tar").succeed()?;
    let make = "cd /tmp && rm -rf y && mkdir y && tar xpf whole.tar -C y && tar cf two.tar -C y backup/index.yaml \
        && sed -i 's/user.a: b/user.a: other/; s/^    config:/    config:\\n      security.nesting: \"true\"/' y/backup/index.yaml \
        && grep -q security.nesting y/backup/index.yaml && cp y/backup/index.yaml y/backup/container/backup.yaml \
        && cp y/backup/index.yaml y/backup/container/instance.yaml && tar rf two.tar -C y backup/index.yaml backup/container";
    stage.host.succeed(["sh", "-ec", make])?;
    stage.lxctl("import /tmp/two.tar c2").succeed()?;
    let shown = stage.lxctl("config show c2").succeed()?;
    ensure!(shown.contains("user.a: b") && !shown.contains("nesting"), "{shown}");
    stage.lxctl("start c2").succeed()?;
    ensure!(stage.lxctl("config show c2").succeed()?.contains("user.a: b"));
    stage.delete("c1 c2")
}

/// Small files that say much: each is given up before the disk or the memory is.
fn backups_that_are_bombs_change_nothing(stage: &Stage) -> Result<()> {
    // A disk of its own: one that goes off must not hit the machine's.
    let stage = &stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("create busybox c1").succeed()?;
    stage.host.succeed(["sh", "-ec", "lxctl export c1 /tmp/c1.tar && tar xOf /tmp/c1.tar backup/index.yaml >/tmp/index.yaml"])?;
    let index = stage.host.succeed(["cat", "/tmp/index.yaml"])?;
    let with = |index: &str| {
        Archive::default().file("backup/index.yaml", index.as_bytes()).entry("backup/container/rootfs/", Kind::Directory, "", &[])
    };
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(laughs, "a{level}: &a{level} [{before}]")?;
    }
    let share = stage.host.share();
    std::fs::write(share.join("laughs.tar"), with(&format!("{laughs}{index}")).whole())?;
    std::fs::write(share.join("index.tar"), with(&format!("{index}# {}\n", "x".repeat(17 << 20))).whole())?;
    std::fs::write(share.join("head"), with(&index).claim("backup/container/rootfs/zeros", 200_000_000_000).open())?;
    // Compressed streams may be joined: two hundred gigabytes of zeros are some megabytes.
    let join =
        "head -c 100000000 /dev/zero | zstd -q >one; zstd -q <head >zeros.tar; yes one | head -n 2000 | xargs cat >>zeros.tar";
    tool::run(Command::new("sh").args(["-ec", join]).current_dir(share))?;
    nothing_changes(&stage.host, || {
        for (file, code) in [("laughs", UNTRUSTED), ("index", UNTRUSTED), ("zeros", UNTRUSTED)] {
            let argv = ["lxctl", "import", &format!("/lab/{file}.tar"), "c2"];
            let output = stage.host.command(argv).timeout(Duration::from_secs(150)).output()?;
            ensure!(output.code == Some(code), "{file}: {}", output.describe());
            println!("    {file}: {}", output.stderr_text().lines().last().unwrap_or_default());
        }
        Ok(())
    })?;
    stage.delete("c1")
}

fn an_ordinary_user_needs_leave(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox c1").succeed()?;
    stage.lxctl("export c1 /tmp/c1.tar").succeed()?;
    stage.host.succeed(["chmod", "644", "/tmp/c1.tar"])?;
    nothing_changes(&stage.host, || {
        for line in ["lxctl export c1 /tmp/mine.tar", "lxctl import /tmp/c1.tar c2"] {
            let output = stage.host.command(["sh", "-c", line]).user("bob").output()?;
            ensure!(output.code == Some(6), "{line}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.delete("c1")
}

fn a_full_disk_leaves_no_half_of_an_instance(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.running("c1")?;
    inside(&stage, "c1", "dd if=/dev/urandom of=/large bs=1M count=8 2>/dev/null")?;
    stage.lxctl("export c1 /tmp/c1.tar").succeed()?;
    stage.host.succeed(["sh", "-ec", crate::full_disk::FILL])?;
    nothing_changes(&stage.host, || {
        for words in ["import /tmp/c1.tar c2", "export c1 /tmp/c2.tar"] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(NO_SPACE), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    ensure!(stage.exec("c1", ["echo", "yes"]).succeed()? == "yes\n", "it was let go on");
    stage.host.succeed(["sh", "-ec", "rm -rf /var/lib/lxhost/filler*; sync"])?;
    stage.lxctl("import /tmp/c1.tar c2").succeed()?;
    stage.delete("c2")?;
    stage.delete("c1")
}
