//! Images and pools beneath the daemon: runs `lxhost-ports` in a host, with the package's unpacker.

use std::fs;

use anyhow::{Context, Result};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "images",
    Base::Packaged,
    [
        a_tree_comes_out_as_it_was_packed_and_serves_every_pool,
        every_packing_gives_the_same_tree,
        what_is_no_image_is_refused_and_leaves_nothing,
        the_sandbox_sees_nothing_of_the_host_and_cannot_leave,
        debian_and_busybox_are_built_from_what_the_host_has,
    ]
);

/// Runs one test of `lxhost-ports` in the host.
fn run(stage: &Stage, test: &str) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("lxhost-ports");
    fs::copy(&program, stage.host.share().join("lxhost-ports")).with_context(|| format!("copying {}", program.display()))?;
    stage.host.command(["/lab/lxhost-ports", test]).timeout(std::time::Duration::from_secs(200)).succeed()?;
    Ok(())
}

fn a_tree_comes_out_as_it_was_packed_and_serves_every_pool(stage: &Stage) -> Result<()> {
    run(stage, "tree")
}

fn every_packing_gives_the_same_tree(stage: &Stage) -> Result<()> {
    run(stage, "packings")
}

fn what_is_no_image_is_refused_and_leaves_nothing(stage: &Stage) -> Result<()> {
    run(stage, "refused")
}

fn the_sandbox_sees_nothing_of_the_host_and_cannot_leave(stage: &Stage) -> Result<()> {
    run(stage, "sandbox")
}

fn debian_and_busybox_are_built_from_what_the_host_has(stage: &Stage) -> Result<()> {
    run(stage, "sources")
}
