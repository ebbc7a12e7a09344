//! Who may do what: an ordinary user, a rule for one instance, and the two groups; with `lxctl` and with
//! `busctl`.

use anyhow::{Result, ensure};
use lxhost_tests::host::Cmd;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "polkit",
    Base::Packaged,
    [
        an_ordinary_user_sees_names_and_states,
        an_ordinary_user_may_not_act_and_changes_nothing,
        a_refusal_names_the_action,
        a_rule_allows_one_instance_by_name,
        members_of_lxhost_use_instances,
        members_of_lxhost_get_nothing_that_reaches_the_host,
        members_of_lxhost_admin_may_do_everything,
        without_an_answer_from_polkit_only_root_may_act,
    ]
);

fn q1(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("q1")?.is_none() {
        stage.lxctl("launch busybox q1").succeed()?;
    }
    Ok(())
}

fn as_user<'a>(stage: &'a Stage, user: &str, words: &str) -> Cmd<'a> {
    stage.lxctl(words).user(user)
}

fn refused(command: &Cmd<'_>) -> Result<String> {
    let output = command.fail()?;
    ensure!(output.code == Some(6), "{}", output.describe());
    Ok(output.stderr_text())
}

fn an_ordinary_user_sees_names_and_states(stage: &Stage) -> Result<()> {
    q1(stage)?;
    let list = as_user(stage, "alice", "list -c ns --format csv,noheader").succeed()?;
    ensure!(list.to_lowercase() == "q1,running\n", "{list}");
    as_user(stage, "alice", "image list").succeed()?;
    as_user(stage, "alice", "network list").succeed()?;
    let call =
        ["busctl", "call", "org.lxhost1", "/org/lxhost1", "org.lxhost1.Manager", "ListInstances", "a{sv}su", "0", "", "10"];
    let rows = stage.host.command(call).user("alice").succeed()?;
    ensure!(rows.contains("\"q1\"") && rows.contains("\"running\""), "{rows}");
    Ok(())
}

fn an_ordinary_user_may_not_act_and_changes_nothing(stage: &Stage) -> Result<()> {
    q1(stage)?;
    nothing_changes(&stage.host, || {
        for words in [
            "launch busybox q2",
            "stop q1",
            "stop --force q1",
            "restart q1",
            "pause q1",
            "delete --force q1",
            "rename q1 q3",
            "exec q1 -- true",
            "console q1 --show-log",
            "config set q1 user.a=b",
            "config show q1",
            "image delete busybox",
            "image export busybox /tmp/x",
            "network delete lxbr0",
            "storage delete default",
            "profile show default",
        ] {
            refused(&as_user(stage, "alice", words))?;
        }
        Ok(())
    })?;
    ensure!(stage.status("q1")? == "running");
    Ok(())
}

fn a_refusal_names_the_action(stage: &Stage) -> Result<()> {
    q1(stage)?;
    let said = refused(&as_user(stage, "alice", "stop q1"))?;
    ensure!(said.contains("org.lxhost1.instance.operate"), "{said}");
    Ok(())
}

fn a_rule_allows_one_instance_by_name(stage: &Stage) -> Result<()> {
    q1(stage)?;
    stage.lxctl("launch busybox ci-1").succeed()?;
    let rule = "polkit.addRule(function(action, subject) {\n    if (action.id.indexOf(\"org.lxhost1.instance.\") === 0 && \
                action.lookup(\"instance\") === \"ci-1\" && subject.user === \"alice\")\n        return polkit.Result.YES;\n});\n";
    // Moved there whole: Polkit reads its rules by itself whenever its directory changes.
    stage.host.put("/etc/polkit-1/one.rules", 0o644, rule)?;
    stage.host.succeed(["mv", "/etc/polkit-1/one.rules", "/etc/polkit-1/rules.d/40-one.rules"])?;
    stage.eventually("the rule at work", || {
        Ok(as_user(stage, "alice", "exec ci-1 -- id -u").output()?.stdout.starts_with(b"0").then_some(()))
    })?;
    as_user(stage, "alice", "restart --force ci-1").succeed()?;
    refused(&as_user(stage, "alice", "exec q1 -- true"))?;
    refused(&as_user(stage, "alice", "rename ci-1 q9"))?;
    as_user(stage, "alice", "delete --force ci-1").succeed()?;
    stage.host.succeed(["rm", "/etc/polkit-1/rules.d/40-one.rules"])?;
    stage.eventually("the rule gone", || Ok((as_user(stage, "alice", "stop ci-1").output()?.code != Some(0)).then_some(())))
}

