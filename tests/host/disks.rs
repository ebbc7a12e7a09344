//! Disks beside the root: paths of the host with the ids of their owners, memory, and their coming and going while an
//! instance runs; what may not be is refused, and a link leads nowhere.

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::Cmd;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "disks",
    Base::Packaged,
    [
        files_of_the_host_have_the_same_owners_inside,
        a_read_only_disk_stays_so,
        disks_come_and_go_while_the_instance_runs,
        a_disk_in_use_stays_and_says_who_uses_it,
        a_disk_of_a_profile_comes_to_what_runs,
        links_on_the_host_are_not_followed,
        links_inside_lead_nowhere_else,
        what_the_host_mounts_later_follows_when_asked,
        memory_has_its_size_and_ends_with_the_run,
        what_reaches_the_host_is_asked_about,
        who_is_not_root_brings_what_he_can_read,
        a_path_that_is_swapped_all_the_time_leads_nowhere_else,
    ]
);

/// A file system of the host whose mounts can map ids, and the image.
fn shared(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    let script = "mountpoint -q /share || { mkdir -p /share; mount -t tmpfs -o mode=0755 share /share; }
        install -d -o alice -g alice /share/alice && echo one >/share/alice/file && chown alice:alice /share/alice/file
        echo two >/share/alice/of-root && touch /share/alice/odd && chown 60001:1234 /share/alice/odd";
    stage.host.succeed(["sh", "-ec", script])?;
    Ok(())
}

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

fn add(stage: &Stage, name: &str, keys: &str) -> Result<()> {
    stage.lxctl(&format!("config device add {name} {keys}")).succeed()?;
    Ok(())
}

/// A device that is refused with this status, and what is said.
fn refused(stage: &Stage, words: &str, code: i32) -> Result<String> {
    let output = stage.lxctl(words).output()?;
    ensure!(output.code == Some(code), "{words}: {}", output.describe());
    Ok(output.stderr_text())
}

/// The call by which a disk with this source becomes the only device of an instance, as a bare client makes it.
fn replace<'a>(stage: &'a Stage, name: &str, source: &str) -> Result<Cmd<'a>> {
    let paths = stage.host.succeed(["busctl", "tree", "--list", "org.lxhost1"])?;
    let property =
        |path: &str| stage.host.succeed(["busctl", "get-property", "org.lxhost1", path, "org.lxhost1.Instance", "Name"]);
    let of_instance =
        |path: &&str| path.contains("/instance/") && property(path).is_ok_and(|said| said == format!("s \"{name}\"\n"));
    let path = paths.lines().map(str::trim).find(of_instance).context("its object")?;
    let call = ["busctl", "call", "org.lxhost1", path, "org.lxhost1.Instance"];
    let read = stage.host.succeed([&call[..], &["GetConfig", "a{sv}", "0"]].concat())?;
    let generation = read.split_whitespace().last().context("a generation")?;
    let device = ["1", "home", "3", "type", "disk", "source", source, "path", "/mnt/home"];
    let words = [&call[..], &["ReplaceConfig", "a{ss}a{sa{ss}}asta{sv}", "0"], &device, &["1", "default", generation, "0"]];
    Ok(stage.host.command(words.concat()))
}

fn files_of_the_host_have_the_same_owners_inside(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("create busybox d1").succeed()?;
    add(stage, "d1", "home disk source=/share/alice path=/mnt/home")?;
    add(stage, "d1", "note disk source=/share/alice/file path=/run/notes/one shift=true")?;
    stage.lxctl("start d1").succeed()?;
    let look = "cd DIR && stat -c '%n %u:%g %a' . file of-root odd";
    let host = stage.host.succeed(["sh", "-ec", &look.replace("DIR", "/share/alice")])?;
    ensure!(inside(stage, "d1", &look.replace("DIR", "/mnt/home"))? == host, "{host}");
    ensure!(inside(stage, "d1", "cat /run/notes/one")? == "one\n", "a file, below what is mounted at the start");
    let ids = stage.host.succeed(["sh", "-c", "echo $(id -u alice):$(id -g alice)"])?;
    inside(stage, "d1", &format!("echo new >/mnt/home/new && chown {} /mnt/home/new && touch /mnt/home/roots", ids.trim()))?;
    let owners = stage.host.succeed(["stat", "-c", "%u:%g", "/share/alice/new", "/share/alice/roots"])?;
    ensure!(owners == format!("{}\n0:0\n", ids.trim()), "{owners}");
    // With what is mounted below it, or without.
    let below = "mkdir -p /share/alice/below && mount -t tmpfs below /share/alice/below && touch /share/alice/below/deep";
    stage.host.succeed(["sh", "-ec", below])?;
    add(stage, "d1", "flat disk source=/share/alice path=/mnt/flat")?;
    add(stage, "d1", "deep disk source=/share/alice path=/mnt/deep recursive=true")?;
    inside(stage, "d1", "test ! -e /mnt/flat/below/deep && test \"$(stat -c %u:%g /mnt/deep/below/deep)\" = 0:0")?;
    // Without a map they are nobody's, and are read by whoever may.
    add(stage, "d1", "plain disk source=/share/alice path=/mnt/plain shift=false")?;
    inside(stage, "d1", "test \"$(stat -c %u /mnt/plain/file)\" = 65534 && cat /mnt/plain/file && ! touch /mnt/plain/x")?;
    stage.delete("d1")?;
    stage.host.succeed(["umount", "/share/alice/below"])?;
    ensure!(stage.host.get("/share/alice/file")? == b"one\n", "the instance is gone, the files are not");
    Ok(())
}

