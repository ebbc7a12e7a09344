//! Commands of ZFS, run with words of ours and names that were checked: none of them can be taken for an option, which
//! matters as not every subcommand knows `--`. What one does is done by the kernel at once or not at all, so one that is
//! killed leaves nothing half done. Called by the other files here.

use super::super::tool;
use lxhost_model::{Error, Kind, Result};
use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long something may keep a dataset or pool busy that is to go, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// What it says when there is no room.
const FULL: [&str; 4] = ["out of space", "No space left", "size is greater than available space", "is too small"];
/// What it says of what is not there.
const GONE: [&str; 4] =
    ["dataset does not exist", "no such pool", "no pools available", "could not find any snapshots to destroy"];
/// What it says when the kernel has none of it.
const NO_KERNEL: [&str; 3] = ["cannot be auto-loaded", "modules are not loaded", "/dev/zfs and /proc/self/mounts"];
/// What it says of what somebody uses.
const BUSY: [&str; 4] = ["is busy", "is in use", "currently in use", "is part of active pool"];

/// Runs a command; gives what it said. `None`: what it was about is not there.
///
/// # Errors
/// `Unsupported` when it or the kernel's part of it is missing; `NoSpace`, `InUse`, `Failed`.
pub(super) async fn found(program: &str, words: &[&str]) -> Result<Option<String>> {
    let mut command = tokio::process::Command::new(program);
    command.args(words).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Unsupported, tool::missing(program)),
        _ => Error::io(format!("run {program}"), &e),
    })?;
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    match kind_of(&complaint) {
        None => Ok(None),
        Some(Kind::Unsupported) => Err(Error::new(Kind::Unsupported, NO_MODULE)),
        Some(kind) => Err(Error::new(kind, format!("{program} {}: {}", words.first().unwrap_or(&""), plain(&complaint)))),
    }
}

/// What to say when the kernel has none of it.
pub(super) const NO_MODULE: &str = "this needs the module zfs, which the kernel does not have (Debian: apt install zfs-dkms, from \
                                    the component contrib, and the headers of the kernel)";

/// Runs a command on what has to be there.
///
/// # Errors
/// As `found`; `Failed` when it is not there.
pub(super) async fn run(program: &str, words: &[&str]) -> Result<String> {
    let said = found(program, words).await?;
    said.ok_or_else(|| Error::failed(format!("{program} {}: it is not there", words.join(" "))))
}

/// Runs a command that somebody may be in the way of for a moment; what is gone is fine.
///
/// # Errors
/// As `found`.
pub(super) async fn patiently(program: &str, words: &[&str]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match found(program, words).await {
            // A guest that is being started looks at all mounts for a moment.
            Err(error) if error.kind == Kind::InUse && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            ended => return ended.map(drop),
        }
    }
}

/// What a complaint is about; `None`: what is not there.
fn kind_of(complaint: &str) -> Option<Kind> {
    let has = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    if has(&NO_KERNEL) {
        Some(Kind::Unsupported)
    } else if has(&FULL) {
        Some(Kind::NoSpace)
    } else if has(&BUSY) {
        Some(Kind::InUse)
    } else if has(&GONE) {
        None
    } else {
        Some(Kind::Failed)
    }
}

/// A complaint as one line. What follows a list of options is for nobody.
fn plain(complaint: &str) -> String {
    let lines = complaint.lines().take_while(|line| !line.starts_with("usage:")).map(str::trim);
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_complains_about_has_a_kind() {
        for (complaint, kind) in [
            ("cannot open 'x/y': dataset does not exist\n", None),
            ("cannot open 'x': no such pool\n", None),
            ("cannot import 'x': no such pool available\n", None),
            ("cannot create 'x/y': out of space\n", Some(Kind::NoSpace)),
            ("cannot destroy 'x/y': dataset is busy\n", Some(Kind::InUse)),
            ("cannot destroy 'x': pool is busy\n", Some(Kind::InUse)),
            ("cannot create 'x': one or more vdevs refer to the same device, or is part of active pool\n", Some(Kind::InUse)),
            ("The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs'\n", Some(Kind::Unsupported)),
            ("Something else\n", Some(Kind::Failed)),
        ] {
            assert_eq!(kind_of(complaint), kind, "{complaint}");
        }
        assert_eq!(plain("one\n\n  two\nusage:\n\tsnapshot\n"), "one; two");
    }

    #[tokio::test]
    async fn what_is_not_installed_is_named() {
        let error = found("znothing", &["list"]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.message.contains("znothing"), "{error}");
    }
}
