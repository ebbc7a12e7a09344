//! Parts of the product on a kernel, a PID 1 and a bus that are real: runs the tests of other crates in a host,
//! where they may do what they do nowhere else.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "parts",
    Base::Packaged,
    [
        every_kind_of_link_is_made_adapted_and_removed needs [Vlan],
        services_are_started_reloaded_and_stopped_by_pid_1,
        bridges_are_brought_up_repaired_and_taken_down,
        containers_are_launched_entered_and_ended,
    ]
);

fn every_kind_of_link_is_made_adapted_and_removed(stage: &Stage) -> Result<()> {
    run(stage, "kernel", &[])
}

fn services_are_started_reloaded_and_stopped_by_pid_1(stage: &Stage) -> Result<()> {
    run(stage, "services_host", &[])
}

fn bridges_are_brought_up_repaired_and_taken_down(stage: &Stage) -> Result<()> {
    run(stage, "network_host", &[])
}

/// The Debian guest of these tests is in every other suite.
fn containers_are_launched_entered_and_ended(stage: &Stage) -> Result<()> {
    run(stage, "launcher", &["--skip", "a_debian_guest"])
}

/// Runs the tests called `name` in the host, without the daemon: none of them may be skipped.
fn run(stage: &Stage, name: &str, words: &[&str]) -> Result<()> {
    stage.host.succeed(["systemctl", "stop", "lxhostd.service"])?;
    let program = stage.host.share().join(name);
    fs::copy(built(name)?, &program)?;
    // What a test leaves behind when it fails holds no output open.
    let line = format!("exec /lab/{name} --test-threads=1 --nocapture {} >/lab/{name}.log 2>&1 </dev/null", words.join(" "));
    let tests = stage.host.command(["sh", "-c", &line]).env("LXHOST_HOST_TEST", "1");
    let tests = tests.env("LXHOST_TEST_RUNTIME", "/usr/libexec/lxhost/lxhost-runtime");
    let ended = tests.timeout(Duration::from_secs(150)).output()?;
    let said = fs::read_to_string(program.with_extension("log"))?;
    ensure!(ended.code == Some(0) && !said.contains("skipped"), "{}: {said}", ended.describe());
    fs::remove_file(program)?;
    Ok(())
}

/// The newest build of these tests.
fn built(name: &str) -> Result<PathBuf> {
    let deps = std::env::current_exe()?.with_file_name("deps");
    let (start, end) = (format!("{name}-"), "abcdef0123456789");
    let builds = fs::read_dir(&deps)?.flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix(&start).is_some_and(|hash| hash.chars().all(|digit| end.contains(digit)))
    });
    let newest = builds.max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
    newest.map(|entry| entry.path()).with_context(|| format!("no tests {name} in {}: make lab", deps.display()))
}
