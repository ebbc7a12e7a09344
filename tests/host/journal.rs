//! What the journal tells of an instance: what was done to it, by whom, and what became of it.

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use serde_json::Value;

pub(crate) const SUITE: Suite =
    suite!("journal", Base::Packaged, [what_was_done_is_told_with_who_did_it, what_failed_is_a_warning_that_says_why]);

fn entries(stage: &Stage, name: &str) -> Result<Vec<Value>> {
    stage.host.succeed(["journalctl", "--sync"])?;
    let field = format!("LXHOST_INSTANCE={name}");
    let lines = stage.host.succeed(["journalctl", "--no-pager", "--output=json", "_SYSTEMD_UNIT=lxhostd.service", &field])?;
    lines.lines().map(|line| serde_json::from_str(line).context("an entry is JSON")).collect()
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or_default()
}

fn what_was_done_is_told_with_who_did_it(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.host.succeed(["usermod", "-aG", "lxhost", "alice"])?;
    let alice = stage.host.succeed(["id", "-u", "alice"])?;
    for words in ["launch busybox j1", "stop --force j1", "start j1", "config set j1 user.note=1"] {
        stage.lxctl(words).user("alice").succeed()?;
    }
    stage.lxctl("delete --force j1").succeed()?;
    let told = entries(stage, "j1")?;
    let jobs: Vec<_> = told.iter().filter(|entry| !text(entry, "LXHOST_VERB").is_empty()).collect();
    let verbs: Vec<_> = jobs.iter().map(|entry| text(entry, "LXHOST_VERB")).collect();
    let wanted = ["instance.create", "instance.stop", "instance.start", "instance.configure", "instance.delete"];
    ensure!(verbs == wanted, "{verbs:?}");
    for (entry, verb) in jobs.iter().zip(wanted) {
        let who = if verb == "instance.delete" { "0" } else { alice.trim() };
        ensure!(text(entry, "LXHOST_CALLER_UID") == who, "{entry}");
        let message = text(entry, "MESSAGE");
        ensure!(message.contains(verb) && message.contains("j1") && message.contains(&format!("uid {who}")), "{message}");
    }
    let explained = stage.host.succeed(["journalctl", "--no-pager", "--catalog", "LXHOST_INSTANCE=j1"])?;
    let said = format!("User {} asked for instance.stop on instance j1", alice.trim());
    ensure!(explained.contains(&said), "{explained}");
    Ok(())
}

fn what_failed_is_a_warning_that_says_why(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox j2 -c linux.init=/no/such/program").succeed()?;
    let start = stage.lxctl("start j2").fail()?;
    ensure!(start.stderr_text().contains("j2") && start.stderr_text().contains("/no/such/program"), "{}", start.describe());
    let told = entries(stage, "j2")?;
    let failed = told.iter().find(|entry| !text(entry, "LXHOST_ERROR").is_empty()).context("no entry has an error")?;
    ensure!(text(failed, "PRIORITY") == "4" && text(failed, "MESSAGE").contains("/no/such/program"), "{failed}");
    ensure!(text(failed, "LXHOST_ERROR").starts_with("org.lxhost1.Error."), "{failed}");
    let explained = stage.host.succeed(["journalctl", "--no-pager", "--catalog", "LXHOST_INSTANCE=j2"])?;
    ensure!(explained.contains("asked for instance.start on instance j2") && explained.contains("It failed with"), "{explained}");
    stage.delete("j2")
}
