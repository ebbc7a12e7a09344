//! A database that is lost, on a real host: what lies on the disks is found, shown, taken in, and lives as before.

use anyhow::{Result, ensure};
use lxhost_tests::host::State;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "recover",
    Base::Packaged,
    [
        losing_the_database_loses_nothing_else,
        a_pool_comes_from_elsewhere,
        what_cannot_be_taken_in_is_said_and_stays,
        a_pool_that_was_brought_leads_nowhere_else,
    ]
);

const LOSE: &str = "systemctl stop lxhostd.service && rm -f /var/lib/lxhost/state.db* && systemctl start lxhostd.service";

fn inside(stage: &Stage, name: &str, script: &str) -> Result<String> {
    stage.exec(name, ["sh", "-ec", script]).succeed()
}

/// A container at rest, written to, with a snapshot from before.
fn written(stage: &Stage, name: &str, pool: &str) -> Result<()> {
    stage.lxctl(&format!("launch busybox {name} -s {pool} -c user.a=b")).succeed()?;
    stage.lxctl(&format!("wait {name} --for running --timeout 30")).succeed()?;
    inside(stage, name, "echo before >/root/file && chown 7:8 /root/file")?;
    stage.lxctl(&format!("snapshot {name} good --comment why")).succeed()?;
    stage.lxctl(&format!("snapshot rename {name} good best")).succeed()?;
    inside(stage, name, "echo now >/root/file")?;
    stage.lxctl(&format!("stop --force {name}")).succeed()?;
    Ok(())
}

/// It is what `written` made, and goes again without a trace.
fn lives(stage: &Stage, name: &str) -> Result<()> {
    ensure!(stage.lxctl(&format!("config get {name} user.a")).succeed()?.trim() == "b");
    stage.lxctl(&format!("start {name}")).succeed()?;
    stage.address(name)?;
    ensure!(inside(stage, name, "cat /root/file; stat -c %u:%g /root/file")? == "now\n7:8\n");
    stage.lxctl(&format!("restore {name} best")).succeed()?;
    ensure!(inside(stage, name, "cat /root/file")? == "before\n");
    stage.delete(name)
}

/// The definitions follow the records, soon.
fn defined(stage: &Stage, words: &str, count: usize) -> Result<()> {
    let find = format!("grep -rl --include='*.yaml' -e '{words}' /var/lib/lxhost /srv 2>/dev/null | wc -l");
    stage.eventually(&format!("{count} definitions that say {words}"), || {
        let found = stage.host.succeed(["sh", "-c", &find])?;
        Ok(Some(()).filter(|()| found.trim() == count.to_string()))
    })
}

fn losing_the_database_loses_nothing_else(stage: &Stage) -> Result<()> {
    for (state, pools) in [(State::Ext4, &[("layers", "overlay"), ("trees", "dir")][..]), (State::Btrfs, &[("volumes", "btrfs")])]
    {
        let stage = stage.sibling(state)?;
        stage.with_busybox()?;
        for (pool, driver) in pools {
            stage.lxctl(&format!("storage create {pool} {driver}")).succeed()?;
            written(&stage, &format!("c-{pool}"), pool)?;
        }
        defined(&stage, "\"best\"", pools.len())?;
        stage.host.succeed(["sh", "-ec", LOSE])?;
        ensure!(stage.lxctl("list -q").succeed()?.is_empty() && stage.lxctl("storage list -q").succeed()?.is_empty());
        let shown = stage.lxctl("recover --dry-run --format csv,noheader").succeed()?;
        for (pool, _) in pools {
            for line in [format!("pool,{pool},/var/lib/lxhost/pools/{pool},"), format!("instance,c-{pool},{pool},")] {
                ensure!(shown.lines().any(|one| one == line), "{line}: {shown}");
            }
            ensure!(shown.contains(&format!("snapshot,c-{pool}/best,{pool},")), "{shown}");
            ensure!(shown.contains("network,lxbr0,") && shown.contains("profile,default,"), "{shown}");
        }
        let denied = stage.lxctl("--no-ask-password recover --yes").user("alice").output()?;
        ensure!(denied.code == Some(6), "{}", denied.describe());
        ensure!(stage.lxctl("list -q").succeed()?.is_empty(), "showing does nothing");
        stage.lxctl("recover --yes").succeed()?;
        ensure!(stage.lxctl("recover --yes").succeed()?.contains("is known"));
        ensure!(stage.lxctl("image info busybox").output()?.code == Some(0), "the image has its name");
        for (pool, _) in pools {
            lives(&stage, &format!("c-{pool}"))?;
            let left = stage.host.succeed(["find", &format!("/var/lib/lxhost/pools/{pool}/snapshots"), "-mindepth", "1"])?;
            ensure!(left.is_empty(), "{left}");
        }
    }
    Ok(())
}

