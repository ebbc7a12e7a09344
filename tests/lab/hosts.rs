//! Hosts that outlive the command that booted them: a process of its own has each one, and a record in
//! the cache says which. Depends on setsid(1) and on the library. Called by `main`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use lxhost_tests::cache::{self, Cache};
use lxhost_tests::host::{HostSpec, Native, enter, leader_below, sweep};
use lxhost_tests::recipe::Recipe;
use lxhost_tests::{image, package};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The process that has the host, and the outermost one of the host itself.
    owner: i32,
    process: u32,
    directory: PathBuf,
}

/// Boots the host `name` in a process that stays.
pub(crate) fn up(cache: &Cache, name: &str) -> Result<()> {
    if running(cache, name).is_ok() {
        bail!("the host {name} is running: lxhost-lab sh {name} enters it, lxhost-lab down {name} ends it");
    }
    let log = record_path(cache, name)?.with_extension("log");
    let mut owner = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .args(["serve", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Not ours: whoever reads our output would wait for a host that stays.
        .stderr(fs::File::create(&log).with_context(|| format!("making {}", log.display()))?)
        .spawn()
        .context("starting setsid")?;
    let mut said = String::new();
    if let Some(out) = owner.stdout.take() {
        BufReader::new(out).read_line(&mut said)?;
    }
    if said != "up\n" {
        bail!("the host {name} did not come up:\n{}", fs::read_to_string(&log).unwrap_or_default());
    }
    println!("the host {name} is up");
    Ok(())
}

/// Has the host `name` until it powers off or this process is ended.
pub(crate) fn serve(cache: &Cache, name: &str) -> Result<()> {
    let mut spec = HostSpec::over(&Recipe::host().tree(cache)?);
    name.clone_into(&mut spec.name);
    spec.visible = Some(image::images_of(cache)?);
    if std::env::var("LXHOST_DEB").as_deref() != Ok("none") {
        spec = package::installed(cache, &spec, &package::find()?)?;
    }
    let host = Native::boot(cache, &spec)?;
    let record =
        Record { owner: i32::try_from(std::process::id())?, process: host.process(), directory: host.directory().to_owned() };
    let path = record_path(cache, name)?;
    fs::write(&path, serde_json::to_vec(&record)?)?;
    println!("up");
    let ended = host.wait_off();
    cache::remove(&path)?;
    ended
}

/// Becomes a command in the host `name`, on this terminal.
pub(crate) fn run(cache: &Cache, name: &str, user: Option<&str>, argv: &[&str]) -> Result<i32> {
    let leader = leader_below(running(cache, name)?.process).with_context(|| format!("the host {name} is not up"))?;
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    Err(enter(leader, user, &[], &argv).exec()).context("starting nsenter")
}

/// Ends the host `name` at once.
pub(crate) fn down(cache: &Cache, name: &str) -> Result<()> {
    let record = running(cache, name)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(record.owner), nix::sys::signal::Signal::SIGTERM)?;
    // The keeper holds this lock to its end.
    File::options().write(true).open(record.directory.join("lock"))?.lock()?;
    cache::remove(&record_path(cache, name)?)?;
    sweep(cache)
}

/// Prints the names of the hosts that run.
pub(crate) fn list(cache: &Cache) -> Result<()> {
    for entry in fs::read_dir(cache.directory("lab")?)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(".json").filter(|name| running(cache, name).is_ok()) {
            println!("{name}");
        }
    }
    Ok(())
}

fn record_path(cache: &Cache, name: &str) -> Result<PathBuf> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        bail!("a host's name is letters, digits and dashes: {name:?}");
    }
    Ok(cache.directory("lab")?.join(format!("{name}.json")))
}

/// The record of the host `name`, if its keeper lives.
fn running(cache: &Cache, name: &str) -> Result<Record> {
    let nothing = || format!("there is no host {name}: lxhost-lab up {name} boots one");
    let record: Record = serde_json::from_slice(&fs::read(record_path(cache, name)?).with_context(nothing)?)?;
    let lock = File::options().write(true).open(record.directory.join("lock")).with_context(nothing)?;
    if lock.try_lock().is_ok() {
        bail!(nothing());
    }
    Ok(record)
}
