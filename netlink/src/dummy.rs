//! Dummies: links that swallow what they are given. An address that no hardware has lies on one.

use crate::wanted::Wanted;
use crate::{Done, Handle, LinkName, Mac, Result};
use rtnetlink::{LinkDummy, LinkMessageBuilder};

/// A dummy as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dummy {
    /// Name.
    pub name: LinkName,
    /// Hardware address; `None` leaves the choice to the kernel.
    pub mac: Option<Mac>,
    /// Largest packet in bytes; `None` leaves it to the kernel.
    pub mtu: Option<u32>,
}

impl Handle {
    /// Makes the dummy (still down) or adapts the one that exists.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use lxhost_netlink::{Dummy, Handle};
    /// let handle = Handle::open()?;
    /// let _ = handle.ensure_dummy(&Dummy { name: "service0".parse()?, mac: None, mtu: None }).await?;
    /// let _ = handle.ensure_addresses("service0", &["192.0.2.53/32".parse()?]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `WrongKind` when the name belongs to another kind of link; `Kernel`.
    pub async fn ensure_dummy(&self, dummy: &Dummy) -> Result<Done> {
        let wanted = Wanted { name: &dummy.name, kind: "dummy", mac: dummy.mac, mtu: dummy.mtu };
        let create = wanted.on(LinkMessageBuilder::<LinkDummy>::new(dummy.name.as_str())).build();
        self.ensure_link(&wanted, create, |_| None).await
    }

    /// Removes the dummy called `name`.
    ///
    /// # Errors
    /// `WrongKind` when it is not one; `Kernel`.
    pub async fn delete_dummy(&self, name: &str) -> Result<Done> {
        self.delete_kind(name, "dummy").await
    }
}
