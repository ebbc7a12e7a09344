//! Commands of LVM. One that was killed in the middle can leave a device suspended, and whoever uses that hangs: so they go
//! on when nobody waits for them any more, and write to memory of their own instead of a pipe that may break. Called by
//! the other files here.

use super::super::tool;
use lxhost_model::{Error, Kind, Result};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::Stdio;

/// What is not as the host has it: no daemon is started to watch our volumes, and none of the many changes is archived.
const CONFIG: &str = "activation{monitoring=0} backup{archive=0}";
/// What it says when there is no room.
const FULL: [&str; 5] =
    ["nsufficient free space", "nsufficient suitable", "reached threshold", "No space left", "not enough free"];
/// What it says of what is not there.
const GONE: [&str; 5] = ["not found", "does not exist", "Failed to find", "Cannot process volume group", "not a volume group"];
/// What it says when the kernel has none of it.
const NO_KERNEL: [&str; 3] = ["device-mapper driver missing", "mapper/control: open failed", "not present in kernel"];

/// Runs a command on names and paths of ours; gives what it said. `None`: what it was about is not there.
///
/// # Errors
/// `Unsupported` when it or the kernel's part of it is missing; `NoSpace`, `InUse`, `Failed`.
pub(super) async fn found<P: AsRef<OsStr>>(program: &str, words: &[&str], names: &[P]) -> Result<Option<String>> {
    let (said, complaint) = (memory()?, memory()?);
    let mut command = tokio::process::Command::new(program);
    if program != "dmsetup" {
        command.args(["--config", CONFIG]);
    }
    command.args(words).arg("--").args(names).env("LC_ALL", "C").env("LVM_SUPPRESS_FD_WARNINGS", "1");
    let handed = |file: &File| file.try_clone().map(Stdio::from).map_err(|e| failed(&e));
    command.stdin(Stdio::null()).stdout(handed(&said)?).stderr(handed(&complaint)?);
    let status = command.status().await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Unsupported, tool::missing(program)),
        _ => Error::io(format!("run {program}"), &e),
    })?;
    if status.success() {
        return text(said).map(Some);
    }
    let complaint = text(complaint)?;
    match kind_of(&complaint) {
        None => Ok(None),
        Some(kind) => Err(Error::new(kind, format!("{program}: {}", last(&complaint)))),
    }
}

/// Runs a command on what has to be there.
///
/// # Errors
/// As `found`; `Failed` when it is not there.
pub(super) async fn run<P: AsRef<OsStr>>(program: &str, words: &[&str], names: &[P]) -> Result<String> {
    let said = found(program, words, names).await?;
    said.ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|name| name.as_ref().to_string_lossy()).collect();
        Error::failed(format!("{program}: {} is not there", names.join(", ")))
    })
}

/// What a complaint is about; `None`: what is not there.
fn kind_of(complaint: &str) -> Option<Kind> {
    let has = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    if has(&NO_KERNEL) {
        Some(Kind::Unsupported)
    } else if has(&FULL) {
        Some(Kind::NoSpace)
    } else if complaint.contains("in use") || complaint.contains("is used by") {
        Some(Kind::InUse)
    } else if has(&GONE) {
        None
    } else {
        Some(Kind::Failed)
    }
}

/// The last words to people.
fn last(complaint: &str) -> String {
    let line = complaint
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("WARNING") && !line.starts_with("Run `"));
    line.unwrap_or("failed").chars().filter(|c| !c.is_control()).take(300).collect()
}

fn memory() -> Result<File> {
    let made = rustix::fs::memfd_create("said", rustix::fs::MemfdFlags::CLOEXEC);
    made.map(File::from).map_err(|e| failed(&e.into()))
}

fn text(mut file: File) -> Result<String> {
    let mut bytes = vec![];
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(|e| failed(&e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(error: &io::Error) -> Error {
    Error::io("run a command of LVM", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_complains_about_has_a_kind() {
        for (complaint, kind) in [
            ("  Volume group \"x\" not found\n  Cannot process volume group x\n", None),
            ("  Failed to find logical volume \"vg/x\"\n", None),
            ("  Logical volume vg/x contains a filesystem in use.\n", Some(Kind::InUse)),
            ("  Volume group \"vg\" has insufficient free space (3 extents): 9 required.\n", Some(Kind::NoSpace)),
            ("  Cannot create new thin volume, free space in thin pool vg/p reached threshold.\n", Some(Kind::NoSpace)),
            ("  /dev/mapper/control: open failed: No such device\n  Failure to communicate\n", Some(Kind::Unsupported)),
            ("  thin-pool: Required device-mapper target(s) not present in kernel.\n", Some(Kind::Unsupported)),
            ("  Something else\n", Some(Kind::Failed)),
        ] {
            assert_eq!(kind_of(complaint), kind, "{complaint}");
        }
        assert_eq!(last("  one\n  two\n  WARNING: three\n\n"), "two");
    }

    #[tokio::test]
    async fn what_is_not_installed_is_named() {
        let error = found("lvnothing", &[], &["x"]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.message.contains("lvnothing"), "{error}");
    }
}