fn a_pool_comes_from_elsewhere(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("launch busybox other").succeed()?;
    let init = stage.init_of("other")?;
    // A disk, as far as anybody can see.
    stage.host.succeed([
        "sh",
        "-ec",
        "mkdir -p /var/lib/lxhost/disk /srv/far /srv/near && mount --bind /var/lib/lxhost/disk /srv/far",
    ])?;
    stage.lxctl("storage create far dir source=/srv/far/pool").succeed()?;
    written(&stage, "c1", "far")?;
    stage.host.succeed(["sh", "-ec", &format!("{LOSE}; umount /srv/far; mount --bind /var/lib/lxhost/disk /srv/near")])?;
    let running = stage.lxctl("recover --dry-run --format csv,noheader").succeed()?;
    ensure!(running.lines().any(|line| line.starts_with("instance,other,") && line.contains("it runs")), "{running}");
    ensure!(!running.contains("c1"), "{running}");
    let nowhere = stage.lxctl("recover --source /srv/near --dry-run").output()?;
    ensure!(nowhere.code == Some(2) || nowhere.code == Some(1), "{}", nowhere.describe());
    stage.lxctl("recover --source /srv/near/pool --yes").succeed()?;
    ensure!(stage.init_of("other").is_err(), "it is not known");
    ensure!(stage.host.succeed(["cat", &format!("/proc/{init}/comm")])?.trim() == "init", "and goes on");
    ensure!(stage.lxctl("storage show far").succeed()?.contains("/srv/near/pool"));
    lives(&stage, "c1")?;
    stage.host.succeed(["kill", "-KILL", &init.to_string()])?;
    stage.eventually("what ran is taken in when it has ended", || {
        stage.lxctl("recover --yes").succeed()?;
        Ok(Some(()).filter(|()| stage.status("other").is_ok_and(|status| status == "stopped")))
    })?;
    stage.lxctl("start other").succeed()?;
    stage.delete("other")
}

fn what_cannot_be_taken_in_is_said_and_stays(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.lxctl("profile create web").succeed()?;
    stage.lxctl("create busybox c1 -p default -p web").succeed()?;
    defined(&stage, "\"name\": \"web\"", 1)?;
    stage.lxctl("create busybox c2").succeed()?;
    stage.lxctl("create busybox c3").succeed()?;
    let pool = "/var/lib/lxhost/pools/default/instances";
    defined(&stage, "\"name\": \"c3\"", 1)?;
    let spoil = format!(
        "cd {pool}; for d in *; do grep -q '\"c2\"' $d/instance.yaml && ln -sf /etc/shadow $d/instance.yaml; \
         grep -q '\"c3\"' $d/instance.yaml && sed -i 's,\"c3\",\"../c3\",' $d/instance.yaml; done; true"
    );
    stage.host.succeed([
        "sh",
        "-ec",
        &format!("grep -l '\"web\"' /var/lib/lxhost/definitions/profile-* | xargs rm; {LOSE}; {spoil}"),
    ])?;
    stage.lxctl("recover --yes").succeed()?;
    nothing_changes(&stage.host, || {
        let shown = stage.lxctl("recover --yes --format csv,noheader").succeed()?;
        ensure!(shown.lines().filter(|line| line.starts_with("instance,")).count() == 3, "{shown}");
        ensure!(shown.contains("its profile web is missing") && !shown.contains("root:"), "{shown}");
        ensure!(stage.lxctl("list -q").succeed()?.is_empty());
        Ok(())
    })?;
    stage.lxctl("profile create web").succeed()?;
    stage.lxctl("recover --yes").succeed()?;
    ensure!(stage.lxctl("list -q").succeed()?.trim() == "c1");
    stage.delete("c1")
}

