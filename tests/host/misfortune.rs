//! What can befall the tests themselves: a host that does not boot or hangs, a tool or room that is not there, a test
//! that fails or never ends, a death in the middle. Each is a clear message in time, and nothing is left behind.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lxhost_tests::host::{Host, HostSpec, Kind};
use lxhost_tests::runner::{Base, Stage, Suite, skip};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "misfortune",
    Base::Bare,
    [
        a_host_that_does_not_boot_is_given_up_and_says_why,
        a_host_that_hangs_is_given_up_in_time,
        what_fails_is_counted_and_what_its_host_said_is_kept,
        a_tool_that_is_missing_is_named,
        a_machine_without_room_says_how_much_is_wanted,
        a_killed_harness_leaves_no_process_and_no_mount,
        a_killed_harness_leaves_no_wire,
    ]
);

/// The argument that has this program run what fails instead.
pub(crate) const ARGUMENT: &str = "--misfortunes";

/// What `what_fails_is_counted_and_what_its_host_said_is_kept` has run by another harness.
pub(crate) const SUITES: &[Suite] = &[suite!(
    "on purpose",
    Base::Bare,
    [passes, fails_with_a_word_in_the_journal, waits_for_a_host_that_hangs, panics, is_not_wanted_here]
)];

fn passes(stage: &Stage) -> Result<()> {
    stage.host.succeed(["true"]).map(drop)
}

fn fails_with_a_word_in_the_journal(stage: &Stage) -> Result<()> {
    stage.host.succeed(["sh", "-ec", "echo the last word | systemd-cat -t lab; journalctl --sync"])?;
    bail!("it was to fail")
}

fn waits_for_a_host_that_hangs(stage: &Stage) -> Result<()> {
    stage.host.hang()?;
    stage.host.power_off()
}

fn panics(stage: &Stage) -> Result<()> {
    assert!(stage.spec.name.is_empty(), "it was to panic");
    Ok(())
}

fn is_not_wanted_here(_: &Stage) -> Result<()> {
    Err(skip("it was to be skipped"))
}

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

fn a_host_that_hangs_is_given_up_in_time(stage: &Stage) -> Result<()> {
    let host = Host::boot(&stage.cache, &stage.spec)?;
    let directory = host.directory().to_owned();
    host.hang()?;
    let start = Instant::now();
    let said = host.command(["systemctl", "list-units"]).timeout(Duration::from_secs(1)).output();
    let said = format!("{:#}", said.err().context("a host that hangs has answered")?);
    ensure!(said.contains("systemctl list-units: killed after"), "{said}");
    drop(host);
    ensure!(start.elapsed() < stage.host.patience(Duration::from_secs(60)), "{:?}", start.elapsed());
    ensure!(!directory.exists(), "{} is left", directory.display());
    nothing_is_left(&directory.file_name().context("a host has a name")?.to_string_lossy())
}

fn what_fails_is_counted_and_what_its_host_said_is_kept(stage: &Stage) -> Result<()> {
    let mut harness = Command::new(std::env::current_exe()?);
    let limit = stage.host.patience(Duration::from_secs(10)).as_secs();
    harness.args([ARGUMENT, "--in", stage.host.kind().name()]).env("LXHOST_LIMIT", limit.to_string()).stdin(Stdio::null());
    let said = fails(&mut harness)?;
    for part in [
        "on purpose: passes ... ok",
        "on purpose: fails with a word in the journal ... FAILED",
        "    it was to fail",
        &format!("    it took longer than {limit} s"),
        "    it panicked: it was to panic",
        "1 passed, 3 failed, 1 skipped",
        "    1 skipped: it was to be skipped",
    ] {
        ensure!(said.contains(part), "{part}: {said}");
    }
    for (test, part) in
        [("fails_with_a_word_in_the_journal", "lab"), ("waits_for_a_host_that_hangs", "# console"), ("panics", "# dmesg")]
    {
        let path = format!("target/host-failures/on purpose.{test}.txt");
        let kept = fs::read_to_string(&path).with_context(|| format!("reading {path}: {said}"))?;
        ensure!(kept.contains(part) && kept.contains("# journalctl"), "{path}: {kept}");
        ensure!(test != "fails_with_a_word_in_the_journal" || kept.contains("the last word"), "{path}: {kept}");
        fs::remove_file(path)?;
    }
    Ok(())
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
    let mut harness = another(stage, BOOT)?;
    let said = fails(harness.env("PATH", tools.path()))?;
    ensure!(said.contains(&format!("{missing} is not installed: make setup installs it")), "{said}");
    Ok(())
}

