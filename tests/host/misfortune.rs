//! What can befall the tests themselves: a host that does not boot, a tool or room that is not there, a death in the
//! middle. Each is a clear message in time, and nothing is left behind.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::{Host, HostSpec, Kind};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "misfortune",
    Base::Bare,
    [
        a_host_that_does_not_boot_is_given_up_and_says_why,
        a_tool_that_is_missing_is_named,
        a_machine_without_room_says_how_much_is_wanted,
        a_killed_harness_leaves_no_process_and_no_mount,
    ]
);

fn a_host_that_does_not_boot_is_given_up_and_says_why(stage: &Stage) -> Result<()> {
    let layer = tempfile::tempdir_in(stage.cache.directory("hosts")?)?;
    fs::create_dir_all(layer.path().join("usr/lib/systemd"))?;
    fs::write(layer.path().join("usr/lib/systemd/systemd"), "no program")?;
    let layers = stage.spec.layers.iter().cloned().chain([layer.path().to_owned()]).collect();
    let start = Instant::now();
    let said = Host::boot(&stage.cache, &HostSpec { layers, ..stage.spec.clone() }).map(drop);
    let said = format!("{:#}", said.err().context("a host without systemd came up")?);
    ensure!(said.contains("console"), "{said}");
    ensure!(start.elapsed() < stage.host.patience(Duration::from_secs(30)), "{:?}", start.elapsed());
    nothing_is_left(&layer.path().to_string_lossy())
}

fn a_tool_that_is_missing_is_named(stage: &Stage) -> Result<()> {
    let tools = tempfile::tempdir()?;
    let missing = match stage.host.kind() {
        Kind::Full => "unshare",
        Kind::Native => {
            std::os::unix::fs::symlink("/usr/bin/unshare", tools.path().join("unshare"))?;
            "systemd-nspawn"
        }
    };
    let mut harness = another(stage)?;
    let said = fails(harness.env("PATH", tools.path()))?;
    ensure!(said.contains(&format!("{missing} is not installed: make setup installs it")), "{said}");
    Ok(())
}

/// The cache of the other harness is on a small disk, in a namespace of its own.
fn a_machine_without_room_says_how_much_is_wanted(stage: &Stage) -> Result<()> {
    let small = tempfile::tempdir_in(stage.cache.directory("hosts")?)?;
    let harness = another(stage)?;
    let mut alone = Command::new("unshare");
    alone.args(["--mount", "--propagation=private", "--", "sh", "-ec"]);
    alone.arg("mount -t tmpfs -o size=16m small \"$LXHOST_CACHE\"; exec \"$@\"").arg("sh");
    alone.arg(harness.get_program()).args(harness.get_args()).env("LXHOST_CACHE", small.path());
    let start = Instant::now();
    let said = fails(&mut alone)?;
    ensure!(said.contains(" needs ") && said.contains(" MiB are free"), "{said}");
    ensure!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    Ok(())
}

/// This program, to boot a host of the same kind as another harness.
fn another(stage: &Stage) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--in", stage.host.kind().name(), "harness: the host comes up"]).stdin(Stdio::null());
    Ok(command)
}

/// What a harness says that is to fail, and leave no process behind.
fn fails(harness: &mut Command) -> Result<String> {
    let harness = harness.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let id = format!("lxhost-lab-{}-", harness.id());
    let output = harness.wait_with_output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    nothing_is_left(&id)?;
    Ok(said)
}

/// Runs this program as another harness, kills it in the middle, and looks for what it had.
fn a_killed_harness_leaves_no_process_and_no_mount(stage: &Stage) -> Result<()> {
    let mut harness = another(stage)?.stdout(Stdio::null()).spawn()?;
    let id = format!("lxhost-lab-{}-0", harness.id());
    let directory = stage.cache.directory("hosts")?.join(&id);
    let deadline = Instant::now() + Duration::from_secs(60);
    let boots = || fs::read_to_string(directory.join("console.log")).is_ok_and(|console| console.contains("Welcome"));
    while !boots() && !directory.join("qmp.sock").exists() {
        ensure!(Instant::now() < deadline && harness.try_wait()?.is_none(), "the other harness did not boot a host");
        std::thread::sleep(Duration::from_millis(20));
    }
    harness.kill()?;
    harness.wait()?;
    nothing_is_left(&id)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(&id), "a mount is left: {mounts}");
    lxhost_tests::host::sweep(&stage.cache)?;
    ensure!(!directory.exists(), "{} is left", directory.display());
    Ok(())
}

/// Waits for the end of the machine's processes that have `id` in their command lines: what is killed with its
/// parent may be a moment behind it.
fn nothing_is_left(id: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(left) = processes_naming(id)? {
        ensure!(Instant::now() < deadline, "a process is left: {left}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The command line of a process of the machine that has `id` in it.
fn processes_naming(id: &str) -> Result<Option<String>> {
    let lines = fs::read_dir("/proc")?.flatten().map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default());
    Ok(lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).find(|line| line.contains(id)))
}