fn a_read_only_disk_stays_so(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("create busybox d1").succeed()?;
    add(stage, "d1", "start disk source=/share/alice path=/mnt/start readonly=true")?;
    stage.lxctl("start d1").succeed()?;
    add(stage, "d1", "live disk source=/share/alice path=/mnt/live readonly=true")?;
    for path in ["/mnt/start", "/mnt/live"] {
        let tries = format!(
            "! touch {path}/x 2>/dev/null && ! mount -o remount,rw,bind {path} 2>/dev/null && ! touch {path}/x 2>/dev/null && \
             ! mount -o remount,rw {path} 2>/dev/null && ! touch {path}/x"
        );
        inside(stage, "d1", &tries)?;
        // Nor by a copy of it in name spaces of its own.
        let copy = format!("mkdir /copy && mount -o bind {path} /copy && ! mount -o remount,rw,bind /copy && ! touch /copy/x");
        inside(stage, "d1", &format!("{copy}; umount /copy; rmdir /copy"))?;
    }
    ensure!(!stage.host.has("/share/alice/x")?);
    stage.delete("d1")
}

fn disks_come_and_go_while_the_instance_runs(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("launch busybox d1").succeed()?;
    stage.lxctl("storage volume create default d-data").succeed()?;
    stage.lxctl("storage volume attach default d-data d1 /srv/data").succeed()?;
    add(stage, "d1", "home disk source=/share/alice path=/srv/data/home")?;
    add(stage, "d1", "scratch disk source=tmpfs: path=/run/scratch")?;
    inside(stage, "d1", "echo kept >/srv/data/file && test \"$(cat /srv/data/home/file)\" = one && touch /run/scratch/x")?;
    let table = inside(stage, "d1", "cat /proc/self/mountinfo")?;
    ensure!(!stage.host.succeed(["cat", "/proc/self/mountinfo"])?.contains("/srv/data"), "the host has none of it: {table}");

    // Another daemon knows them, and takes away what was there at the start of a run as well.
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    let said = refused(stage, "storage volume detach default d-data d1", 5)?;
    ensure!(said.contains("/srv/data/home"), "{said}");
    stage.lxctl("restart d1 --force").succeed()?;
    inside(stage, "d1", "test \"$(cat /srv/data/file)\" = kept && test \"$(cat /srv/data/home/file)\" = one")?;
    stage.lxctl("config device remove d1 home").succeed()?;
    inside(stage, "d1", "test ! -e /srv/data/home/file && test -e /srv/data/file")?;
    stage.lxctl("storage volume detach default d-data d1").succeed()?;
    inside(stage, "d1", "test ! -e /srv/data/file && test -d /run/scratch")?;
    // To another place, and read-only from then on.
    stage.lxctl("config device set d1 scratch path=/mnt/other readonly=true").succeed()?;
    inside(stage, "d1", "! grep -q ' /run/scratch ' /proc/self/mounts && ! touch /mnt/other/x 2>/dev/null")?;
    // What root inside has taken away is gone.
    inside(stage, "d1", "umount /mnt/other")?;
    stage.lxctl("config device remove d1 scratch").succeed()?;
    stage.lxctl("storage volume delete default d-data").succeed()?;
    // Frozen as well.
    stage.lxctl("pause d1").succeed()?;
    add(stage, "d1", "home disk source=/share/alice path=/mnt/home")?;
    stage.lxctl("resume d1").succeed()?;
    inside(stage, "d1", "cat /mnt/home/file")?;
    stage.delete("d1")
}

