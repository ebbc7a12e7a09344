//! Changes of networks that cut a remote administrator off: he is in a namespace behind a router, and the only way to him
//! is the default route by a bridge that a port of the host is in.

use anyhow::{Result, ensure};
use lxhost_tests::host::Running;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;
use std::io::Write;

pub(crate) const SUITE: Suite = suite!(
    "trials",
    Base::Packaged,
    [
        an_address_that_cuts_him_off_is_undone_with_the_default_route,
        a_port_that_was_taken_out_comes_back,
        a_bridge_that_was_deleted_comes_back_with_its_route,
        a_forward_that_takes_the_host_from_him_is_undone,
        what_is_confirmed_stays,
        a_daemon_that_is_killed_meanwhile_forgets_nothing,
        at_a_terminal_enter_keeps_and_interrupting_undoes,
        a_second_change_and_what_makes_no_sense_are_refused,
    ]
);

/// His address.
const ADMIN: &str = "203.0.113.9";
/// The host's.
const HOST: &str = "198.51.100.1";

/// The bridge with its port, the administrator behind it, and the route to him.
fn rig(stage: &Stage) -> Result<()> {
    let script = "ip netns list | grep -qw admin && exit
        ip netns add admin; ip link add lan1 type veth peer name far1 netns admin; ip link set lan1 up
        ip -n admin address add 198.51.100.2/24 dev far1; ip -n admin link set far1 up
        ip -n admin address add 203.0.113.9/32 dev lo; ip -n admin link set lo up
        lxctl network create br1 ipv4.address=198.51.100.1/24 ipv6.address=none ipv4.nat=false ipv4.dhcp=false \
            bridge.external_interfaces=lan1
        ip route add default via 198.51.100.2 dev br1 proto static metric 5";
    stage.host.succeed(["sh", "-ec", script])?;
    ensure!(reaches(stage)?, "he reaches the host before anything is changed");
    Ok(())
}

/// Whether the administrator reaches the host.
fn reaches(stage: &Stage) -> Result<bool> {
    let ping = ["ip", "netns", "exec", "admin", "ping", "-c", "1", "-W", "3", "-I", ADMIN, HOST];
    Ok(stage.host.command(ping).output()?.code == Some(0))
}

/// What the kernel has of it all, and what the record says.
fn seen(stage: &Stage) -> Result<String> {
    let look = "ip -o -4 address show dev br1 | cut -d ' ' -f 2-; ip -4 route show dev br1; ip -o link show lan1 | grep -o 'master.*state' || true
        lxctl network show br1";
    stage.host.succeed(["sh", "-ec", look])
}

fn waits(stage: &Stage) -> Result<bool> {
    Ok(stage.lxctl("network info br1").succeed()?.contains("unless confirmed"))
}

/// Does `words`, which cut him off, and undoes them; then does them once more and lets the time run out.
fn cut_and_undone(stage: &Stage, words: &str) -> Result<()> {
    rig(stage)?;
    let before = seen(stage)?;
    let said = stage.lxctl(&format!("{words} --rollback=1h")).output()?;
    ensure!(said.code == Some(0) && said.stderr_text().contains("lxctl network confirm br1"), "{}", said.describe());
    ensure!(!reaches(stage)?, "{words} does not cut him off");
    ensure!(waits(stage)?, "nothing waits");
    stage.lxctl("network rollback br1").succeed()?;
    ensure!(seen(stage)? == before, "before: {before}\nnow: {}", seen(stage)?);
    ensure!(reaches(stage)? && !waits(stage)?, "he is still cut off");

    stage.lxctl(&format!("{words} --rollback=2s")).succeed()?;
    stage.eventually("an end of the change", || Ok((!waits(stage)?).then_some(())))?;
    ensure!(seen(stage)? == before, "before: {before}\nnow: {}", seen(stage)?);
    ensure!(reaches(stage)?, "he is cut off for good");
    let journal = stage.host.succeed(["journalctl", "-u", "lxhostd", "-o", "cat"])?;
    ensure!(journal.contains("nobody confirmed the change of the network"), "the journal does not tell");
    Ok(())
}

