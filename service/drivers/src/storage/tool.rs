//! Tools of the host that make and change file systems: run with words of ours and paths after `--`, never by a shell.

use lxhost_model::{Error, Kind, Result};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;

/// How a tool ended.
pub(super) struct Ended {
    /// Exit status; `None`: a signal.
    pub(super) status: Option<i32>,
    /// What it said.
    pub(super) said: String,
    /// Its last words to people.
    pub(super) complaint: String,
}

/// Runs a tool to its end, whatever that is.
///
/// # Errors
/// `Unsupported` when it is not installed; `Failed`.
pub(super) async fn ended<P: AsRef<OsStr>>(program: &str, words: &[&str], paths: &[P]) -> Result<Ended> {
    let mut command = tokio::process::Command::new(program);
    command.args(words).arg("--").args(paths).env("LC_ALL", "C").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Unsupported, missing(program)),
        _ => Error::io(format!("run {program}"), &e),
    })?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint = complaint.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("failed");
    Ok(Ended {
        status: output.status.code(),
        said: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: complaint.chars().filter(|c| !c.is_control()).take(300).collect(),
    })
}

/// Runs a tool that has to succeed; gives what it said.
///
/// # Errors
/// `Unsupported` when it is not installed; `NoSpace`, `Failed` with its last words.
pub(super) async fn run<P: AsRef<OsStr>>(program: &str, words: &[&str], paths: &[P]) -> Result<String> {
    let ended = ended(program, words, paths).await?;
    if ended.status == Some(0) {
        return Ok(ended.said);
    }
    let kind = if ended.complaint.contains("No space left on device") { Kind::NoSpace } else { Kind::Failed };
    Err(Error::new(kind, format!("{}: {}", [&[program], words].concat().join(" "), ended.complaint)))
}

/// Whether a tool is installed.
pub(super) fn is_there(program: &str) -> bool {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// What to say when a tool is missing.
pub(super) fn missing(program: &str) -> String {
    let package = match program {
        "btrfs" | "mkfs.btrfs" => "btrfs-progs",
        "mkfs.ext4" | "resize2fs" | "chattr" | "lsattr" => "e2fsprogs",
        "setquota" => "quota",
        "lvcreate" | "lvremove" | "lvchange" | "lvextend" | "lvs" | "vgcreate" | "vgremove" | "vgs" | "pvs" | "pvremove"
        | "pvresize" | "dmsetup" => "lvm2 thin-provisioning-tools",
        "zpool" | "zfs" => "zfsutils-linux zfs-dkms, from the component contrib, and the headers of the kernel",
        _ => "util-linux",
    };
    format!("this needs {program}, which is not installed (Debian: apt install {package})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_says_what_is_wrong_and_one_that_is_missing_is_named() {
        assert_eq!(run("basename", &[], &["/x/--all"]).await.unwrap(), "--all\n");
        let error = run("ls", &["--directory"], &["/nothing/here"]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.message.contains("/nothing/here"), "{error}");
        assert_eq!(ended("false", &[], &[""; 0]).await.unwrap().status, Some(1));
        let error = run("mkfs.nothing", &[], &["/x"]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.message.contains("mkfs.nothing"), "{error}");
    }
}
