//! Layers over a tree: what a host looks like after some work was done in it, kept by content, so that
//! a hundred hosts with a package installed cost one installation. The work is done in a native host,
//! whatever the hosts over it are. Depends on `Host` and `cache`.
//! Called by the runner and by the bench.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{Host, HostSpec, Kind, Upper};
use crate::cache::{self, Cache};

/// How many layers stay however long nobody used them: those of one build.
const KEPT: usize = 12;
/// A layer that was used since may be under a host that is up.
const RECENTLY: Duration = Duration::from_hours(12);

/// The layer that `work` leaves in a host of `spec`; `/var/lib/lxhost` is not part of it. `content`
/// names the work: the same content gives the same layer without doing the work again.
///
/// # Errors
/// Whatever `work` says, and when the host does not boot or power off.
pub fn layer(
    cache: &Cache,
    spec: &HostSpec,
    name: &str,
    content: &[u8],
    work: impl FnOnce(&Host) -> Result<()>,
) -> Result<PathBuf> {
    let below = format!("{:?} {:?}", spec.tree, spec.layers);
    let key = cache::key(name, &[content, below.as_bytes()].concat());
    let path = cache.entry("layers", &key, |path| {
        std::fs::create_dir(path)?;
        let host = Host::boot(cache, &HostSpec { kind: Kind::Native, upper: Upper::Directory(path.to_owned()), ..spec.clone() })?;
        work(&host)?;
        host.power_off()?;
        drop(host);
        // What every host has to make for itself.
        for own in ["work", "upper/etc/machine-id", "upper/var/log/journal", "upper/var/lib/systemd/random-seed"] {
            cache::remove(&path.join(own))?;
        }
        Ok(())
    })?;
    cache.keep_newest("layers", KEPT, RECENTLY)?;
    Ok(path.join("upper"))
}