/// Whoever brings a disk may have put links in place of what the daemon opens by path, or given it to somebody here.
fn a_pool_that_was_brought_leads_nowhere_else(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Ext4)?;
    stage.with_busybox()?;
    stage.host.succeed(["sh", "-ec", "mkdir -p /srv/canary /srv/disk /var/lib/lxhost/disk && echo secret >/srv/canary/file && mount --bind /var/lib/lxhost/disk /srv/disk"])?;
    let links: [(&str, &[&str]); 2] = [
        (
            "overlay",
            &[
                "instances",
                "snapshots",
                "images",
                ".trash",
                "instances/*",
                "instances/*/upper",
                "instances/*/work",
                "instances/*/plain",
                "instances/*/plain/var-lib-docker",
                "snapshots/*/upper",
                "images/[0-9a-f]*",
            ],
        ),
        ("dir", &["instances/*/root", "snapshots/*/root", "snapshots/*"]),
    ];
    for (driver, places) in links {
        stage.lxctl(&format!("storage create far {driver} source=/srv/disk/far")).succeed()?;
        written(&stage, "c1", "far")?;
        if driver == "overlay" {
            stage.lxctl("config set c1 security.nesting=true").succeed()?;
            stage.lxctl("start c1").succeed()?;
            stage.lxctl("stop --force c1").succeed()?;
        }
        stage.eventually("what is written beside it", || {
            let written = "cat /srv/disk/far/instances/*/instance.yaml && grep -q best /srv/disk/far/snapshots/*/snapshot.yaml";
            Ok(Some(()).filter(|()| stage.host.succeed(["sh", "-c", written]).is_ok()))
        })?;
        stage.host.succeed(["sh", "-ec", LOSE])?;
        stage.lxctl("recover --yes").succeed()?;
        let link = |place: &&str| format!("p=$(echo /srv/disk/far/{place}); mv $p /srv/disk/aside; ln -s /srv/canary $p");
        let unlink = |place: &&str| format!("p=$(echo /srv/disk/far/{place}); rm $p; mv /srv/disk/aside $p");
        let spoiled = places.iter().map(|place| (link(place), unlink(place)));
        let others = [("chown alice", "chown root"), ("chmod 755", "chmod 700"), ("chmod 777", "chmod 700")];
        let given =
            others.map(|(give, take)| (format!("{give} /srv/disk/far/instances"), format!("{take} /srv/disk/far/instances")));
        for (spoil, mend) in spoiled.chain(given) {
            stage.host.succeed(["sh", "-ec", &spoil])?;
            let refused = nothing_changes(&stage.host, || {
                let shown = stage.lxctl("recover --source /srv/disk/far --yes --format csv,noheader").succeed()?;
                ensure!(shown.lines().any(|line| line.starts_with("pool,far,") && line.contains("/srv/disk/far/")), "{shown}");
                ensure!(stage.lxctl("list -q").succeed()?.is_empty() && !stage.lxctl("storage list").succeed()?.contains("far"));
                Ok(())
            });
            ensure!(refused.is_ok(), "{driver}: {spoil}: {refused:?}");
            stage.host.succeed(["sh", "-ec", &mend])?;
        }
        stage.lxctl("recover --source /srv/disk/far --yes").succeed()?;
        lives(&stage, "c1")?;
        stage.host.succeed(["sh", "-ec", "lxctl profile device remove default root || :; lxctl storage delete far"])?;
    }
    Ok(())
}
