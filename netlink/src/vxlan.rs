//! Overlay networks: vxlan, frames of a virtual segment in UDP between hosts (RFC 7348).

use crate::error::errno;
use crate::wanted::Wanted;
use crate::{Done, Error, Handle, LinkName, Mac, Result};
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::{InfoData, InfoVxlan};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkMessageBuilder, LinkVxlan};
use std::net::IpAddr;

/// Largest number of a segment: it has 24 bits.
pub const MAX_SEGMENT: u32 = (1 << 24) - 1;
/// Destination of frames whose station is not known, and of broadcasts.
const EVERYBODY: [u8; 6] = [0; 6];

/// A vxlan as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vxlan {
    /// Name.
    pub name: LinkName,
    /// Number of the segment, at most [`MAX_SEGMENT`].
    pub segment: u32,
    /// Link that the UDP packets leave by; a multicast `remote` needs one.
    pub parent: Option<LinkName>,
    /// Address of this host that they come from.
    pub local: Option<IpAddr>,
    /// Where frames for unknown stations go: one host, or a multicast group that all hosts of the segment join.
    /// Several hosts are told by [`Handle::ensure_flood_targets`].
    pub remote: Option<IpAddr>,
    /// UDP port; 4789 by the standard.
    pub port: u16,
    /// How many routers the packets may pass; `None` leaves it to the kernel.
    pub ttl: Option<u8>,
    /// Largest packet in bytes; `None` takes the parent's less the 50 bytes of the headers.
    pub mtu: Option<u32>,
    /// Hardware address; `None` leaves the choice to the kernel.
    pub mac: Option<Mac>,
}

impl Vxlan {
    /// A segment on the standard port without a parent or remote.
    pub fn new(name: LinkName, segment: u32) -> Self {
        Vxlan { name, segment, parent: None, local: None, remote: None, port: 4789, ttl: None, mtu: None, mac: None }
    }

    /// What cannot be changed later.
    fn nature(&self, parent: Option<u32>) -> Vec<InfoVxlan> {
        let mut nature = vec![InfoVxlan::Id(self.segment), InfoVxlan::Port(self.port)];
        nature.extend(parent.map(InfoVxlan::Link));
        nature.extend(self.local.map(|address| match address {
            IpAddr::V4(v4) => InfoVxlan::Local(v4),
            IpAddr::V6(v6) => InfoVxlan::Local6(v6),
        }));
        nature.extend(self.remote.map(|address| match address {
            IpAddr::V4(v4) => InfoVxlan::Group(v4),
            IpAddr::V6(v6) => InfoVxlan::Group6(v6),
        }));
        nature
    }
}

impl Handle {
    /// Makes the vxlan (still down) or adapts the one that exists.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Handle, Vxlan};
    /// let handle = Handle::open()?;
    /// // Hosts of a segment that find each other by multicast.
    /// let (parent, remote) = (Some("eth0".parse()?), "239.0.0.1".parse().ok());
    /// let _ = handle.ensure_vxlan(&Vxlan { parent, remote, ..Vxlan::new("vx1000".parse()?, 1000) }).await?;
    /// let _ = handle.ensure_port("vx1000", "br0").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink` for the parent; `WrongKind` and `Differs` when the name belongs to something else; `Kernel`, as
    /// for a segment and port that another link has, or a multicast remote without parent.
    pub async fn ensure_vxlan(&self, vxlan: &Vxlan) -> Result<Done> {
        let parent = match &vxlan.parent {
            Some(parent) => Some(self.existing(parent.as_str()).await?.index),
            None => None,
        };
        let wanted = Wanted { name: &vxlan.name, kind: "vxlan", mac: vxlan.mac, mtu: vxlan.mtu };
        let message = wanted.on(LinkMessageBuilder::<LinkVxlan>::new(vxlan.name.as_str()));
        let nature = vxlan.nature(parent);
        let create = nature.iter().cloned().chain(vxlan.ttl.map(InfoVxlan::Ttl));
        let create = create.fold(message, LinkMessageBuilder::<LinkVxlan>::append_info_data).build();
        self.ensure_link(&wanted, create, |link| match &link.data {
            Some(InfoData::Vxlan(infos)) if nature.iter().all(|info| infos.contains(info)) => None,
            _ => Some("segment, port, parent or address"),
        })
        .await
    }

