//! Links with a hardware address or an address of their own on another link: macvlan and ipvlan.

use crate::born::born;
use crate::error::errno;
use crate::wanted::Wanted;
use crate::{Done, Error, Handle, LinkName, Mac, Result};
use rtnetlink::packet_route::link::{InfoData, InfoIpVlan, InfoMacVlan, IpVlanMode, LinkMessage, MacVlanMode};
use rtnetlink::{LinkIpVlan, LinkMacVlan, LinkMessageBuilder};

/// How links on one parent share it (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// macvlan that reaches its siblings, not the parent's host.
    Bridge,
    /// macvlan that reaches neither.
    Private,
    /// macvlan whose frames to siblings go through the switch behind the parent (802.1Qbg).
    Vepa,
    /// macvlan that takes the parent over.
    Passthrough,
    /// ipvlan: the parent's hardware address; told apart by IP address, broadcasts included.
    L2,
    /// ipvlan as a router in the parent's namespace, without broadcasts.
    L3,
    /// As `L3`, through the parent's connection tracking.
    L3Symmetric,
}

impl Sharing {
    fn macvlan(self) -> Option<MacVlanMode> {
        match self {
            Sharing::Bridge => Some(MacVlanMode::Bridge),
            Sharing::Private => Some(MacVlanMode::Private),
            Sharing::Vepa => Some(MacVlanMode::Vepa),
            Sharing::Passthrough => Some(MacVlanMode::Passthrough),
            Sharing::L2 | Sharing::L3 | Sharing::L3Symmetric => None,
        }
    }

    fn ipvlan(self) -> IpVlanMode {
        match self {
            Sharing::L3 => IpVlanMode::L3,
            Sharing::L3Symmetric => IpVlanMode::L3S,
            _ => IpVlanMode::L2,
        }
    }

    /// Kind of link, as the kernel calls it.
    pub fn kind(self) -> &'static str {
        if self.macvlan().is_some() { "macvlan" } else { "ipvlan" }
    }
}

/// A link that shares its parent with others, as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Name.
    pub name: LinkName,
    /// Link that is shared.
    pub parent: LinkName,
    /// How.
    pub sharing: Sharing,
    /// Hardware address of a macvlan; `None` leaves the choice to the kernel. An ipvlan has its parent's.
    pub mac: Option<Mac>,
    /// Largest packet in bytes; `None` takes the parent's.
    pub mtu: Option<u32>,
}

impl Shared {
    fn wanted(&self) -> Wanted<'_> {
        let mac = self.mac.filter(|_| self.sharing.macvlan().is_some());
        Wanted { name: &self.name, kind: self.sharing.kind(), mac, mtu: self.mtu }
    }

    /// The request that makes it, here or (then up at once) in the namespace of a process.
    fn create(&self, name: &LinkName, parent: u32, pid: Option<u32>) -> LinkMessage {
        let name = name.as_str();
        match self.sharing.macvlan() {
            Some(mode) => born(self.wanted().on(LinkMessageBuilder::<LinkMacVlan>::new(name)).mode(mode).link(parent), pid),
            None => {
                let message = self.wanted().on(LinkMessageBuilder::<LinkIpVlan>::new(name));
                born(message.mode(self.sharing.ipvlan()).link(parent), pid)
            }
        }
    }
}

impl Handle {
    /// Makes the macvlan or ipvlan (still down) or adapts the one that exists.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Handle, Shared, Sharing};
    /// let (name, parent) = ("mac0".parse()?, "eth0".parse()?);
    /// let shared = Shared { name, parent, sharing: Sharing::Bridge, mac: None, mtu: None };
    /// let _ = Handle::open()?.ensure_shared(&shared).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NoSuchLink` for the parent; `WrongKind` and `Differs` when the name belongs to something else, or to a link
    /// on another parent or that shares it otherwise; `Kernel`, as when the parent is taken over already.
    pub async fn ensure_shared(&self, shared: &Shared) -> Result<Done> {
        let parent = self.existing(shared.parent.as_str()).await?;
        self.ensure_link(&shared.wanted(), shared.create(&shared.name, parent.index, None), |link| {
            let same = match (&link.data, shared.sharing.macvlan()) {
                (Some(InfoData::MacVlan(infos)), Some(mode)) => infos.contains(&InfoMacVlan::Mode(mode)),
                (Some(InfoData::IpVlan(infos)), None) => infos.contains(&InfoIpVlan::Mode(shared.sharing.ipvlan())),
                _ => false,
            };
            match () {
                () if link.parent != Some(parent.index) => Some("parent"),
                () if !same => Some("way of sharing it"),
                () => None,
            }
        })
        .await
    }

    /// Makes the link in the network namespace of a process, up: that is where it is used.
    ///
    /// # Errors
    /// `NoSuchLink` for the parent, `Exists` when the name is taken there, `NoSuchProcess`, `Kernel`. When it is taken
    /// here, too, a Linux before 6.13 leaves the link there under a name that means nothing.
    pub async fn create_shared_in(&self, pid: u32, shared: &Shared) -> Result<()> {
        let parent = self.existing(shared.parent.as_str()).await?;
        match self.create_link(&shared.wanted(), shared.create(&shared.name, parent.index, Some(pid))).await {
            Err(error) if error.errno() == Some(errno::NO_PROCESS) => Err(Error::NoSuchProcess(pid)),
            Err(Error::Exists(_)) => {
                let make = async |name: &LinkName| {
                    self.create_link(&Wanted { name, ..shared.wanted() }, shared.create(name, parent.index, None)).await
                };
                self.born_here(&shared.name, pid, make).await
            }
            made => made,
        }
    }
}
