//! Limits that the kernel enforces: what an instance may take of memory, processes and processor time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "limits",
    Base::Packaged,
    [
        more_memory_than_allowed_ends_the_program_that_wants_it needs [Cgroup],
        a_share_of_memory_is_one_of_the_hosts needs [Cgroup],
        more_processes_than_allowed_are_refused needs [Cgroup],
        more_processor_time_than_allowed_is_withheld needs [Cgroup],
        limits_hold_after_a_restart_and_end_with_their_key needs [Cgroup],
    ]
);

/// Launches an instance with these keys.
fn launch(stage: &Stage, name: &str, keys: &str) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl(format!("launch busybox {name} {keys}").trim()).succeed()?;
    Ok(())
}

/// What a file of the control group of an instance says.
fn group(stage: &Stage, name: &str, file: &str) -> Result<String> {
    let path = stage.host.succeed(["systemctl", "show", "-P", "ControlGroup", &format!("lxhost-{name}.scope")])?;
    Ok(stage.host.succeed(["cat", &format!("/sys/fs/cgroup{}/{file}", path.trim())])?.trim().to_owned())
}

/// A number behind a word in such a file.
fn count(stage: &Stage, name: &str, file: &str, word: &str) -> Result<u64> {
    let text = group(stage, name, file)?;
    let found = text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    found.with_context(|| format!("{file} has no {word}: {text}"))
}

/// A program that ends well once it has 200 MB.
const HUNGRY: &str = "BEGIN { s = \"x\"; while (length(s) < 200000000) s = s s; print length(s) }";

fn more_memory_than_allowed_ends_the_program_that_wants_it(stage: &Stage) -> Result<()> {
    launch(stage, "m1", "-c limits.memory=64MiB")?;
    let init = stage.init_of("m1")?;
    let greedy = stage.exec("m1", ["awk", HUNGRY]).output()?;
    ensure!(greedy.code == Some(137), "{}", greedy.describe());
    ensure!(count(stage, "m1", "memory.events", "oom_kill ")? >= 1);
    ensure!(stage.status("m1")? == "running" && stage.init_of("m1")? == init, "its init was killed too");
    launch(stage, "m2", "")?;
    stage.exec("m2", ["awk", HUNGRY]).succeed()?;
    stage.delete("m1 m2")
}

fn a_share_of_memory_is_one_of_the_hosts(stage: &Stage) -> Result<()> {
    launch(stage, "m3", "-c limits.memory=25%")?;
    let meminfo = stage.host.succeed(["cat", "/proc/meminfo"])?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let (total, limit) = (total.context("MemTotal")? * 1024, group(stage, "m3", "memory.max")?.parse::<u64>()?);
    ensure!(limit.abs_diff(total / 4) < 1 << 20, "a quarter of {total} is not {limit}");
    stage.delete("m3")
}

fn more_processes_than_allowed_are_refused(stage: &Stage) -> Result<()> {
    launch(stage, "t1", "-c limits.processes=20")?;
    let many = "for i in $(seq 40); do sleep 3 >/dev/null 2>&1 & done; wait";
    let refused = stage.exec("t1", ["sh", "-c", many]).output()?;
    ensure!(refused.stderr_text().contains("can't fork"), "{}", refused.describe());
    ensure!(count(stage, "t1", "pids.events", "max ")? >= 1);
    ensure!(stage.status("t1")? == "running");
    launch(stage, "t2", "")?;
    stage.exec("t2", ["sh", "-c", many]).succeed()?;
    stage.delete("t1 t2")
}

fn more_processor_time_than_allowed_is_withheld(stage: &Stage) -> Result<()> {
    launch(stage, "q1", "-c limits.cpu.allowance=20%")?;
    let used = || count(stage, "q1", "cpu.stat", "usage_usec ").map(Duration::from_micros);
    let before = used()?;
    let busy = stage.exec("q1", ["timeout", "5", "sh", "-c", "while :; do :; done"]).output()?;
    let used = used()?.saturating_sub(before);
    ensure!(used > Duration::from_millis(300), "it did nothing: {used:?}");
    // A fifth, and what the kernel gives beyond it before it notices.
    ensure!(used < busy.elapsed / 3, "{used:?} of {:?}", busy.elapsed);
    ensure!(count(stage, "q1", "cpu.stat", "nr_throttled ")? > 0);
    stage.delete("q1")
}

fn limits_hold_after_a_restart_and_end_with_their_key(stage: &Stage) -> Result<()> {
    launch(stage, "r1", "-c limits.memory=64MiB -c limits.processes=30")?;
    stage.lxctl("restart --force r1").succeed()?;
    let of = |file: &str| group(stage, "r1", file);
    ensure!((of("memory.max")?, of("pids.max")?) == ("67108864".to_owned(), "30".to_owned()));
    stage.lxctl("config unset r1 limits.memory").succeed()?;
    stage.lxctl("restart --force r1").succeed()?;
    ensure!((of("memory.max")?, of("pids.max")?) == ("max".to_owned(), "30".to_owned()));
    stage.delete("r1")
}