fn a_disk_in_use_stays_and_says_who_uses_it(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("launch busybox d1").succeed()?;
    add(stage, "d1", "home disk source=/share/alice path=/mnt/home")?;
    let mut stands = stage.exec("d1", ["sh", "-c", "cd /mnt/home && echo there && exec sleep 1000"]).spawn()?;
    stands.until("there")?;
    let said = refused(stage, "config device remove d1 home", 5)?;
    ensure!(said.contains("/mnt/home is in use by") && said.contains("working directory"), "{said}");
    inside(stage, "d1", "cat /mnt/home/file && killall sleep")?;
    ensure!(stage.lxctl("config device list d1 -q").succeed()?.contains("home"), "the record says what is");
    stands.kill();
    stage.eventually("the process gone", || {
        Ok((stage.exec("d1", ["sh", "-c", "! pidof sleep"]).output()?.code == Some(0)).then_some(()))
    })?;
    inside(stage, "d1", "mount -t tmpfs over /mnt/home")?;
    let said = refused(stage, "config device remove d1 home", 5)?;
    ensure!(said.contains("something else"), "{said}");
    inside(stage, "d1", "umount /mnt/home && test -e /mnt/home/file")?;
    stage.lxctl("config device remove d1 home").succeed()?;
    stage.delete("d1")
}

fn a_disk_of_a_profile_comes_to_what_runs(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("profile create d-shares").succeed()?;
    for name in ["d1", "d2"] {
        stage.lxctl(&format!("launch busybox {name}")).succeed()?;
        stage.lxctl(&format!("profile add {name} d-shares")).succeed()?;
    }
    stage.lxctl("profile device add d-shares home disk source=/share/alice path=/mnt/home").succeed()?;
    inside(stage, "d1", "cat /mnt/home/file")?;
    inside(stage, "d2", "cd /mnt/home && cat file")?;
    stage.lxctl("profile remove d1 d-shares").succeed()?;
    inside(stage, "d1", "test ! -e /mnt/home/file")?;
    stage.lxctl("profile device remove d-shares home").succeed()?;
    inside(stage, "d2", "test ! -e /mnt/home/file")?;
    stage.delete("d1 d2")?;
    stage.lxctl("profile delete d-shares").succeed()?;
    Ok(())
}

fn links_on_the_host_are_not_followed(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("launch busybox d1").succeed()?;
    stage.lxctl("create busybox d2").succeed()?;
    stage.host.succeed(["sh", "-ec", "ln -sfn /share/alice/files /share/alice/link && mkdir -p /share/alice/files/ssl"])?;
    nothing_changes(&stage.host, || {
        // lxctl writes down where a link of the caller's leads; a call that brings one is refused.
        for source in ["/share/alice/link", "/share/alice/link/ssl", "/proc/self/root"] {
            let said = replace(stage, "d1", source)?.fail()?.stderr_text();
            ensure!(said.contains("symbolic link"), "{said}");
        }
        let words = "config device add d1 null disk source=/dev/null path=/mnt/null";
        ensure!(refused(stage, words, 8)?.contains("is a device"));
        ensure!(refused(stage, "config device add d1 proc disk source=/proc path=/mnt/proc", 8)?.contains("map ids"));
        ensure!(refused(stage, "config device add d1 none disk source=/share/none path=/mnt/x", 2)?.contains("/share/none"));
        for (words, code) in [
            ("source=/share/alice path=/mnt/x propagation=shared", 8),
            ("source=/share/alice path=/mnt/x raw.mount.options=suid", 8),
            ("source=/share/alice path=/mnt/x readonly=perhaps", 2),
            ("source=share/alice path=/mnt/x", 2),
            ("source=/share/alice path=/proc/x", 2),
            ("path=/mnt/x", 2),
        ] {
            refused(stage, &format!("config device add d1 d disk {words}"), code)?;
        }
        Ok(())
    })?;
    // A link that somebody else has made decides nothing for root.
    stage.host.succeed(["sh", "-ec", "ln -sfn /root /share/alice/planted && chown -h alice /share/alice/planted"])?;
    let said = refused(stage, "config device add d1 trap disk source=/share/alice/planted path=/mnt/trap", 2)?;
    ensure!(said.contains("symbolic link of user"), "{said}");
    // A path that is swapped after it was written down.
    add(stage, "d2", "work disk source=/share/alice/link path=/mnt/work")?;
    ensure!(stage.lxctl("config device get d2 work source").succeed()? == "/share/alice/files\n");
    stage.host.succeed(["sh", "-ec", "rm -r /share/alice/files && ln -s /root /share/alice/files"])?;
    let said = stage.lxctl("start d2").fail()?.stderr_text();
    ensure!(said.contains("/share/alice/files") && said.contains("symbolic link"), "{said}");
    ensure!(stage.status("d2")? == "stopped");
    stage.host.succeed(["rm", "/share/alice/files", "/share/alice/link"])?;
    for _ in 0..3 {
        let said = stage.lxctl("start d2").fail()?.stderr_text();
        ensure!(said.contains("/share/alice/files: No such file") && !said.contains("undoing"), "it is needed: {said}");
    }
    stage.lxctl("config device set d2 work required=false").succeed()?;
    stage.lxctl("start d2").succeed()?;
    inside(stage, "d2", "test ! -e /mnt/work")?;
    stage.delete("d1 d2")
}

