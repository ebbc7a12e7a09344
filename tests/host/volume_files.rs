//! Files of volumes: pushed, pulled, listed, edited and deleted, with the owners they have inside, and nobody's way out of
//! the volume.

use anyhow::{Result, ensure};
use lxhost_tests::host::Cmd;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;
use std::time::Duration;

pub(crate) const SUITE: Suite = suite!(
    "volume_files",
    Base::Packaged,
    [
        what_is_pushed_is_there_inside_and_comes_back,
        what_may_not_be_is_refused,
        a_guest_that_swaps_links_leads_nobody_out,
        a_volume_is_mounted_until_that_is_ended
    ]
);

/// Exit statuses.
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const EXISTS: i32 = 4;
const DENIED: i32 = 6;
const BUSY: i32 = 5;

fn files(stage: &Stage, words: &str) -> Result<String> {
    stage.lxctl(&format!("storage volume file {words}")).succeed()
}

fn refused(command: &Cmd<'_>, code: i32) -> Result<()> {
    let output = command.fail()?;
    ensure!(output.code == Some(code), "{}, not with {code}: {}", output.describe(), output.stderr_text());
    Ok(())
}

fn with_a_volume(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.host.succeed(["sh", "-ec", "lxctl storage show disks >/dev/null 2>&1 || lxctl storage create disks dir"])?;
    stage.lxctl("storage volume create disks data").succeed().map(drop)
}

fn without_it(stage: &Stage) -> Result<()> {
    stage.lxctl("storage volume delete disks data").succeed().map(drop)
}

fn what_is_pushed_is_there_inside_and_comes_back(stage: &Stage) -> Result<()> {
    with_a_volume(stage)?;
    stage.lxctl("launch busybox f1").succeed()?;
    stage.lxctl("storage volume attach disks data f1 /srv").succeed()?;
    let make = "mkdir -p /tmp/site/sub && echo one >/tmp/site/a && echo two >/tmp/site/sub/b && ln -s a /tmp/site/l && chmod 750 /tmp/site/sub";
    stage.host.succeed(["sh", "-ec", make])?;

    files(stage, "push -r /tmp/site disks data/ --uid 33 --gid 34")?;
    let seen = stage.exec("f1", ["sh", "-c", "cd /srv/site && cat a l sub/b && stat -c %u:%g:%a . a sub sub/b"]).succeed()?;
    ensure!(seen == "one\none\ntwo\n33:34:755\n33:34:644\n33:34:750\n33:34:644\n", "{seen}");
    stage.exec("f1", ["sh", "-c", "echo changed >/srv/site/a && ln -s /srv/site /srv/way"]).succeed()?;
    ensure!(files(stage, "pull disks data/site/a -")? == "changed\n");
    files(stage, "pull -r disks data/site /tmp/back")?;
    stage.host.succeed(["sh", "-ec", "cd /tmp/back && test \"$(cat a sub/b)\" = \"$(printf 'changed\\ntwo')\" && test -L l"])?;
    // Once more over what is there.
    files(stage, "pull -r disks data/site /tmp/back")?;

    files(stage, "push -p --mode 4755 /tmp/site/a disks data/x/y/z")?;
    ensure!(stage.exec("f1", ["stat", "-c", "%u:%g:%a", "/srv/x/y/z"]).succeed()? == "0:0:4755\n");
    files(stage, "pull disks data/x/y/z /tmp/z")?;
    ensure!(stage.host.succeed(["stat", "-c", "%a", "/tmp/z"])? == "755\n");
    files(stage, "create disks data/current releases/7")?;
    files(stage, "create disks data/dir/below --type directory -p")?;
    let listed = files(stage, "list disks data --format csv")?;
    ensure!(listed.contains("current,symlink,0777,0,0") && listed.contains("dir,directory,0755,0,0"), "{listed}");
    stage.host.succeed(["sh", "-ec", "echo edited | lxctl storage volume file edit disks data/site/a"])?;
    ensure!(stage.exec("f1", ["cat", "/srv/site/a"]).succeed()? == "edited\n");
    files(stage, "delete -r disks data/site data/x data/current")?;
    ensure!(stage.exec("f1", ["sh", "-c", "ls /srv"]).succeed()? == "dir\nway\n");
    stage.delete("f1")?;
    without_it(stage)
}

