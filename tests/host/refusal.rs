//! Bad input: each is an error that names the thing, with an exit status of its kind, and nothing of the
//! host is changed by it.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lxhost_tests::host::State;
use lxhost_tests::image::hostile::{Archive, Kind, METADATA};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::tool;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "refusal",
    Base::Packaged,
    [
        names_that_are_none,
        options_and_keys_that_nobody_knows,
        objects_that_are_not_there,
        bus_calls_that_do_not_fit,
        archives_that_leave_the_tree,
        archives_that_lie_or_are_cut,
        metadata_that_is_none_or_a_bomb,
        archives_that_are_bombs,
        a_newer_or_corrupt_database,
        what_watches_these_sees_every_kind_of_record_and_the_daemon,
    ]
);

fn prepared(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("r1")?.is_none() {
        stage.lxctl("launch busybox r1").succeed()?;
        stage.address("r1")?;
    }
    Ok(())
}

/// Runs words that have to fail with one of these statuses, and say something on standard error alone.
fn refused(stage: &Stage, argv: &[&str], codes: &[i32]) -> Result<String> {
    let output = stage.host.command(["lxctl"].iter().chain(argv).copied()).output()?;
    let said = output.stderr_text();
    if !output.code.is_some_and(|code| codes.contains(&code)) || said.trim().is_empty() || said.contains("panicked") {
        bail!("{argv:?} {}", output.describe());
    }
    Ok(said)
}

fn names_that_are_none(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    let long = "x".repeat(300);
    nothing_changes(&stage.host, || {
        for name in [
            "../x",
            "..",
            ".",
            "/",
            "a/b",
            "a b",
            "a\nb",
            "-x",
            "a\tb",
            "ä",
            "1",
            "x;id",
            "$(id)",
            "a.b",
            "A_B",
            &long,
            "\u{202e}x",
        ] {
            refused(stage, &["launch", "busybox", "--", name], &[2])?;
            refused(stage, &["create", "busybox", "--", name], &[2])?;
            refused(stage, &["rename", "--", "r1", name], &[2, 5])?;
            refused(stage, &["start", "--", name], &[2, 3])?;
            refused(stage, &["delete", "--force", "--", name], &[2, 3])?;
        }
        Ok(())
    })
}

fn options_and_keys_that_nobody_knows(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    nothing_changes(&stage.host, || {
        refused(stage, &["launch", "busybox", "r2", "--no-such-option"], &[2])?;
        refused(stage, &["launch", "busybox", "r2", "-c", "no.such.key=1"], &[2])?;
        refused(stage, &["launch", "busybox", "r2", "-c", "limits.memory=lots"], &[2])?;
        refused(stage, &["launch", "busybox", "r2", "-d", "root,no.such.key=1"], &[2])?;
        refused(stage, &["launch", "busybox", "r2", "-p", "no-such-profile"], &[3])?;
        refused(stage, &["config", "set", "r1", "no.such.key=1"], &[2])?;
        let said = refused(stage, &["lanch", "busybox", "r2"], &[2])?;
        ensure!(said.contains("launch"), "a misspelt verb gets no right one: {said}");
        Ok(())
    })
}

fn objects_that_are_not_there(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    nothing_changes(&stage.host, || {
        for words in [
            &["start", "nobody"][..],
            &["stop", "nobody"],
            &["delete", "nobody"],
            &["exec", "nobody", "--", "true"],
            &["info", "nobody"],
            &["launch", "no-such-image", "r2"],
            &["image", "delete", "no-such-image"],
            &["network", "show", "nobody"],
            &["profile", "show", "nobody"],
        ] {
            let said = refused(stage, words, &[3])?;
            ensure!(said.contains("nobody") || said.contains("no-such-image"), "the error does not name it: {said}");
        }
        refused(stage, &["launch", "busybox", "r1"], &[4])?;
        Ok(())
    })
}

