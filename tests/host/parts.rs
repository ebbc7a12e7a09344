//! Links of every kind on a kernel that has them: runs the tests of the `netlink` crate in a host.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!("links", Base::Packaged, [every_kind_of_link_is_made_adapted_and_removed needs [Vlan]]);

fn every_kind_of_link_is_made_adapted_and_removed(stage: &Stage) -> Result<()> {
    fs::copy(program()?, stage.host.share().join("kernel"))?;
    let tests = ["/lab/kernel", "--test-threads=1", "--nocapture"];
    let said = stage.host.command(tests).timeout(Duration::from_secs(100)).succeed()?;
    ensure!(!said.contains("skipped"), "{said}");
    Ok(())
}

/// The newest build of the crate's tests.
fn program() -> Result<PathBuf> {
    let deps = std::env::current_exe()?.with_file_name("deps");
    let builds = fs::read_dir(&deps)?.flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("kernel-") && !name.contains('.')
    });
    let newest = builds.max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
    newest.map(|entry| entry.path()).with_context(|| format!("no tests of netlink in {}: make lab", deps.display()))
}
