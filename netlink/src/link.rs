//! Links of every kind: found, set up, removed.

use crate::error::errno;
use crate::{Done, Error, Handle, LinkName, Mac, Result, VlanId};
use futures_util::TryStreamExt;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::{InfoBridge, InfoData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};

/// A network interface of this namespace, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Kind of a virtual link, such as `bridge` or `veth`; `None` for hardware and `lo`.
    pub kind: Option<String>,
    /// Hardware address, if it has one of 48 bits.
    pub mac: Option<[u8; 6]>,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Index of the bridge it is a port of.
    pub controller: Option<u32>,
    /// Index of the link that it lies on (VLAN, macvlan, ipvlan) or, of a pair, of the other end.
    pub parent: Option<u32>,
    /// What has passed it since it was made.
    pub counters: Counters,
    pub(crate) data: Option<InfoData>,
}

/// Packets and bytes of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
}

impl Link {
    pub(crate) fn read(message: LinkMessage) -> Self {
        let mut link = Link {
            index: message.header.index,
            name: String::new(),
            kind: None,
            mac: None,
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            controller: None,
            parent: None,
            counters: Counters::default(),
            data: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
                LinkAttribute::Controller(index) => link.controller = Some(index),
                LinkAttribute::Link(index) => link.parent = Some(index),
                LinkAttribute::Stats64(stats) => {
                    link.counters = Counters {
                        received_bytes: stats.rx_bytes,
                        received_packets: stats.rx_packets,
                        sent_bytes: stats.tx_bytes,
                        sent_packets: stats.tx_packets,
                    };
                }
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        match info {
                            LinkInfo::Kind(kind) => link.kind = Some(kind.to_string()),
                            LinkInfo::Data(data) => link.data = Some(data),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        link
    }

    /// Whether it is a bridge that tells VLANs apart.
    pub fn filters_vlans(&self) -> bool {
        matches!(&self.data, Some(InfoData::Bridge(infos)) if infos.contains(&InfoBridge::VlanFiltering(true)))
    }

    /// The VLAN that such a bridge puts frames without a tag into where a port says nothing else.
    pub fn default_vlan(&self) -> Option<VlanId> {
        let Some(InfoData::Bridge(infos)) = &self.data else { return None };
        let number = infos.iter().find_map(|info| match info {
            InfoBridge::VlanDefaultPvid(number) => Some(*number),
            _ => None,
        });
        number.and_then(|number| VlanId::new(number).ok())
    }

    /// Whether its hardware address is `mac`.
    pub fn has_mac(&self, mac: Mac) -> bool {
        self.mac == Some(mac.bytes())
    }
}

impl Handle {
    /// The link called `name`, if there is one. A text that cannot be a link's name names none.
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn link(&self, name: &str) -> Result<Option<Link>> {
        let Ok(name) = name.parse::<LinkName>() else { return Ok(None) };
        let mut answer = self.requests()?.link().get().match_name(name.to_string()).execute();
        match answer.try_next().await {
            Ok(message) => Ok(message.map(Link::read)),
            Err(error) => match Error::from_request(format!("look up network interface {name}"), error) {
                error if error.errno() == Some(errno::NO_DEVICE) => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Whether a link called `name` exists.
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn link_exists(&self, name: &str) -> Result<bool> {
        Ok(self.link(name).await?.is_some())
    }

    /// All links of this namespace.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// let links = Handle::open()?.links().await?;
    /// assert!(links.iter().any(|link| link.name == "lo"));
    /// for bridge in links.iter().filter(|link| link.kind.as_deref() == Some("bridge")) {
    ///     let ports = links.iter().filter(|link| link.controller == Some(bridge.index)).count();
    ///     println!("{} has {ports} ports and has sent {} bytes", bridge.name, bridge.counters.sent_bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let _alone = self.alone().await;
        let answer = self.requests()?.link().get().execute();
        answer.map_ok(Link::read).try_collect().await.map_err(|e| Error::from_request("list network interfaces", e))
    }

    /// Removes the link called `name`; of a pair, both ends go. `Already` when there is none.
    ///
    /// # Errors
    /// `Kernel`, for hardware links (`EOPNOTSUPP`).
    pub async fn delete_link(&self, name: &str) -> Result<Done> {
        let Some(link) = self.link(name).await? else { return Ok(Done::Already) };
        match self.requests()?.link().del(link.index).execute().await {
            Ok(()) => Ok(Done::Changed),
            Err(error) => match Error::from_request(format!("remove network interface {name}"), error) {
                error if error.errno() == Some(errno::NO_DEVICE) => Ok(Done::Already),
                error => Err(error),
            },
        }
    }

    /// Sets the link called `name` up.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn set_up(&self, name: &str) -> Result<Done> {
        let link = self.existing(name).await?;
        if link.up {
            return Ok(Done::Already);
        }
        self.change(LinkUnspec::new_with_index(link.index).up().build(), format!("set network interface {name} up")).await?;
        Ok(Done::Changed)
    }

    /// Sets the link called `name` down.
    ///
    /// # Errors
    /// `NoSuchLink`, `Kernel`.
    pub async fn set_down(&self, name: &str) -> Result<Done> {
        let link = self.existing(name).await?;
        if !link.up {
            return Ok(Done::Already);
        }
        self.change(LinkUnspec::new_with_index(link.index).down().build(), format!("set network interface {name} down")).await?;
        Ok(Done::Changed)
    }

    /// Gives the link called `name` another name; since Linux 6.2 also while it is up.
    ///
    /// # Errors
    /// `NoSuchLink`, `Exists`, `Kernel`.
    pub async fn rename_link(&self, name: &str, to: &LinkName) -> Result<Done> {
        let link = self.existing(name).await?;
        if link.name == to.as_str() {
            return Ok(Done::Already);
        }
        let message = LinkUnspec::new_with_index(link.index).name(to.as_str()).build();
        match self.change(message, format!("rename network interface {name} to {to}")).await {
            Ok(()) => Ok(Done::Changed),
            Err(error) if error.errno() == Some(errno::EXISTS) => Err(Error::Exists(to.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Moves the link called `name` into the network namespace of a process. It loses its addresses,
    /// and this takes an RCU grace period: where a link can be born there, that is faster.
    ///
    /// # Errors
    /// `NoSuchLink`, `NoSuchProcess`, `Kernel`.
    pub async fn move_link(&self, name: &str, pid: u32) -> Result<()> {
        let link = self.existing(name).await?;
        let message = LinkUnspec::new_with_index(link.index).setns_by_pid(pid).build();
        match self.change(message, format!("move network interface {name} to process {pid}")).await {
            Err(error) if error.errno() == Some(errno::NO_PROCESS) => Err(Error::NoSuchProcess(pid)),
            other => other,
        }
    }

    /// Moves the link called `name` into the network namespace of a process, under the name `to`; it is up there if
    /// `up`, else down.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// # let pid = std::process::id();
    /// Handle::open()?.hand_over("eth1", pid, &"eth0".parse()?, true).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Handle::move_link`]; `Exists` when the name is taken there.
    pub async fn hand_over(&self, name: &str, pid: u32, to: &LinkName, up: bool) -> Result<()> {
        let link = self.existing(name).await?;
        if link.up {
            let _ = self.set_down(name).await?;
        }
        let message = LinkUnspec::new_with_index(link.index).name(to.as_str()).setns_by_pid(pid);
        let message = if up { message.up() } else { message }.build();
        match self.change(message, format!("move network interface {name} to process {pid}")).await {
            Err(error) if error.errno() == Some(errno::NO_PROCESS) => Err(Error::NoSuchProcess(pid)),
            Err(error) if error.errno() == Some(errno::EXISTS) => {
                Err(Error::Exists(format!("{to} in the namespace of process {pid}")))
            }
            other => other,
        }
    }

    /// Gives the link called `name` this hardware address and size, each where one is given.
    ///
    /// # Errors
    /// `NoSuchLink`; `Kernel`, as when it cannot have that size.
    pub async fn ensure_looks(&self, name: &str, mac: Option<Mac>, mtu: Option<u32>) -> Result<Done> {
        let link = self.existing(name).await?;
        let (mac, mtu) = (mac.filter(|mac| !link.has_mac(*mac)), mtu.filter(|mtu| *mtu != link.mtu));
        if mac.is_none() && mtu.is_none() {
            return Ok(Done::Already);
        }
        let mut message = LinkUnspec::new_with_index(link.index);
        if let Some(mac) = mac {
            message = message.address(mac.bytes().to_vec());
        }
        if let Some(mtu) = mtu {
            message = message.mtu(mtu);
        }
        self.change(message.build(), format!("change network interface {name}")).await?;
        Ok(Done::Changed)
    }

    /// The link called `name`, which has to exist.
    pub(crate) async fn existing(&self, name: &str) -> Result<Link> {
        self.link(name).await?.ok_or_else(|| Error::NoSuchLink(name.chars().take(32).collect()))
    }

    /// Sends a change of an existing link.
    pub(crate) async fn change(&self, message: LinkMessage, what: String) -> Result<()> {
        self.requests()?.link().change(message).execute().await.map_err(|e| Error::from_request(what, e))
    }
}