fn bus_calls_that_do_not_fit(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    let call = |method: &[&str]| {
        let argv =
            ["busctl", "call", "org.lxhost1", "/org/lxhost1", "org.lxhost1.Manager"].into_iter().chain(method.iter().copied());
        let output = stage.host.command(argv).fail()?;
        Ok::<_, anyhow::Error>(output.stderr_text())
    };
    nothing_changes(&stage.host, || {
        let create = |name: &str, options: &[&str]| {
            call(
                &[
                    &[
                        "CreateInstance",
                        "ssa{sv}a{sv}a{sv}",
                        "default",
                        name,
                        "2",
                        "type",
                        "s",
                        "image",
                        "image",
                        "s",
                        "busybox",
                        "0",
                    ][..],
                    options,
                ]
                .concat(),
            )
        };
        ensure!(create("r2", &["1", "no-such-option", "s", "x"])?.contains("no-such-option"));
        ensure!(!create("../r2", &["0"])?.is_empty());
        call(&[
            "CreateInstance",
            "ssa{sv}a{sv}a{sv}",
            "no-such-project",
            "r2",
            "2",
            "type",
            "s",
            "image",
            "image",
            "s",
            "busybox",
            "0",
            "0",
        ])?;
        call(&["CreateInstance", "ssa{sv}a{sv}a{sv}", "default", "r2", "1", "type", "s", "no-such-type", "0", "0"])?;
        call(&["CreateInstance", "ssa{sv}a{sv}a{sv}", "default", "r2", "1", "type", "u", "7", "0", "0"])?;
        call(&["GetInstance", "ss", "default", &"x".repeat(100_000)])?;
        call(&["ListInstances", "a{sv}su", "1", "no-such-filter", "s", "x", "", "10"])?;
        call(&["NoSuchMethod"])?;
        Ok(())
    })
}

/// Puts bytes where the host has them as `/lab/NAME`.
fn shared(stage: &Stage, name: &str, bytes: &[u8]) -> Result<String> {
    std::fs::write(stage.host.share().join(name), bytes)?;
    Ok(format!("/lab/{name}"))
}

/// An archive like this has to be refused, as untrusted or as wrong.
fn import_refused(stage: &Stage, name: &str, bytes: &[u8]) -> Result<()> {
    let path = shared(stage, name, bytes)?;
    refused(stage, &["image", "import", &path, "--alias", "hostile"], &[10, 2, 1, 8]).with_context(|| name.to_owned())?;
    Ok(())
}

fn archives_that_leave_the_tree(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    let canary = "/srv/canary";
    let file = "/srv/canary/file";
    let root = Archive::image;
    let up = "rootfs/../../../../../..";
    nothing_changes(&stage.host, || {
        for (name, archive) in [
            ("dots.tar", root().file(&format!("{up}{file}"), b"evil")),
            ("absolute.tar", root().file(file, b"evil")),
            ("link.tar", root().entry("rootfs/out", Kind::Symbolic, canary, &[]).file("rootfs/out/file", b"evil")),
            (
                "dotlink.tar",
                root().entry("rootfs/out", Kind::Symbolic, &format!("{up}{canary}"), &[]).file("rootfs/out/file", b"evil"),
            ),
            ("same.tar", root().entry("rootfs/out", Kind::Symbolic, file, &[]).file("rootfs/out", b"evil")),
            ("hard.tar", root().entry("rootfs/hard", Kind::Hard, file, &[]).file("rootfs/hard", b"evil")),
            ("dothard.tar", root().entry("rootfs/hard", Kind::Hard, &format!("{up}{file}"), &[]).file("rootfs/hard", b"evil")),
            ("device.tar", root().entry("rootfs/dev/sda", Kind::Block, "", &[])),
            (
                "rootlink.tar",
                Archive::default()
                    .file("metadata.yaml", METADATA)
                    .entry("rootfs", Kind::Symbolic, canary, &[])
                    .file("rootfs/file", b"evil"),
            ),
        ] {
            // Refusing is one good end, leaving the entry out another: what counts is that nothing changed.
            let path = shared(stage, name, &archive.whole())?;
            let output = stage.lxctl(&format!("image import {path} --alias hostile")).output()?;
            ensure!(!output.stderr_text().contains("panicked"), "{name}: {}", output.describe());
            if output.code == Some(0) {
                stage.lxctl("image delete hostile").succeed()?;
            }
        }
        Ok(())
    })
}