/// The cache of the other harness is on a small disk, in a namespace of its own.
fn a_machine_without_room_says_how_much_is_wanted(stage: &Stage) -> Result<()> {
    let small = tempfile::tempdir_in(stage.cache.directory("hosts")?)?;
    let harness = another(stage, BOOT)?;
    let mut alone = Command::new("unshare");
    alone.args(["--mount", "--propagation=private", "--", "sh", "-ec"]);
    alone.arg("mount -t tmpfs -o size=16m small \"$LXHOST_CACHE\"; exec \"$@\"").arg("sh");
    alone.arg(harness.get_program()).args(harness.get_args()).env("LXHOST_CACHE", small.path());
    let start = Instant::now();
    let said = fails(&mut alone)?;
    ensure!(said.contains(" needs ") && said.contains(" MiB are free"), "{said}");
    ensure!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    Ok(())
}

/// The test that does nothing but boot a host.
const BOOT: &str = "harness: the host comes up";

/// This program, to run a test in a host of the same kind as another harness.
fn another(stage: &Stage, test: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--in", stage.host.kind().name(), test]).stdin(Stdio::null());
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
    let mut harness = another(stage, BOOT)?.stdout(Stdio::null()).spawn()?;
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
    lxhost_tests::host::sweep(&stage.cache)?;
    ensure!(!directory.exists(), "{} is left", directory.display());
    Ok(())
}

/// As before, in the middle of a test that has several hosts on a wire: what a bridge is in goes with the last process
/// in it.
fn a_killed_harness_leaves_no_wire(stage: &Stage) -> Result<()> {
    let mut harness = another(stage, "harness: three hosts on a wire")?.stdout(Stdio::null()).spawn()?;
    let id = format!("lxhost-lab-{}-", harness.id());
    let hosts = stage.cache.directory("hosts")?;
    let deadline = Instant::now() + stage.host.patience(Duration::from_secs(60));
    while !hosts.join(format!("{id}2")).exists() || processes_naming(&format!("{id}wire"))?.is_none() {
        ensure!(Instant::now() < deadline && harness.try_wait()?.is_none(), "the other harness has no hosts on a wire");
        std::thread::sleep(Duration::from_millis(20));
    }
    harness.kill()?;
    harness.wait()?;
    nothing_is_left(&id)?;
    lxhost_tests::host::sweep(&stage.cache)
}

/// Waits for the end of the machine's processes that have `id` in their command lines: what is killed with its
/// parent may be a moment behind it. Mounts and links of theirs are gone with them.
fn nothing_is_left(id: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(left) = processes_naming(id)? {
        ensure!(Instant::now() < deadline, "a process is left: {left}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(id), "a mount is left: {mounts}");
    let links = fs::read_dir("/sys/class/net")?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let left: Vec<String> = links.filter(|link| link == "lab0" || link.starts_with("vb-lab")).collect();
    ensure!(left.is_empty(), "links are left: {left:?}");
    Ok(())
}

/// The command line of a process of the machine that has `id` in it.
fn processes_naming(id: &str) -> Result<Option<String>> {
    let lines = fs::read_dir("/proc")?.flatten().map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default());
    Ok(lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).find(|line| line.contains(id)))
}