fn what_may_not_be_is_refused(stage: &Stage) -> Result<()> {
    with_a_volume(stage)?;
    stage.host.succeed(["sh", "-ec", "mkdir -p /tmp/d && echo x >/tmp/d/x && mkfifo -m 666 /tmp/pipe || test -p /tmp/pipe"])?;
    files(stage, "push -p /tmp/d/x disks data/dir/x")?;
    let tree = "/var/lib/lxhost/pools/disks/volumes/instances/*";
    let plant = format!("cd {tree}/root && mkfifo pipe && mknod disk b 7 0 && ln -s /proc/1/root/etc magic && ln -s loop loop");
    stage.host.succeed(["sh", "-ec", &plant])?;
    nothing_changes(&stage.host, || {
        for (words, code) in [
            ("push /tmp/d disks data/new", USAGE),
            ("push /tmp/pipe disks data/new", USAGE),
            ("push /tmp/d/x disks data/no/x", NOT_FOUND),
            ("push /tmp/d/x /tmp/d/x disks data/dir/x", USAGE),
            ("push /tmp/d/x disks data/pipe", USAGE),
            ("push /tmp/d/x disks none/x", NOT_FOUND),
            ("push /tmp/d/x none data/x", NOT_FOUND),
            ("push --mode 9 /tmp/d/x disks data/x", USAGE),
            ("pull disks data/pipe -", USAGE),
            ("pull disks data/disk -", USAGE),
            ("pull disks data/loop -", 1),
            ("pull disks data/magic/passwd -", NOT_FOUND),
            ("pull disks data/../../../pool.yaml -", NOT_FOUND),
            ("pull disks data/dir /tmp/", USAGE),
            ("create disks data/dir/x", EXISTS),
            ("create disks data/dir --type directory", EXISTS),
            ("delete disks data/dir", USAGE),
            ("delete disks data/", USAGE),
            ("delete disks data/none", NOT_FOUND),
        ] {
            refused(&stage.lxctl(&format!("storage volume file {words}")), code)?;
        }
        for words in ["list disks data", "pull disks data/dir/x -", "delete disks data/dir/x"] {
            refused(&stage.lxctl(&format!("storage volume file {words}")).user("alice"), DENIED)?;
        }
        Ok(())
    })?;
    // What is no file can be removed.
    files(stage, "delete disks data/pipe data/disk data/magic data/loop")?;
    ensure!(stage.host.succeed(["sh", "-ec", &format!("ls {tree}/root")])? == "dir\n");
    without_it(stage)
}

fn a_guest_that_swaps_links_leads_nobody_out(stage: &Stage) -> Result<()> {
    with_a_volume(stage)?;
    stage.lxctl("launch busybox f2").succeed()?;
    stage.lxctl("storage volume attach disks data f2 /srv").succeed()?;
    let canary = "mkdir -p /tmp/canary && echo kept >/tmp/canary/file && echo pushed >/tmp/pushed";
    stage.host.succeed(["sh", "-ec", canary])?;
    let swap = "cd /srv; mkdir -p a/canary b; echo inside >a/canary/file; ln -s /tmp l; \
                (while [ ! -e stop ]; do mv a b/a; mv l a; mv a l; mv b/a a; done) >/dev/null 2>&1 & sleep 0.1";
    stage.exec("f2", ["sh", "-c", swap]).succeed()?;
    let tries = "for i in $(seq 150); do \
                 lxctl storage volume file push /tmp/pushed disks data/a/canary/file; \
                 lxctl storage volume file pull disks data/a/canary/file /tmp/got && grep -qE 'inside|pushed' /tmp/got; \
                 lxctl storage volume file push /tmp/pushed disks data/l/canary/file; \
                 lxctl storage volume file delete -r disks data/l/canary; \
                 lxctl storage volume file list disks data/a | grep -q pushed && exit 1; done >/dev/null 2>&1; cat /tmp/canary/file";
    ensure!(stage.host.succeed(["bash", "-c", tries])? == "kept\n");
    stage.exec("f2", ["touch", "/srv/stop"]).succeed()?;
    stage.delete("f2")?;
    without_it(stage)
}

/// Whether a command of the host says yes.
fn is(stage: &Stage, argv: &[&str]) -> Result<bool> {
    Ok(stage.host.command(argv.iter().copied()).output()?.code == Some(0))
}