fn archives_that_lie_or_are_cut(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    nothing_changes(&stage.host, || {
        import_refused(stage, "huge.tar", &Archive::image().claim("rootfs/x", 1 << 60).whole())?;
        let whole = Archive::image().file("rootfs/bin/x", &[7; 100_000]).whole();
        import_refused(stage, "cut.tar", &whole[..50_000])?;
        import_refused(stage, "empty.tar", &[])?;
        shared(stage, "whole.tar", &whole)?;
        for compressor in ["gzip", "xz", "zstd -q"] {
            let line = format!(
                "{compressor} -c /lab/whole.tar >/lab/packed; head -c 100 /lab/packed >/lab/cut.tar; head -c 60 /dev/urandom >>/lab/cut.tar"
            );
            stage.host.succeed(["sh", "-ec", &line])?;
            refused(stage, &["image", "import", "/lab/cut.tar", "--alias", "hostile"], &[10, 2, 1])?;
        }
        stage.host.succeed(["sh", "-ec", "head -c 100000 /dev/urandom >/lab/noise.tar"])?;
        refused(stage, &["image", "import", "/lab/noise.tar", "--alias", "hostile"], &[10, 2, 1])?;
        refused(stage, &["image", "import", "/lab/none.tar"], &[1, 2, 3])?;
        refused(stage, &["image", "import", "/etc"], &[1, 2, 10])?;
        Ok(())
    })
}

fn metadata_that_is_none_or_a_bomb(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    let laughs: String = std::iter::once("a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned())
        .chain(('a'..'m').zip('b'..'n').map(|(from, to)| format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(","))))
        .collect();
    let every_byte: Vec<u8> = (0..=255).collect();
    nothing_changes(&stage.host, || {
        import_refused(stage, "none.tar", &Archive::default().file("rootfs/bin/sh", b"x").whole())?;
        for (name, metadata) in [
            ("empty.yaml.tar", &b""[..]),
            ("binary.yaml.tar", &every_byte),
            ("deep.yaml.tar", &[b"a: ", &[b'['; 100_000][..]].concat()),
            ("laughs.yaml.tar", laughs.as_bytes()),
            ("large.yaml.tar", &[METADATA, b"# ", &vec![b'x'; 30_000_000]].concat()),
            ("list.yaml.tar", b"- just\n- a list\n"),
        ] {
            import_refused(stage, name, &Archive::default().file("metadata.yaml", metadata).file("rootfs/bin/sh", b"x").whole())?;
        }
        Ok(())
    })
}

fn archives_that_are_bombs(stage: &Stage) -> Result<()> {
    const SIZE: u64 = 200_000_000_000;
    // A disk of its own: a bomb that goes off must not hit the machine's.
    let stage = &stage.sibling(State::Ext4)?;
    prepared(stage)?;
    shared(stage, "head.tar", &Archive::image().claim("rootfs/zeros", SIZE).open())?;
    // Compressed streams may be joined: two hundred gigabytes of zeros are some megabytes.
    for (compressor, name) in [("zstd -q", "bomb.zst"), ("gzip", "bomb.gz")] {
        let line = format!(
            "head -c 100000000 /dev/zero | {compressor} >one; {compressor} <head.tar >{name}; \
             yes one | head -n 2000 | xargs cat >>{name}"
        );
        // On the machine: two hundred megabytes on their way through an emulated host take minutes.
        tool::run(Command::new("sh").args(["-ec", &line]).current_dir(stage.host.share()))?;
        nothing_changes(&stage.host, || {
            let argv = ["lxctl", "image", "import", &format!("/lab/{name}"), "--alias", "hostile"];
            let output = stage.host.command(argv).timeout(std::time::Duration::from_secs(150)).output()?;
            ensure!(output.code.is_some_and(|code| [10, 7, 2].contains(&code)), "{name}: {}", output.describe());
            Ok(())
        })?;
        stage.host.succeed(["rm", &format!("/lab/{name}")])?;
    }
    Ok(())
}