    /// Removes the vxlan called `name`.
    ///
    /// # Errors
    /// `WrongKind` when it is not one; `Kernel`.
    pub async fn delete_vxlan(&self, name: &str) -> Result<Done> {
        self.delete_kind(name, "vxlan").await
    }

    /// Has exactly these hosts get the frames of the vxlan called `name` whose station is not known (a forwarding
    /// database in place of a multicast group).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use lxhost_netlink::{Handle, Vxlan};
    /// let handle = Handle::open()?;
    /// let _ = handle.ensure_vxlan(&Vxlan::new("vx1000".parse()?, 1000)).await?;
    /// let others = ["192.0.2.2".parse()?, "192.0.2.3".parse()?];
    /// let _ = handle.ensure_flood_targets("vx1000", &others).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn ensure_flood_targets(&self, name: &str, hosts: &[IpAddr]) -> Result<Done> {
        let index = self.existing(name).await?.index;
        let what = || format!("tell {name} which hosts get what is for everybody");
        let _alone = self.alone().await;
        let entries = self.requests()?.neighbours().get().set_address_family(AddressFamily::Bridge).execute();
        let entries: Vec<NeighbourMessage> = entries.try_collect().await.map_err(|e| Error::from_request(what(), e))?;
        let of_this = entries.into_iter().filter(|entry| {
            let everybody = NeighbourAttribute::LinkLayerAddress(EVERYBODY.to_vec());
            entry.header.ifindex == index && entry.attributes.contains(&everybody)
        });
        let (kept, old): (Vec<_>, Vec<_>) = of_this.partition(|entry| target(entry).is_some_and(|host| hosts.contains(&host)));
        let mut done = Done::Already;
        for entry in old {
            match self.requests()?.neighbours().del(entry).execute().await.map_err(|e| Error::from_request(what(), e)) {
                Err(error) if error.errno() != Some(errno::NO_ENTRY) => return Err(error),
                _ => done = Done::Changed,
            }
        }
        let present: Vec<IpAddr> = kept.iter().filter_map(target).collect();
        for host in hosts.iter().filter(|host| !present.contains(host)) {
            self.append_flood_target(index, *host).await.map_err(|e| Error::from_request(what(), e))?;
            done = Done::Changed;
        }
        Ok(done)
    }

    async fn append_flood_target(&self, index: u32, host: IpAddr) -> std::result::Result<(), rtnetlink::Error> {
        let mut entry = NeighbourMessage::default();
        entry.header.family = AddressFamily::Bridge;
        entry.header.ifindex = index;
        entry.header.state = NeighbourState::Permanent;
        entry.header.flags = NeighbourFlags::Own;
        let host = match host {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        };
        entry.attributes = vec![NeighbourAttribute::LinkLayerAddress(EVERYBODY.to_vec()), NeighbourAttribute::Destination(host)];
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(entry));
        // One station behind several hosts: appended, where a second entry would be refused or replace the first.
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND;
        let mut requests = self.requests().map_err(|_| rtnetlink::Error::RequestFailed)?;
        let mut answer = requests.request(request)?;
        while let Some(message) = answer.next().await {
            if let NetlinkPayload::Error(error) = message.payload
                && error.code.is_some()
            {
                return Err(rtnetlink::Error::NetlinkError(error));
            }
        }
        Ok(())
    }
}

/// The host an entry leads to.
fn target(entry: &NeighbourMessage) -> Option<IpAddr> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        // The kernel says addresses of this family as bare bytes.
        NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(IpAddr::from),
            _ => None,
        },
        _ => None,
    })
}
