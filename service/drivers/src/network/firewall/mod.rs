//! The host's firewall, as far as it is ours: one table, `inet lxhost`, rendered whole from the
//! networks there are (`table`, with the chains of ACLs from `acl` and those of forwards from `forward`) and replaced in one transaction of
//! `nft -f -`. Tables of others stay as they are; what they need to let our bridges through is
//! beside this (`chains` of Docker and ufw), and firewalld is told over D-Bus (`Zones`).
//!
//! An `accept` ends our chain only: a `drop` in another table still wins (nft(8), "base chains").
//! Nothing keeps instances from the host's own ports or from each other but ACLs, as with Incus.

mod acl;
mod forward;
mod table;

pub(crate) use table::render;

use lxhost_model::{Error, Kind, Result};
use std::collections::VecDeque;
use std::process::{Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Longest time for one transaction; nft waits for a lock when another program changes rules.
const PATIENCE: Duration = Duration::from_secs(20);

/// Name of our tables, one in each family that we need.
pub(super) const TABLE: &str = "lxhost";
/// Processes that [`is_own`] remembers: more than can have run since a change that is still to be heard of.
const REMEMBERED: usize = 1024;
/// Those that ran last, newest first.
static OWN: Mutex<VecDeque<u32>> = Mutex::new(VecDeque::new());

/// Whether a change of the packet filter is our own doing, by the process that the kernel names for it.
pub(super) fn is_own(process: u32) -> bool {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).contains(&process)
}

fn remember(process: u32) {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    own.push_front(process);
    own.truncate(REMEMBERED);
}

/// Runs a transaction; all of it takes effect, or nothing.
///
/// # Errors
/// `Failed`, with what nft said; `Timeout`.
pub(crate) async fn apply(transaction: &str) -> Result<()> {
    let output = nft(&["-f", "-"], transaction).await?;
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).chars().filter(|c| !c.is_control()).take(500).collect();
    Err(Error::failed(format!("nft refused the firewall's rules: {said}")))
}

/// What nft lists, as JSON; `None` when there is no such thing.
///
/// # Errors
/// `Failed` when nft does not run; `Timeout`.
pub(crate) async fn list(what: &[&str]) -> Result<Option<String>> {
    let output = nft(&[&["-j"], what].concat(), "").await?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Whether there is a table of that family and name. The kernel says so itself; nft takes a hundred times as long.
///
/// # Errors
/// As [`list`].
pub(crate) async fn has_table(family: &str, name: &str) -> Result<bool> {
    match lxhost_netlink::filter_tables().await {
        Ok(tables) => Ok(tables.iter().any(|table| table.family == family && table.name == name)),
        Err(error) => {
            tracing::debug!(%error, "nft is asked for tables");
            Ok(list(&["list", "table", family, name]).await?.is_some())
        }
    }
}

async fn nft(argv: &[&str], input: &str) -> Result<Output> {
    let run = async {
        let mut nft = Command::new("nft")
            .args(argv)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Error::io("run nft", &e))?;
        nft.id().into_iter().for_each(remember);
        if let Some(mut stdin) = nft.stdin.take() {
            // When nft dies early, what it says on stderr is the better story.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        nft.wait_with_output().await.map_err(|e| Error::io("run nft", &e))
    };
    match tokio::time::timeout(PATIENCE, run).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(Kind::Timeout, format!("nft did not end in {} s", PATIENCE.as_secs()))),
    }
}