fn a_newer_or_corrupt_database(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    const DATABASE: &str = "/var/lib/lxhost/state.db";
    // The version of the format, in the file's own header, and the whole first page.
    for spoiled in [
        "printf '\\177\\377\\377\\377' | dd of=$0 bs=1 seek=60 conv=notrunc status=none",
        "dd if=/dev/urandom of=$0 bs=4096 count=1 conv=notrunc status=none",
    ] {
        stage.host.succeed(["systemctl", "stop", "lxhostd.service"])?;
        stage.host.succeed([
            "sh",
            "-ec",
            "rm -rf /root/good; mkdir /root/good; cp -a $0* /root/good; rm -f $0-wal $0-shm",
            DATABASE,
        ])?;
        stage.host.succeed(["sh", "-ec", spoiled, DATABASE])?;
        let sum = stage.host.succeed(["sha256sum", DATABASE])?;
        stage.host.command(["systemctl", "start", "lxhostd.service"]).fail()?;
        // Each try of PID 1 to start it again begins without a status.
        stage.eventually("a status that names the database", || {
            let status = stage.host.succeed(["systemctl", "show", "-P", "StatusText", "lxhostd.service"])?;
            Ok(status.contains("state.db").then_some(()))
        })?;
        ensure!(stage.host.succeed(["sha256sum", DATABASE])? == sum, "the database was changed");
        stage.host.succeed(["sh", "-ec", "systemctl stop lxhostd.service; rm -f $0*; cp -a /root/good/* ${0%/*}; systemctl reset-failed lxhostd.service; systemctl start lxhostd.service", DATABASE])?;
        ensure!(stage.status("r1")? == "running");
        stage.exec("r1", ["true"]).succeed()?;
    }
    Ok(())
}

/// All at once, for a picture of a host takes its time. What is no record is tried in the suite of the host itself.
fn what_watches_these_sees_every_kind_of_record_and_the_daemon(stage: &Stage) -> Result<()> {
    prepared(stage)?;
    let init = stage.init_of("r1")?;
    let changes = [
        ("lxctl config set r1 user.seen=key", "lxctl config unset r1 user.seen", "objects: new:   user.seen: key"),
        ("lxctl profile create seen-profile", "lxctl profile delete seen-profile", "seen-profile"),
        ("lxctl storage create seen-pool dir", "lxctl storage delete seen-pool", "seen-pool"),
        ("lxctl network acl create seen-acl", "lxctl network acl delete seen-acl", "seen-acl"),
        ("lxctl network forward create lxbr0 192.0.2.77", "lxctl network forward delete lxbr0 192.0.2.77", "192.0.2.77"),
        (
            "lxctl network load-balancer create lxbr0 192.0.2.78",
            "lxctl network load-balancer delete lxbr0 192.0.2.78",
            "192.0.2.78",
        ),
        ("lxctl snapshot r1 seen-snapshot", "lxctl delete r1/seen-snapshot", "seen-snapshot"),
        ("lxctl restart --force r1", "true", &format!(",CONTAINER,{init},")),
        (
            "lxctl network set lxbr0 ipv4.dhcp.expiry=2h",
            "lxctl network unset lxbr0 ipv4.dhcp.expiry",
            "/run/lxhost/networks/lxbr0/dnsmasq.conf",
        ),
        ("systemctl restart lxhostd.service", "true", "daemon: gone: MainPID"),
        ("lxctl launch busybox r9", "lxctl delete --force r9", "daemon: new: socket:[N]"),
    ];
    let make = |line: &str| stage.host.succeed(["sh", "-ec", line]);
    let seen = nothing_changes(&stage.host, || changes.iter().try_for_each(|(line, _, _)| make(line).map(drop)));
    changes.iter().try_for_each(|(_, undo, _)| make(undo).map(drop))?;
    let said = format!("{:#}", seen.err().context("nothing of it was seen")?);
    for (line, _, part) in &changes {
        ensure!(said.contains(part), "{line}: {part} is not in {said}");
    }
    Ok(())
}