fn links_inside_lead_nowhere_else(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("create busybox d2").succeed()?;
    stage.lxctl("launch busybox d1").succeed()?;
    inside(stage, "d1", "ln -s / /up && ln -s /proc/1/root/mnt /magic && ln -s /nowhere /dangling && echo x >/file")?;
    stage.lxctl("delete d2").succeed()?;
    let before = stage.host.succeed(["ls", "-R", "/mnt"])?;
    add(stage, "d1", "up disk source=/share/alice path=/up/up/deep/home")?;
    inside(stage, "d1", "test \"$(cat /deep/home/file)\" = one")?;
    for (path, code) in [("/magic/x", 1), ("/dangling/x", 1), ("/file/x", 1), ("/file", 1)] {
        refused(stage, &format!("config device add d1 trap disk source=/share/alice path={path}"), code)?;
    }
    ensure!(stage.host.succeed(["ls", "-R", "/mnt"])? == before && !stage.host.has("/deep")?);
    // The same at a start.
    stage.lxctl("restart --force d1").succeed()?;
    inside(stage, "d1", "test \"$(cat /deep/home/file)\" = one")?;
    stage.lxctl("config device remove d1 up").succeed()?;
    stage.lxctl("stop --force d1").succeed()?;
    add(stage, "d1", "trap disk source=/share/alice path=/magic/x")?;
    stage.lxctl("start d1").fail()?;
    ensure!(stage.host.succeed(["ls", "-R", "/mnt"])? == before);
    stage.delete("d1")
}

fn what_the_host_mounts_later_follows_when_asked(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.host.succeed(["mkdir", "-p", "/share/alice/later", "/share/alice/inner"])?;
    stage.lxctl("create busybox d1").succeed()?;
    add(stage, "d1", "start disk source=/share/alice path=/mnt/start propagation=rslave")?;
    stage.lxctl("start d1").succeed()?;
    add(stage, "d1", "live disk source=/share/alice path=/mnt/live propagation=slave")?;
    add(stage, "d1", "alone disk source=/share/alice path=/mnt/alone")?;
    stage.host.succeed(["sh", "-ec", "mount -t tmpfs later /share/alice/later && touch /share/alice/later/here"])?;
    inside(stage, "d1", "test -e /mnt/start/later/here && test -e /mnt/live/later/here && test ! -e /mnt/alone/later/here")?;
    inside(stage, "d1", "for d in start live alone; do mount -t tmpfs x /mnt/$d/inner && touch /mnt/$d/inner/here; done")?;
    ensure!(!stage.host.has("/share/alice/inner/here")?, "what a guest mounts stays with the guest");
    stage.delete("d1")?;
    stage.host.succeed(["umount", "/share/alice/later"])?;
    Ok(())
}

fn memory_has_its_size_and_ends_with_the_run(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox d1").succeed()?;
    add(stage, "d1", "scratch disk source=tmpfs: path=/mnt/scratch size=1MiB")?;
    stage.lxctl("start d1").succeed()?;
    add(stage, "d1", "live disk source=tmpfs: path=/mnt/live size=2MiB")?;
    for (path, size) in [("/mnt/scratch", "1024"), ("/mnt/live", "2048")] {
        let look = format!("df -k {path} | tail -n 1 | awk '{{ print $2 }}'; stat -c %u:%g:%a {path}");
        let said = inside(stage, "d1", &look)?;
        ensure!(said == format!("{size}\n0:0:1777\n"), "{said}");
    }
    inside(stage, "d1", "touch /mnt/scratch/x && ! dd if=/dev/zero of=/mnt/scratch/big bs=1024 count=2048 2>/dev/null")?;
    stage.lxctl("restart --force d1").succeed()?;
    inside(stage, "d1", "test -d /mnt/scratch && test ! -e /mnt/scratch/x")?;
    stage.delete("d1")
}

