//! The package under test: finds the newest `.deb` of this build, and gives the layer of a host that has
//! it installed as an administrator would. Depends on `host` and apt inside it. Called by lab, runner
//! and bench.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::host::{self, Host, HostSpec};

/// The package at `$LXHOST_DEB`, else the newest `target/lxhost_*.deb`.
///
/// # Errors
/// When there is none.
pub fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LXHOST_DEB") {
        return Ok(path.into());
    }
    let target = Path::new("target");
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("lxhost_") && name.ends_with(".deb")
    };
    let packages = fs::read_dir(target).context("looking into target/")?.flatten().map(|entry| entry.path()).filter(named);
    packages
        .max_by_key(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
        .context("there is no target/lxhost_*.deb: run make deb first")
}

/// Installs the package in a host with apt, which takes what it depends on from the mirror
/// if the host does not have it.
///
/// # Errors
/// When apt refuses.
pub fn install(host: &Host, package: &Path) -> Result<()> {
    let name = package.file_name().context("a package has a name")?.to_string_lossy().into_owned();
    fs::copy(package, host.share().join(&name)).with_context(|| format!("copying {}", package.display()))?;
    let path = format!("/lab/{name}");
    host.command(["apt-get", "install", "-q", "-y", "--allow-downgrades", &path])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .succeed()?;
    Ok(())
}

/// A host of `spec` that has the package installed; `/var/lib/lxhost` is as empty as before.
///
/// # Errors
/// When the package does not install, or the host does not power off with it.
pub fn installed(cache: &Cache, spec: &HostSpec, package: &Path) -> Result<HostSpec> {
    let content = fs::read(package).with_context(|| format!("reading {}", package.display()))?;
    let layer = host::layer(cache, spec, "package", &content, |host| install(host, package))?;
    let mut layers = spec.layers.clone();
    layers.push(layer);
    Ok(HostSpec { layers, ..spec.clone() })
}
