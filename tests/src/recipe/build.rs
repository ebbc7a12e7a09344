//! Builds the tree of a recipe. Depends on mmdebstrap and chroot; called by `Recipe::tree` alone, with
//! a path that nobody else uses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{MIRROR, Recipe};
use crate::cache::{self, Cache};
use crate::relay::Relay;
use crate::tool;

pub(super) fn build(recipe: &Recipe, cache: &Cache, tree: &Path) -> Result<()> {
    let (_relay, port) = Relay::on_loopback(cache)?;
    tool::run(
        Command::new("mmdebstrap")
            // No tree here boots by an initrd that its kernel's package would make.
            .env("INITRD", "No")
            .args(["--mode=root", "--variant=minbase", "--format=directory", "--quiet", "--dpkgopt=force-unsafe-io"])
            .arg(format!("--include={}", recipe.packages.join(",")))
            .arg(recipe.suite)
            .arg(tree)
            .arg(format!("http://127.0.0.1:{port}/debian")),
    )?;
    let finished = finish(recipe, tree);
    if finished.is_err() {
        cache::remove(tree)?;
    }
    finished
}

fn finish(recipe: &Recipe, tree: &Path) -> Result<()> {
    // dpkg may sync again: only the building was unsafe.
    cache::remove(&tree.join("etc/dpkg/dpkg.cfg.d/99mmdebstrap"))?;
    let suite = recipe.suite;
    let sources =
        format!("deb {MIRROR} {suite} main\ndeb {MIRROR} {suite}-updates main\ndeb {MIRROR}-security {suite}-security main\n");
    put(tree, "etc/apt/sources.list", 0o644, &sources)?;
    for (path, mode, content) in &recipe.files {
        put(tree, path, *mode, content)?;
    }
    for argv in &recipe.commands {
        tool::run(Command::new("chroot").arg(tree).args(argv)).with_context(|| format!("running {argv:?} in the tree"))?;
    }
    for path in &recipe.without {
        cache::remove(&tree.join(path))?;
    }
    Ok(())
}

fn put(tree: &Path, path: &str, mode: u32, content: &str) -> Result<()> {
    let path = tree.join(path);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