fn members_of_lxhost_use_instances(stage: &Stage) -> Result<()> {
    q1(stage)?;
    stage.host.succeed(["usermod", "-aG", "lxhost", "bob"])?;
    for words in [
        "launch busybox b1",
        "exec b1 -- true",
        "stop --force b1",
        "start b1",
        "rename q1 q1x",
        "rename q1x q1",
        "delete --force b1",
    ] {
        if words.starts_with("rename q1 ") {
            stage.lxctl("stop --force q1").succeed()?;
        }
        as_user(stage, "bob", words).succeed()?;
    }
    stage.lxctl("start q1").succeed()?;
    Ok(())
}

fn members_of_lxhost_get_nothing_that_reaches_the_host(stage: &Stage) -> Result<()> {
    q1(stage)?;
    stage.host.succeed(["usermod", "-aG", "lxhost", "bob"])?;
    nothing_changes(&stage.host, || {
        for words in [
            "launch busybox evil -c security.privileged=true",
            "launch busybox evil -d root2,type=disk,source=/,path=/mnt",
            "config set q1 security.privileged=true",
            "config set q1 raw.lxc=lxc.aa_profile=unconfined",
            "config device add q1 host disk source=/etc path=/mnt",
            "config device add q1 host disk source=/ path=/mnt",
            "profile set default security.privileged=true",
            "profile device add default host disk source=/ path=/mnt",
            "storage create other dir",
            "network create wide parent=host0",
            "network create shared --type=macvlan parent=host0",
            "network create given --type=physical parent=host0",
            "network set lxbr0 bridge.external_interfaces=host0",
            "config device add q1 wan nic nictype=macvlan parent=host0",
        ] {
            let output = as_user(stage, "bob", words).fail()?;
            // What this version does not know at all is refused as that.
            ensure!([Some(6), Some(2), Some(8)].contains(&output.code), "{words}: {}", output.describe());
            // A card of the host is refused by the name of what it takes to use it.
            let named = output.code == Some(6) && output.stderr_text().contains("attach-physical");
            ensure!(named || !words.contains("host0"), "{words}: {}", output.describe());
        }
        Ok(())
    })
}

fn members_of_lxhost_admin_may_do_everything(stage: &Stage) -> Result<()> {
    q1(stage)?;
    stage.host.succeed(["useradd", "--create-home", "--groups", "lxhost-admin", "carol"])?;
    as_user(stage, "carol", "launch busybox a1").succeed()?;
    as_user(stage, "carol", "delete --force a1").succeed()?;
    // What a member of lxhost may not: a pool, which lies on the host's disks.
    as_user(stage, "carol", "storage create other dir").succeed()?;
    as_user(stage, "carol", "storage delete other").succeed()?;
    Ok(())
}

fn without_an_answer_from_polkit_only_root_may_act(stage: &Stage) -> Result<()> {
    q1(stage)?;
    stage.host.succeed(["usermod", "-aG", "lxhost", "bob"])?;
    stage.host.succeed(["systemctl", "kill", "--signal=STOP", "polkit.service"])?;
    let hung = as_user(stage, "bob", "stop q1").output();
    let root = stage.lxctl("exec q1 -- true").output();
    stage.host.succeed(["systemctl", "kill", "--signal=CONT", "polkit.service"])?;
    let (hung, root) = (hung?, root?);
    // Time ran out, and that is taken as a no.
    ensure!(
        hung.code == Some(11) && hung.stderr_text().contains("org.lxhost1.instance.operate"),
        "while Polkit hangs, bob's stop {}",
        hung.describe()
    );
    ensure!(stage.status("q1")? == "running");
    ensure!(root.code == Some(0), "while Polkit hangs, root's exec {}", root.describe());
    stage.delete("q1")
}
