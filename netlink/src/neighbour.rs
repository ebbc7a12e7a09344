//! Neighbours: which station has which address on a link, and addresses that this host answers for.

use crate::error::errno;
use crate::{Done, Error, Handle, Mac, Result};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::net::IpAddr;

/// An entry of the ARP or neighbour discovery table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    /// Address.
    pub address: IpAddr,
    /// Station that has it, if that is known.
    pub mac: Option<Mac>,
    /// Whether somebody wrote it down, so that it is never asked for or forgotten.
    pub permanent: bool,
}

impl Neighbour {
    pub(crate) fn read(message: &NeighbourMessage) -> Option<Self> {
        let (mut address, mut mac) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().and_then(|bytes| Mac::new(bytes).ok());
                }
                _ => {}
            }
        }
        let permanent = message.header.state == NeighbourState::Permanent;
        Some(Neighbour { link: message.header.ifindex, address: address?, mac, permanent })
    }
}

impl Handle {
    /// All neighbours of this namespace, IPv4 and IPv6.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// let known = Handle::open()?.neighbours().await?;
    /// for neighbour in known.iter().filter(|neighbour| neighbour.mac.is_some()) {
    ///     println!("{} is {:?}", neighbour.address, neighbour.mac);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>> {
        Ok(self.neighbour_messages(NeighbourFlags::empty()).await?.iter().filter_map(Neighbour::read).collect())
    }

    async fn neighbour_messages(&self, flags: NeighbourFlags) -> Result<Vec<NeighbourMessage>> {
        let _alone = self.alone().await;
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let answer = self.requests()?.neighbours().get().set_address_family(family).set_flags(flags).execute();
            let messages: Vec<NeighbourMessage> =
                answer.try_collect().await.map_err(|e| Error::from_request("list neighbours", e))?;
            all.extend(messages);
        }
        Ok(all)
    }

    /// Writes down for ever that the station `mac` has `address` on the link called `name`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use lxhost_netlink::Handle;
    /// let handle = Handle::open()?;
    /// let printer = "10.1.2.9".parse()?;
    /// let _ = handle.ensure_neighbour("br0", printer, "0a:00:00:00:00:09".parse()?).await?;
    /// // Who asks for it on the other side is answered by this host.
    /// let _ = handle.ensure_proxy("eth0", printer).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn ensure_neighbour(&self, name: &str, address: IpAddr, mac: Mac) -> Result<Done> {
        let link = self.existing(name).await?.index;
        let wanted = Neighbour { link, address, mac: Some(mac), permanent: true };
        if self.neighbours().await?.contains(&wanted) {
            return Ok(Done::Already);
        }
        let request = self.requests()?.neighbours().add(link, address).link_layer_address(&mac.bytes()).replace().execute();
        request.await.map_err(|e| Error::from_request(format!("write down {address} on {name}"), e))?;
        Ok(Done::Changed)
    }

    /// Has this host answer for `address` on the link called `name` (proxy ARP, proxy neighbour discovery).
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn ensure_proxy(&self, name: &str, address: IpAddr) -> Result<Done> {
        let link = self.existing(name).await?.index;
        let present = self.neighbour_messages(NeighbourFlags::Proxy).await?;
        if present.iter().filter_map(Neighbour::read).any(|entry| entry.link == link && entry.address == address) {
            return Ok(Done::Already);
        }
        let request = self.requests()?.neighbours().add(link, address).flags(NeighbourFlags::Proxy).replace().execute();
        request.await.map_err(|e| Error::from_request(format!("answer for {address} on {name}"), e))?;
        Ok(Done::Changed)
    }

    /// Forgets what was written down about `address` on the link called `name`, and answers for it no more.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn forget_neighbour(&self, name: &str, address: IpAddr) -> Result<Done> {
        let link = self.existing(name).await?.index;
        let mut done = Done::Already;
        for flags in [NeighbourFlags::empty(), NeighbourFlags::Proxy] {
            for message in self.neighbour_messages(flags).await? {
                let is_meant = |entry: &Neighbour| entry.link == link && entry.address == address;
                if !Neighbour::read(&message).is_some_and(|entry| is_meant(&entry)) {
                    continue;
                }
                match self.requests()?.neighbours().del(message).execute().await {
                    Ok(()) => done = Done::Changed,
                    Err(error) => match Error::from_request(format!("forget {address} on {name}"), error) {
                        error if error.errno() == Some(errno::NO_ENTRY) => {}
                        error => return Err(error),
                    },
                }
            }
        }
        Ok(done)
    }
}
