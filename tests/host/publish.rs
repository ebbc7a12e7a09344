//! Images made of real containers: what such an image makes is what the container was, and the container goes on. On
//! every kind of pool, of a snapshot, by D-Bus as by lxctl.

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "publish",
    Base::Packaged,
    [
        an_image_of_an_instance_makes_others,
        an_image_says_what_it_was_told_and_takes_the_place_of_another,
        what_cannot_be_published_changes_nothing,
        a_full_disk_leaves_no_half_of_an_image
    ]
);

/// Exit status of `NoSpace`.
const NO_SPACE: i32 = 7;
/// What is made in the instance.
const MAKE: &str = "mkdir -p /srv/own && echo one >/srv/own/file && chown 7:8 /srv/own/file && chmod 4711 /srv/own/file \
    && ln /srv/own/file /srv/own/same && rm -f /bin/usleep && rm -rf /home && mkdir -p /home/new";
/// What has to be so in one that the image makes.
const CHECK: &str = "test \"$(cat /srv/own/same)\" = one && test \"$(stat -c %u:%g:%a:%h /srv/own/file)\" = 7:8:4711:2 \
    && test ! -e /bin/usleep && test \"$(ls /home)\" = new";

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

/// Of one that runs, of its snapshot, and of one at rest.
fn it_makes_others(stage: &Stage, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox c1 -s {pool}")).succeed()?;
    stage.lxctl("wait c1 --for running --timeout 30").succeed()?;
    inside(stage, "c1", MAKE)?;
    stage.lxctl("snapshot c1 good").succeed()?;
    inside(stage, "c1", "touch /srv/later")?;
    let init = stage.init_of("c1")?;
    stage.lxctl("publish c1 --alias now").succeed()?;
    stage.lxctl("publish c1/good --alias good --compression gzip").succeed()?;
    ensure!(stage.status("c1")? == "running" && stage.init_of("c1")? == init, "it went on");
    stage.lxctl("stop --force c1").succeed()?;
    stage.lxctl("publish c1 --alias rest variant=rest").succeed()?;
    // Whoever was published may go.
    stage.delete("c1")?;
    for (alias, later) in [("now", "-e"), ("good", "! -e"), ("rest", "-e")] {
        stage.lxctl(&format!("launch {alias} c2 -s {pool}")).succeed()?;
        stage.address("c2")?;
        inside(stage, "c2", &format!("{CHECK} && test {later} /srv/later && test \"$(hostname)\" = c2"))?;
        stage.delete("c2")?;
        stage.lxctl(&format!("image delete {alias}")).succeed()?;
    }
    let left = stage.host.succeed(["find", &format!("/var/lib/lxhost/pools/{pool}/snapshots"), "-mindepth", "1"])?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

fn an_image_of_an_instance_makes_others(stage: &Stage) -> Result<()> {
    let on_ext4 = stage.sibling(State::Ext4)?;
    on_ext4.with_busybox()?;
    for (pool, driver) in [("layers", "overlay"), ("trees", "dir")] {
        on_ext4.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
        it_makes_others(&on_ext4, pool)?;
    }
    let on_btrfs = stage.sibling(State::Btrfs)?;
    on_btrfs.with_busybox()?;
    on_btrfs.lxctl("storage create volumes btrfs").succeed()?;
    it_makes_others(&on_btrfs, "volumes")
}

fn an_image_says_what_it_was_told_and_takes_the_place_of_another(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox p1").succeed()?;
    let metadata = "properties:\n  variant: web\n  os: Mine\ntemplates: {}\n";
    stage.host.put("/tmp/web.yaml", 0o644, metadata)?;
    stage.lxctl("publish p1 --alias web --metadata /tmp/web.yaml description=first").succeed()?;
    let shown = stage.lxctl("image show web").succeed()?;
    for line in ["variant: web", "os: Mine", "description: first", "architecture: x86_64"] {
        ensure!(shown.contains(line), "{line}: {shown}");
    }
    let first = stage.lxctl("image list web -c F --format csv,noheader").succeed()?;
    ensure!(stage.lxctl("publish p1 --alias web").output()?.code == Some(4), "the alias is taken");
    stage.lxctl("publish p1 --alias web --reuse description=second").succeed()?;
    ensure!(stage.lxctl("image show web").succeed()?.contains("description: second"));
    let fingerprints = stage.lxctl("image list -c F --format csv,noheader").succeed()?;
    ensure!(!fingerprints.contains(first.trim()), "the former image has gone");
    // Through the bus alone, as anybody would.
    let manager = ["busctl", "call", "org.lxhost1", "/org/lxhost1", "org.lxhost1.Manager", "GetInstance", "ss", "default", "p1"];
    let said = stage.host.succeed(manager)?;
    let path = said.split('"').nth(1).with_context(|| format!("no path in {said}"))?;
    let options = ["a{sv}", "2", "aliases", "as", "1", "bus", "compression", "s", "none"];
    let call = ["busctl", "call", "org.lxhost1", path, "org.lxhost1.Instance", "Publish"];
    stage.host.succeed(call.into_iter().chain(options))?;
    stage.eventually("an image that a call on the bus makes", || {
        Ok(Some(()).filter(|()| stage.lxctl("image info bus").output().is_ok_and(|output| output.code == Some(0))))
    })?;
    stage.lxctl("image export web /tmp/web").succeed()?;
    stage.lxctl("image delete web bus").succeed()?;
    stage.lxctl("image import /tmp/web --alias back").succeed()?;
    stage.lxctl("image delete back").succeed()?;
    stage.delete("p1")
}

fn what_cannot_be_published_changes_nothing(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox p1").succeed()?;
    stage.host.put("/tmp/bad.yaml", 0o644, "- a\n")?;
    nothing_changes(&stage.host, || {
        for (words, code) in [
            ("publish p1 --alias busybox", 4),
            ("publish p1 --alias ../x", 2),
            ("publish p1/nothing", 3),
            ("publish nobody", 3),
            ("publish p1 serveur2:", 8),
            ("publish p1 --metadata /tmp/bad.yaml", 2),
            ("publish p1 --metadata /nowhere.yaml", 1),
            ("publish p1 --compression bzip2", 2),
            ("publish p1 word", 2),
        ] {
            let output = stage.lxctl(words).output()?;
            ensure!(output.code == Some(code), "{words}: {}", output.describe());
        }
        let output = stage.lxctl("--no-ask-password publish p1 --alias mine").user("alice").output()?;
        ensure!(output.code == Some(6), "{}", output.describe());
        Ok(())
    })?;
    stage.delete("p1")
}

fn a_full_disk_leaves_no_half_of_an_image(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.running("f1")?;
    inside(&stage, "f1", "head -c 3000000 /dev/urandom >/root/file")?;
    stage.host.succeed(["sh", "-ec", crate::full_disk::FILL])?;
    nothing_changes(&stage.host, || {
        let output = stage.lxctl("publish f1 --alias full").output()?;
        ensure!(output.code == Some(NO_SPACE), "{}", output.describe());
        Ok(())
    })?;
    ensure!(inside(&stage, "f1", "echo yes")? == "yes\n", "it was let go on");
    stage.host.succeed(["sh", "-ec", "rm -rf /var/lib/lxhost/filler*; sync"])?;
    stage.lxctl("publish f1 --alias full").succeed()?;
    stage.lxctl("launch full f2").succeed()?;
    ensure!(inside(&stage, "f2", "wc -c </root/file")?.trim() == "3000000");
    stage.delete("f1 f2")?;
    stage.lxctl("image delete full").succeed()?;
    Ok(())
}