fn a_volume_is_mounted_until_that_is_ended(stage: &Stage) -> Result<()> {
    with_a_volume(stage)?;
    let mount = "storage volume file mount disks data";
    // Who lacks a program is told its package, before anything is mounted.
    stage.host.succeed(["mkdir", "-p", "/tmp/m"])?;
    nothing_changes(&stage.host, || {
        for (words, said) in [("/tmp/m", "sshfs"), ("-", "openssh-sftp-server")] {
            let refused = stage.host.command(["sh", "-c", &format!("lxctl {mount} {words} </dev/null")]).fail()?;
            ensure!(refused.stderr_text().contains(said), "{}", refused.describe());
        }
        refused(&stage.lxctl(mount), USAGE)?;
        refused(&stage.lxctl(&format!("{mount}/dir /tmp/m")), USAGE)
    })?;
    let long = Duration::from_secs(300);
    stage.host.command(["apt-get", "update", "-q"]).timeout(long).succeed()?;
    let argv = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "sshfs", "openssh-sftp-server"];
    stage.host.command(argv).timeout(long).succeed()?;
    refused(&stage.lxctl(&format!("{mount} /tmp/nowhere")), 1)?;
    refused(&stage.lxctl(&format!("{mount} -")).user("alice"), DENIED)?;

    // What a guest may plant.
    stage.lxctl("launch busybox f3").succeed()?;
    stage.lxctl("storage volume attach disks data f3 /srv").succeed()?;
    let plant = "cd /srv && ln -s /etc/passwd abs && ln -s ../../../../../../../../etc/passwd up && ln -s /proc/1/root root && echo in >file && ln -s file in";
    stage.exec("f3", ["sh", "-c", plant]).succeed()?;
    let unit = "systemd-run --collect --unit=mounting";
    stage.host.succeed(["sh", "-ec", &format!("{unit} lxctl {mount} /tmp/m")])?;
    stage.eventually("a mount", || Ok(is(stage, &["mountpoint", "-q", "/tmp/m"])?.then_some(())))?;
    let work = "cd /tmp/m && test \"$(cat file)\" = in && test -L abs && test \"$(readlink in)\" = file && ! cat abs && ! cat up \
                && ! ls root/ && mkdir d && echo out >d/f && chown 33:34 d/f && chmod 640 d/f && mv d/f d/g";
    stage.host.succeed(["sh", "-ec", work])?;
    ensure!(stage.exec("f3", ["sh", "-c", "cd /srv/d && cat g && stat -c %u:%g:%a g"]).succeed()? == "out\n33:34:640\n");
    let look = "cd /proc/$(pgrep sftp-server)/root && ls -A proc sys home var etc root 2>/dev/null";
    let seen = stage.host.succeed(["sh", "-c", &format!("{look} | grep -vE '^(ld.so.cache|passwd|[a-z]*:|)$'; true")])?;
    ensure!(seen.is_empty(), "{seen}");
    files(stage, "push /etc/hostname disks data/pushed")?;
    // The server resolves links itself when it is asked to: to what its place has, and that is nothing of this host.
    let ask = "printf '%s\\n' '-get abs /tmp/got' '-get up /tmp/got2' '-get root/etc/shadow /tmp/got3' '-get /proc/1/environ /tmp/got4' \
               '-put /etc/hostname /usr/planted' 'get file /tmp/got5' >/tmp/asked \
               && sftp -b /tmp/asked -D 'lxctl storage volume file mount disks data -' && test \"$(cat /tmp/got5)\" = in \
               && for f in got got2; do test ! -e /tmp/$f || test \"$(wc -l </tmp/$f)\" = 1; done \
               && test ! -e /tmp/got3 && test ! -e /tmp/got4 && test ! -e /usr/planted";
    stage.host.succeed(["sh", "-ec", ask])?;
    for words in ["snapshot disks data s1", "copy disks/data disks/data2", "rename disks data data2"] {
        refused(&stage.lxctl(&format!("storage volume {words}")), BUSY)?;
    }
    stage.delete("f3")?;
    refused(&stage.lxctl("storage volume delete disks data"), BUSY)?;

    stage.host.succeed(["sh", "-ec", "systemctl kill --signal=INT --kill-whom=main mounting"])?;
    let running = || is(stage, &["systemctl", "is-active", "-q", "mounting"]);
    stage.eventually("the end of mounting", || Ok((!running()?).then_some(())))?;
    let left = stage.host.succeed([
        "sh",
        "-c",
        "mountpoint -q /tmp/m && echo mounted; pgrep sftp-server; ls /run/lxhost/sandbox; true",
    ])?;
    ensure!(left.is_empty(), "{left}");
    without_it(stage)
}
