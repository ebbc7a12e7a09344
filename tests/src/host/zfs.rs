//! ZFS in full hosts: a layer with the modules and their tools, where somebody has had the modules built. Nothing of ZFS
//! starts by itself there, so that a host boots as fast with it as without. Depends on `recipe` and `layer`. Called by
//! `spec`.

use std::fs;

use anyhow::{Context, Result};

use super::{HostSpec, layer};
use crate::cache::{self, Cache};
use crate::recipe::{MIRROR, ZFS_MODULES, Zfs};

/// Installs the tools, and the modules that lie in the shared directory. The first loading of the module measures which way
/// of computing sums is fastest, and what it caches is the host's memory.
const INSTALL: &str = "\
list=/etc/apt/sources.list.d/zfs.list; echo \"deb $1 trixie main contrib\" >$list; apt-get update -q; \
mkdir -p /etc/systemd/system-generators; ln -sf /dev/null /etc/systemd/system-generators/zfs-mount-generator; \
systemctl mask zfs-import-cache.service zfs-import-scan.service zfs-mount.service zfs-share.service zfs-volume-wait.service \
zfs-zed.service zfs-load-module.service zfs-load-key.service zfs.target zfs-import.target; \
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends zfsutils-linux; \
rm $list; find /var/lib/apt/lists -type f -delete; apt-get clean; rm -rf /usr/share/doc /usr/share/man /usr/share/locale; \
mkdir -p /usr/lib/modules/$2/updates; cp /lab/*.ko /usr/lib/modules/$2/updates/; depmod $2; \
echo 'options zfs zfs_arc_max=67108864' >/etc/modprobe.d/zfs.conf";

/// The same host with ZFS in it, if there are modules for its kernel.
///
/// # Errors
/// When the tools cannot be installed.
pub(super) fn with_zfs(cache: &Cache, mut spec: HostSpec) -> Result<HostSpec> {
    let Some(zfs) = Zfs::built(cache, &spec.tree)? else { return Ok(spec) };
    let content = format!("{} {INSTALL}", zfs.name());
    let made = layer(cache, &spec, "zfs", content.as_bytes(), |host| {
        for name in ZFS_MODULES {
            fs::copy(zfs.module(name), host.share().join(format!("{name}.ko")))?;
        }
        host.command(["sh", "-ec", INSTALL, "sh", MIRROR, zfs.release()]).succeed()?;
        ZFS_MODULES.iter().try_for_each(|name| cache::remove(&host.share().join(format!("{name}.ko"))))
    });
    spec.layers.push(made.context("installing ZFS in a host")?);
    Ok(spec)
}
