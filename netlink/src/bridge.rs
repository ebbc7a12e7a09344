//! Bridges.

use crate::error::errno;
use crate::{Done, Error, Handle, LinkName, Mac, Result};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec};

/// A bridge as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Name.
    pub name: LinkName,
    /// Hardware address. It is given at birth, so the bridge keeps it whatever ports join, and
    /// udev's `MACAddressPolicy=persistent` leaves it alone.
    pub mac: Mac,
    /// Largest packet in bytes; `None` leaves it to the kernel (1500, then the least of the ports').
    pub mtu: Option<u32>,
}

impl Handle {
    /// Makes the bridge (still down) or adapts the one that exists; addresses and ports stay.
    ///
    /// # Errors
    /// `WrongKind` when the name belongs to another kind of link; `Kernel`.
    pub async fn ensure_bridge(&self, bridge: &Bridge) -> Result<Done> {
        let name = bridge.name.as_str();
        let Some(link) = self.link(name).await? else {
            return match self.create_bridge(bridge).await {
                // Somebody was faster: adapt theirs.
                Err(Error::Exists(_)) => Box::pin(self.ensure_bridge(bridge)).await,
                other => other.map(|()| Done::Changed),
            };
        };
        if link.kind.as_deref() != Some("bridge") {
            let found = link.kind.unwrap_or_else(|| "physical interface".to_owned());
            return Err(Error::WrongKind { name: name.to_owned(), found, wanted: "bridge" });
        }
        let mtu = bridge.mtu.filter(|mtu| *mtu != link.mtu);
        if link.has_mac(bridge.mac) && mtu.is_none() {
            return Ok(Done::Already);
        }
        let mut message = LinkUnspec::new_with_index(link.index).address(bridge.mac.bytes().to_vec());
        if let Some(mtu) = mtu {
            message = message.mtu(mtu);
        }
        self.change(message.build(), format!("change bridge {name}")).await?;
        Ok(Done::Changed)
    }

    async fn create_bridge(&self, bridge: &Bridge) -> Result<()> {
        let name = bridge.name.as_str();
        let mut message = LinkMessageBuilder::<LinkBridge>::new(name).address(bridge.mac.bytes().to_vec());
        if let Some(mtu) = bridge.mtu {
            message = message.mtu(mtu);
        }
        self.requests()?.link().add(message.build()).execute().await.map_err(|error| {
            match Error::from_request(format!("create bridge {name}"), error) {
                error if error.errno() == Some(errno::EXISTS) => Error::Exists(name.to_owned()),
                error => error,
            }
        })
    }

    /// Removes the bridge called `name`; its ports stay, without a bridge.
    ///
    /// # Errors
    /// `WrongKind` when it is not a bridge; `Kernel`.
    pub async fn delete_bridge(&self, name: &str) -> Result<Done> {
        match self.link(name).await? {
            None => Ok(Done::Already),
            Some(link) if link.kind.as_deref() == Some("bridge") => self.delete_link(name).await,
            Some(link) => {
                let found = link.kind.unwrap_or_else(|| "physical interface".to_owned());
                Err(Error::WrongKind { name: name.to_owned(), found, wanted: "bridge" })
            }
        }
    }
}