fn an_address_that_cuts_him_off_is_undone_with_the_default_route(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let warned = stage.lxctl("network set br1 user.note=x").output()?;
    ensure!(warned.code == Some(0) && warned.stderr_text().contains("--rollback=60s"), "{}", warned.describe());
    ensure!(reaches(stage)? && !waits(stage)?);
    cut_and_undone(stage, "network set br1 ipv4.address=10.98.3.1/24")
}

fn a_port_that_was_taken_out_comes_back(stage: &Stage) -> Result<()> {
    cut_and_undone(stage, "network unset br1 bridge.external_interfaces")
}

fn a_bridge_that_was_deleted_comes_back_with_its_route(stage: &Stage) -> Result<()> {
    cut_and_undone(stage, "network delete br1")
}

fn a_forward_that_takes_the_host_from_him_is_undone(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let script = "ip address replace 192.0.2.77/32 dev lo; ip -n admin route replace 192.0.2.77 via 198.51.100.1";
    stage.host.succeed(["sh", "-ec", script])?;
    let reaches = || -> Result<bool> {
        let ping = ["ip", "netns", "exec", "admin", "ping", "-c", "1", "-W", "3", "-I", ADMIN, "192.0.2.77"];
        Ok(stage.host.command(ping).output()?.code == Some(0))
    };
    ensure!(reaches()?, "he reaches the host before anything is changed");
    let (cut, forwards) = ("network forward create br1 192.0.2.77 target_address=198.51.100.50", "network forward list br1 -q");
    let said = stage.lxctl(&format!("{cut} --rollback=1h")).output()?;
    ensure!(said.code == Some(0) && said.stderr_text().contains("lxctl network confirm br1"), "{}", said.describe());
    ensure!(!reaches()? && waits(stage)?, "the forward does not take the host from him, or nothing waits");
    stage.lxctl("network rollback br1").succeed()?;
    ensure!(reaches()? && !waits(stage)? && stage.lxctl(forwards).succeed()?.is_empty(), "it is not undone");
    stage.lxctl(&format!("{cut} --rollback=2s")).succeed()?;
    stage.eventually("an end of the change", || Ok((!waits(stage)?).then_some(())))?;
    ensure!(reaches()? && stage.lxctl(forwards).succeed()?.is_empty(), "it is not undone");
    // What is confirmed stays, and its removal may wait as well.
    for verb in ["forward", "load-balancer"] {
        stage.lxctl(&format!("network {verb} create br1 192.0.2.78 --rollback=1h")).succeed()?;
        stage.lxctl("network confirm br1").succeed()?;
        stage.lxctl(&format!("network {verb} delete br1 192.0.2.78 --rollback=1h")).succeed()?;
        ensure!(stage.lxctl(&format!("network {verb} list br1 -q")).succeed()?.is_empty(), "{verb}");
        stage.lxctl("network rollback br1").succeed()?;
        ensure!(stage.lxctl(&format!("network {verb} list br1 -q")).succeed()? == "192.0.2.78\n", "{verb}");
        stage.lxctl(&format!("network {verb} delete br1 192.0.2.78")).succeed()?;
    }
    stage.host.succeed(["ip", "address", "del", "192.0.2.77/32", "dev", "lo"]).map(drop)
}

fn what_is_confirmed_stays(stage: &Stage) -> Result<()> {
    rig(stage)?;
    stage.lxctl("network set br1 bridge.mtu=1400 --rollback=1h").succeed()?;
    let denied = stage.host.command(["lxctl", "--no-ask-password", "network", "confirm", "br1"]).user("alice").fail()?;
    ensure!(denied.code == Some(6) && waits(stage)?, "{}", denied.describe());
    stage.lxctl("network confirm br1").succeed()?;
    ensure!(!waits(stage)? && stage.lxctl("network get br1 bridge.mtu").succeed()?.trim() == "1400");
    let nothing = stage.lxctl("network rollback br1").fail()?;
    ensure!(nothing.code == Some(5) && nothing.stderr_text().contains("no change"), "{}", nothing.describe());

    stage.lxctl("network create br2 ipv4.address=10.98.4.1/24 --rollback=1h").succeed()?;
    stage.lxctl("network confirm br2").succeed()?;
    stage.lxctl("network delete br2 --rollback=1h").succeed()?;
    ensure!(stage.host.command(["ip", "link", "show", "br2"]).output()?.code != Some(0), "it is gone from the host at once");
    stage.lxctl("network confirm br2").succeed()?;
    ensure!(!stage.lxctl("network list -q").succeed()?.contains("br2"));
    stage.lxctl("network unset br1 bridge.mtu").succeed().map(drop)
}