fn what_reaches_the_host_is_asked_about(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.lxctl("launch busybox d1").succeed()?;
    stage.host.succeed(["usermod", "-aG", "lxhost", "bob"])?;
    nothing_changes(&stage.host, || {
        let words = "config device add d1 home disk source=/share/alice path=/mnt/home";
        for user in ["alice", "bob"] {
            let output = stage.lxctl(words).user(user).output()?;
            ensure!(output.code == Some(6), "{user}: {}", output.describe());
            // Who may see it is told what else it takes.
            let named = user == "alice" || output.stderr_text().contains("org.lxhost1.instance.configure-privileged");
            ensure!(named, "{}", output.describe());
            let denied = replace(stage, "d1", "/share/alice")?.user(user).fail()?.stderr_text();
            ensure!(denied.contains("in option paths"), "{denied}");
        }
        Ok(())
    })?;
    // What lies on the instance's own account is a member's to have.
    stage.lxctl("config device add d1 scratch disk source=tmpfs: path=/mnt/scratch size=1MiB").user("bob").succeed()?;
    inside(stage, "d1", "touch /mnt/scratch/x").context("a disk that a member of lxhost added")?;
    stage.delete("d1")
}

fn who_is_not_root_brings_what_he_can_read(stage: &Stage) -> Result<()> {
    shared(stage)?;
    let member = "id erin >/dev/null 2>&1 || useradd --create-home --groups lxhost-admin erin
        install -d -m 0700 /share/secret && ln -sfn /share/secret /share/way && install -d -o erin /share/erin
        install -d -m 0711 /share/passing";
    stage.host.succeed(["sh", "-ec", member])?;
    stage.lxctl("launch busybox d1").succeed()?;
    nothing_changes(&stage.host, || {
        for source in ["/share/secret", "/share/way", "/share/passing"] {
            let output =
                stage.lxctl(&format!("config device add d1 s disk source={source} path=/mnt/s")).user("erin").output()?;
            ensure!(output.code == Some(6) && output.stderr_text().contains(source), "{}", output.describe());
        }
        let output = stage.lxctl("create busybox d2 -d s,type=disk,source=/share/secret,path=/mnt/s").user("erin").output()?;
        ensure!(output.code == Some(6), "{}", output.describe());
        let denied = replace(stage, "d1", "/share/secret")?.user("erin").fail()?.stderr_text();
        ensure!(denied.contains("in option paths"), "{denied}");
        Ok(())
    })?;
    stage.lxctl("config device add d1 own disk source=/share/erin path=/mnt/own").user("erin").succeed()?;
    stage.lxctl("launch busybox d2 -d own,type=disk,source=/share/erin,path=/mnt/own").user("erin").succeed()?;
    inside(stage, "d1", "echo shared >/mnt/own/file")?;
    ensure!(inside(stage, "d2", "cat /mnt/own/file")? == "shared\n");
    // What root has brought stays, whoever changes something else.
    add(stage, "d1", "secret disk source=/share/secret path=/mnt/secret")?;
    stage.lxctl("config device remove d1 own").user("erin").succeed()?;
    stage.lxctl("config device set d1 secret readonly=true").user("erin").succeed()?;
    inside(stage, "d1", "test -d /mnt/secret && ! touch /mnt/secret/x 2>/dev/null")?;
    stage.delete("d1 d2")
}

/// How often a path is taken while its owner swaps it.
const SWAPS: u32 = 40;

fn a_path_that_is_swapped_all_the_time_leads_nowhere_else(stage: &Stage) -> Result<()> {
    shared(stage)?;
    stage.host.succeed([
        "sh",
        "-ec",
        "install -d -m 0700 /share/secret && touch /share/secret/s && rm -rf /share/alice/race /share/alice/over",
    ])?;
    stage.lxctl("launch busybox d1").succeed()?;
    let swap =
        "cd /share/alice && echo on && while test ! -e over; do mkdir race; rmdir race; ln -s /share/secret race; rm race; done";
    let swapping = stage.host.command(["sh", "-c", swap]).user("alice").spawn()?;
    swapping.until("on")?;
    for _ in 0..SWAPS {
        let words = "config device add d1 race disk source=/share/alice/race path=/mnt/race";
        if stage.lxctl(words).output()?.code == Some(0) {
            inside(stage, "d1", "test ! -e /mnt/race/s").context("it was led elsewhere")?;
            ensure!(stage.lxctl("config device get d1 race source").succeed()? == "/share/alice/race\n");
            stage.lxctl("config device remove d1 race").succeed()?;
        } else {
            ensure!(stage.lxctl("config device list d1 -q").succeed()?.is_empty(), "nothing is written down");
        }
    }
    stage.host.succeed(["touch", "/share/alice/over"])?;
    swapping.wait()?;
    stage.delete("d1")
}
