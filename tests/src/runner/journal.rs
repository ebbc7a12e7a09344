//! What is kept of a test that failed: the host's journal and what its commands say of the state.
//! Called by `run`, with the host as the test left it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::host::Host;

const QUESTIONS: &[&[&str]] = &[
    &["journalctl", "--no-pager", "--boot", "--output=short-precise"],
    &["dmesg", "--ctime"],
    &["ps", "-e", "-o", "pid,ppid,user,stat,cgroup,args", "--forest"],
    &["findmnt"],
    &["ip", "-d", "address"],
    &["nft", "list", "ruleset"],
    &["find", "/var/lib/lxhost", "/run/lxhost", "-maxdepth", "3", "-ls"],
    &["lxctl", "list", "--format", "json"],
    // Last: a PID 1 that hangs answers neither.
    &["systemctl", "--no-pager", "--failed"],
    &["systemctl", "--no-pager", "--all", "list-units", "lxhost*"],
];

/// Writes `target/host-failures/SUITE.TEST.txt` and gives its path.
pub(super) fn keep(host: &Host, suite: &str, test: &str) -> Result<PathBuf> {
    let directory = Path::new("target/host-failures");
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("{suite}.{test}.txt"));
    let mut text = String::new();
    for argv in QUESTIONS {
        let said = host.command(argv.iter().copied()).timeout(Duration::from_secs(20)).output();
        // A host that leaves one question unanswered leaves them all.
        let silent = said.is_err();
        let said = said.map_or_else(|error| format!("{error:#}\n"), |output| output.stdout_text());
        text += &format!("# {}\n{said}\n", argv.join(" "));
        if silent {
            break;
        }
    }
    text += &format!("# console\n{}", fs::read_to_string(host.directory().join("console.log")).unwrap_or_default());
    fs::write(&path, text)?;
    Ok(path)
}
