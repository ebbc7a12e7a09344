//! Addresses of links.

use crate::error::errno;
use crate::{Done, Error, Handle, Result};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use std::net::IpAddr;

/// An address that a link has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub link: u32,
    /// Address and length of its network's prefix.
    pub net: IpNet,
    /// Whether it is valid on this link alone (`fe80::/10`, `169.254.0.0/16` of the kernel).
    pub link_local: bool,
}

impl Address {
    pub(crate) fn read(message: &AddressMessage) -> Option<Self> {
        let mut found = None;
        for attribute in &message.attributes {
            match attribute {
                // On a point-to-point link IFA_ADDRESS is the other side.
                AddressAttribute::Local(address) => found = Some(*address),
                AddressAttribute::Address(address) => found = found.or(Some(*address)),
                _ => {}
            }
        }
        let net = IpNet::new(found?, message.header.prefix_len).ok()?;
        Some(Address { link: message.header.index, net, link_local: message.header.scope == AddressScope::Link })
    }
}

impl Handle {
    /// All addresses of this namespace.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// let handle = Handle::open()?;
    /// for address in handle.addresses().await?.iter().filter(|address| !address.link_local) {
    ///     println!("{} on link {}", address.net, address.link);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn addresses(&self) -> Result<Vec<Address>> {
        Ok(self.address_messages().await?.iter().filter_map(Address::read).collect())
    }

    async fn address_messages(&self) -> Result<Vec<AddressMessage>> {
        let _alone = self.alone().await;
        let answer = self.requests()?.address().get().execute();
        answer.try_collect().await.map_err(|e| Error::from_request("list addresses", e))
    }

    /// Gives the link called `name` exactly the addresses `wanted` beside its link-local ones.
    /// IPv6 addresses are usable at once (no duplicate detection, which never ends on a bridge
    /// without ports), so that a server can bind to them.
    ///
    /// What is new comes before what is gone leaves: with its last IPv4 address a link loses every route by it.
    /// For an address that follows another in the same subnet, that takes `promote_secondaries` of the link.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use lxhost_netlink::{Done, Handle};
    /// let handle = Handle::open()?;
    /// let wanted = ["10.1.2.1/24".parse()?, "fd42:1:2:3::1/64".parse()?];
    /// if handle.ensure_addresses("br0", &wanted).await? == Done::Changed {
    ///     println!("br0 had others");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn ensure_addresses(&self, name: &str, wanted: &[IpNet]) -> Result<Done> {
        let link = self.existing(name).await?;
        let mut done = self.add_missing(name, link.index, wanted).await?;
        for message in self.address_messages().await? {
            let Some(address) = Address::read(&message) else { continue };
            if address.link == link.index && !address.link_local && !wanted.contains(&address.net) {
                done = done.or(self.remove_address(name, address.net.addr(), message).await?);
            }
        }
        // The kernel takes the others of a subnet along with its first address, and refuses an IPv6 address as long as
        // it is there with another prefix.
        if done == Done::Changed {
            let _ = self.add_missing(name, link.index, wanted).await?;
        }
        Ok(done)
    }

    async fn add_missing(&self, name: &str, index: u32, wanted: &[IpNet]) -> Result<Done> {
        let present: Vec<IpNet> = self.addresses().await?.iter().filter(|a| a.link == index).map(|a| a.net).collect();
        let mut done = Done::Already;
        for net in wanted.iter().filter(|net| !present.contains(net)) {
            done = done.or(self.add_address(name, index, *net).await?);
        }
        Ok(done)
    }

    /// Gives the link called `name` the address `net` beside those it has.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn ensure_address(&self, name: &str, net: IpNet) -> Result<Done> {
        let link = self.existing(name).await?;
        self.add_address(name, link.index, net).await
    }

    async fn add_address(&self, name: &str, index: u32, net: IpNet) -> Result<Done> {
        let mut request = self.requests()?.address().add(index, net.addr(), net.prefix_len());
        if net.addr().is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        match request.execute().await {
            Ok(()) => Ok(Done::Changed),
            Err(error) => match Error::from_request(format!("give {name} the address {net}"), error) {
                error if error.errno() == Some(errno::EXISTS) => Ok(Done::Already),
                error => Err(error),
            },
        }
    }

    async fn remove_address(&self, name: &str, address: IpAddr, message: AddressMessage) -> Result<Done> {
        match self.requests()?.address().del(message).execute().await {
            Ok(()) => Ok(Done::Changed),
            Err(error) => match Error::from_request(format!("take the address {address} from {name}"), error) {
                error if error.errno() == Some(errno::NO_ADDRESS) => Ok(Done::Already),
                error => Err(error),
            },
        }
    }
}
