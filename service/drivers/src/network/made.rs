//! Bridges, VLANs and tunnels that were made on this host for networks and interfaces: a file for each in /run/lxhost/made,
//! with the kernel's number of the link. What has none is somebody else's, is used as it is, and stays. The package
//! reads the files when it is removed. Called by networks and kinds of interfaces; depends on netlink.

use super::bridge::serve::{make_dir, read_small, remove_file, write_file};
use super::from_netlink;
use lxhost_model::Result;
use lxhost_netlink::{Handle, Link, Vlan};
use std::path::{Path, PathBuf};

/// Most bytes of one file.
const MOST: u64 = 32;

/// Links that were made here.
#[derive(Clone)]
pub(crate) struct Made {
    links: Handle,
    dir: PathBuf,
}

impl Made {
    /// Those noted below `run_dir`.
    pub(crate) fn new(links: Handle, run_dir: &Path) -> Self {
        Made { links, dir: run_dir.join("made") }
    }

    /// Makes the VLAN where there is none, and sets it up, with what it lies on: a VLAN is up when that is.
    ///
    /// # Errors
    /// `Conflict` when the link of that name is something else.
    pub(crate) async fn vlan(&self, vlan: &Vlan) -> Result<()> {
        let (name, links) = (vlan.name.as_str(), &self.links);
        let new = !links.link_exists(name).await.map_err(from_netlink)?;
        if new {
            self.begin(name)?;
        }
        if let Err(error) = links.ensure_vlan(vlan).await {
            // Nothing was made, and the next of that name may be anybody's.
            if new {
                self.forget(name)?;
            }
            return Err(from_netlink(error));
        }
        if new {
            self.note(name).await?;
        }
        let _ = links.set_up(vlan.parent.as_str()).await.map_err(from_netlink)?;
        links.set_up(name).await.map(drop).map_err(from_netlink)
    }

    /// Whether the link of that name was made here.
    pub(crate) async fn has(&self, name: &str) -> Result<bool> {
        let link = self.links.link(name).await.map_err(from_netlink)?;
        Ok(link.is_some_and(|link| self.is_noted(&link).unwrap_or(false)))
    }

    /// Notes that a link of that name is about to be made: it is ours even if we do not live to see its number.
    pub(crate) fn begin(&self, name: &str) -> Result<()> {
        make_dir(&self.dir)?;
        write_file(&self.dir.join(name), "")
    }

    /// Notes a link that was made.
    pub(crate) async fn note(&self, name: &str) -> Result<()> {
        let Some(link) = self.links.link(name).await.map_err(from_netlink)? else { return Ok(()) };
        make_dir(&self.dir)?;
        write_file(&self.dir.join(name), &link.index.to_string())
    }

    /// Forgets a link that is gone.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        remove_file(&self.dir.join(name)).map(drop)
    }

    /// Removes a VLAN or tunnel that was made here when nothing lies on it any more, nor has somebody given it an address.
    pub(crate) async fn release(&self, name: &str) -> Result<()> {
        let Some(link) = self.links.link(name).await.map_err(from_netlink)? else { return self.forget(name) };
        if !self.is_noted(&link)? {
            return self.forget(name);
        }
        let addresses = self.links.addresses().await.map_err(from_netlink)?;
        let addressed = addresses.iter().any(|address| address.link == link.index && !address.link_local);
        let below = self.links.links().await.map_err(from_netlink)?.iter().any(|other| other.parent == Some(link.index));
        let removable = matches!(link.kind.as_deref(), Some("vlan" | "vxlan"));
        if !removable || link.controller.is_some() || addressed || below {
            return Ok(());
        }
        let _ = self.links.delete_link(name).await.map_err(from_netlink)?;
        self.forget(name)
    }

    /// Whether the note about a link's name is about that link.
    fn is_noted(&self, link: &Link) -> Result<bool> {
        let number = read_small(&self.dir.join(&link.name), MOST)?;
        Ok(number.is_some_and(|number| number.is_empty() || number.parse() == Ok(link.index)))
    }
}