fn a_daemon_that_is_killed_meanwhile_forgets_nothing(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let before = seen(stage)?;
    let change = "network set br1 ipv4.address=10.98.3.1/24";
    stage.lxctl(&format!("{change} --rollback=1h")).succeed()?;
    stage.kill_daemon()?;
    ensure!(waits(stage)? && !reaches(stage)?, "the next daemon knows of no change");
    stage.lxctl("network rollback br1").succeed()?;
    ensure!(seen(stage)? == before && reaches(stage)?, "before: {before}\nnow: {}", seen(stage)?);

    stage.lxctl(&format!("{change} --rollback=2s")).succeed()?;
    stage.kill_daemon()?;
    stage.eventually("an end of the change", || Ok((!waits(stage)?).then_some(())))?;
    ensure!(seen(stage)? == before && reaches(stage)?, "before: {before}\nnow: {}", seen(stage)?);
    Ok(())
}

/// `lxctl` in a terminal, once it has asked.
fn asked(stage: &Stage, words: &str) -> Result<Running> {
    let line = format!("lxctl {words}");
    let session = stage.host.command(["script", "--quiet", "--return", "--command", &line, "/dev/null"]).spawn()?;
    session.until("Press Enter")?;
    Ok(session)
}

fn at_a_terminal_enter_keeps_and_interrupting_undoes(stage: &Stage) -> Result<()> {
    rig(stage)?;
    for (key, code, kept) in [("\u{3}", 130, ""), ("\r", 0, "1380")] {
        let mut session = asked(stage, "network set br1 bridge.mtu=1380 --rollback=10m")?;
        ensure!(waits(stage)?, "nothing waits");
        if let Some(input) = session.stdin.as_mut() {
            input.write_all(key.as_bytes())?;
            input.flush()?;
        }
        let ended = session.wait()?;
        ensure!(ended.code == Some(code), "{key:?}: {}", ended.describe());
        ensure!(!waits(stage)? && stage.lxctl("network get br1 bridge.mtu").succeed()?.trim() == kept, "after {key:?}");
    }
    stage.lxctl("network unset br1 bridge.mtu").succeed().map(drop)
}

fn a_second_change_and_what_makes_no_sense_are_refused(stage: &Stage) -> Result<()> {
    rig(stage)?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("network set br1 bridge.mtu=1400 --rollback=0", 2, "a second"),
            ("network set br1 bridge.mtu=1400 --rollback=soon", 2, "soon"),
            ("network unset br1 bridge.external_interfaces --rollback=25h", 2, "24h"),
            ("network delete br1 --rollback=-1s", 2, "-1s"),
            ("network forward create br1 192.0.2.78 --rollback=0", 2, "a second"),
            ("network load-balancer delete br1 192.0.2.78 --rollback=60s", 3, "192.0.2.78"),
            ("network create br2 --rollback=99999999999999999999s", 2, "duration"),
            ("network set br1 ipv4.address=nonsense --rollback=60s", 2, "ipv4.address"),
            ("network confirm br1", 5, "no change"),
            ("network rollback br1", 5, "no change"),
            ("network confirm nowhere", 3, "nowhere"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.lxctl("network set br1 bridge.mtu=1400 --rollback=1h").succeed()?;
    nothing_changes(&stage.host, || {
        for words in [
            "network set br1 bridge.mtu=1300 --rollback=60s",
            "network unset br1 bridge.mtu",
            "network rename br1 br3",
            "network delete br1",
            "network forward create br1 192.0.2.7",
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(5) && output.stderr_text().contains("network confirm br1"), "{}", output.describe());
        }
        Ok(())
    })?;
    stage.lxctl("network rollback br1").succeed()?;
    ensure!(reaches(stage)?);
    Ok(())
}
