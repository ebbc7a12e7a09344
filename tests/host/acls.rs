//! Network ACLs, with packets that go through and packets that do not.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "acls",
    Base::Packaged,
    [
        rules_decide_what_goes_to_and_from_instances,
        a_rule_is_in_force_at_once_and_gone_at_once,
        what_makes_no_sense_changes_nothing,
        the_verbs_of_lxd_are_understood,
    ]
);

/// Networks `lab`, which carries the ACL `web`, and `lxbr0`, which carries none, with an instance each, and a
/// namespace that plays the outside at 198.51.100.2.
fn rig(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("inner")?.is_some() {
        return Ok(());
    }
    // First, so that there is no other network that it could join.
    stage.lxctl("launch busybox outer").succeed()?;
    stage.lxctl("network acl create web --description Web").succeed()?;
    stage.lxctl("network create lab ipv4.address=10.64.1.1/24 ipv6.address=none security.acls=web").succeed()?;
    stage.lxctl("launch busybox inner --network lab").succeed()?;
    stage.address("inner")?;
    stage.address("outer")?;
    stage.outside()?;
    stage.host.succeed("ip -n outside route add 10.64.0.0/16 via 198.51.100.1".split(' '))?;
    for instance in ["inner", "outer"] {
        for port in [80, 81] {
            stage.serve(instance, port, "echo hello")?;
        }
    }
    Ok(())
}

/// Whether `hello` comes back from a port of `address`.
fn reaches(stage: &Stage, from: &str, address: &str, port: u16) -> Result<bool> {
    Ok(stage.heard(from, address, port)? == "hello")
}

fn rules_decide_what_goes_to_and_from_instances(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let (inner, outer) = (stage.address("inner")?, stage.address("outer")?);
    let see = |when: &str, expected: &[(&str, &str, u16, bool)]| -> Result<()> {
        for (from, to, port, yes) in expected {
            let is = reaches(stage, from, to, *port)?;
            ensure!(is == *yes, "{when}: from {from} to {to} port {port}: {is}");
        }
        Ok(())
    };
    see(
        "without rules nothing goes",
        &[
            ("host", &inner, 80, false),
            ("outer", &inner, 80, false),
            ("outside", &inner, 80, false),
            ("inner", &outer, 80, false),
        ],
    )?;
    stage.exec("inner", ["nslookup", "inner"]).succeed()?;

    let add = |words: &str| stage.lxctl(&format!("network acl rule add web {words}")).succeed();
    add("ingress action=allow protocol=tcp destination_port=80")?;
    see(
        "one port in",
        &[("host", &inner, 80, true), ("outer", &inner, 80, true), ("outside", &inner, 80, true), ("outer", &inner, 81, false)],
    )?;
    add("ingress action=reject source=198.51.100.0/24 state=logged")?;
    see("not from there", &[("host", &inner, 80, true), ("outside", &inner, 80, false)])?;
    add("egress action=allow destination=@external protocol=tcp destination_port=81")?;
    see("one port out", &[("inner", &outer, 81, true), ("inner", &outer, 80, false)])?;
    see("others are free", &[("outer", "10.64.1.1", 9, false), ("host", &outer, 80, true), ("outer", &outer, 81, true)])?;

    stage.lxctl("network set lab security.acls.default.egress.action=allow").succeed()?;
    see("the default lets out", &[("inner", &outer, 80, true)])?;
    stage.lxctl("network unset lab security.acls").succeed()?;
    see("without an ACL everything goes", &[("outside", &inner, 81, true), ("inner", &outer, 80, true)])?;
    stage.lxctl("network set lab security.acls=web").succeed()?;
    Ok(())
}

fn a_rule_is_in_force_at_once_and_gone_at_once(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let inner = stage.address("inner")?;
    stage.lxctl("network acl rule add web ingress action=allow protocol=tcp destination_port=81").succeed()?;
    ensure!(reaches(stage, "host", &inner, 81)?);
    stage.lxctl("network acl rule remove web ingress destination_port=81").succeed()?;
    ensure!(!reaches(stage, "host", &inner, 81)?);
    let generation = "busctl get-property org.lxhost1 $(busctl -j call org.lxhost1 /org/lxhost1 org.lxhost1.Manager GetACL \
                      ss default web | sed 's/.*\\[\"\\(.*\\)\"\\].*/\\1/') org.lxhost1.ACL Generation";
    ensure!(stage.host.succeed(["sh", "-c", generation])?.starts_with("t "));
    Ok(())
}

fn what_makes_no_sense_changes_nothing(stage: &Stage) -> Result<()> {
    rig(stage)?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("network acl rule add web ingress action=permit", 2, "permit"),
            ("network acl rule add web ingress action=allow destination_port=80", 2, "protocol"),
            ("network acl rule add web ingress action=allow protocol=tcp destination_port=0", 2, "65535"),
            ("network acl rule add web ingress action=allow source=10.0.0.0/33", 2, "10.0.0.0/33"),
            ("network acl rule add web ingress action=allow source=stranger", 3, "stranger"),
            ("network acl rule add web sideways action=allow", 2, "sideways"),
            ("network acl rule remove web ingress destination_port=9", 2, "no rule"),
            ("network acl create ../x", 2, "ACL name"),
            ("network acl create web", 4, "exists"),
            ("network acl delete web", 5, "network lab"),
            ("network acl rename web www", 5, "network lab"),
            ("network acl show stranger", 3, "stranger"),
            ("network set lxbr0 security.acls=stranger", 3, "stranger"),
            ("network set lab security.acls.default.egress.action=perhaps", 2, "perhaps"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        let quoted = ["lxctl", "network", "acl", "rule", "add", "web", "ingress", "action=allow", "source=1.2.3.4\"; drop\n"];
        ensure!(stage.host.command(quoted).fail()?.code == Some(2));
        let denied = stage.host.command(["lxctl", "network", "acl", "delete", "web"]).user("alice").fail()?;
        ensure!(denied.code == Some(6), "{}", denied.describe());
        Ok(())
    })
}

fn the_verbs_of_lxd_are_understood(stage: &Stage) -> Result<()> {
    stage.lxctl("network acl create restricted-access").succeed()?;
    stage.lxctl("network acl rule add restricted-access ingress,allow,tcp 0.0.0.0/0 10.0.0.0/8 80,443").succeed()?;
    let shown = stage.lxctl("network acl show restricted-access").succeed()?;
    for line in ["action: allow", "source: 0.0.0.0/0", "destination: 10.0.0.0/8", "destination_port: 80,443"] {
        ensure!(shown.contains(line), "{shown}");
    }
    let same = "lxctl network acl show restricted-access | lxctl network acl edit restricted-access";
    stage.host.succeed(["sh", "-ec", same])?;
    ensure!(stage.lxctl("network acl show restricted-access").succeed()? == shown);
    stage.lxctl("network acl rename restricted-access office").succeed()?;
    stage.lxctl("network acl set office user.owner=ops").succeed()?;
    ensure!(stage.lxctl("network acl get office user.owner").succeed()? == "ops\n");
    ensure!(stage.lxctl("network acl list --format csv").succeed()?.contains("office,"));
    stage.lxctl("network acl delete office").succeed()?;
    Ok(())
}
