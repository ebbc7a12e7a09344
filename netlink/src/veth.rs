//! Pairs of links whose other end is born inside a namespace.

use crate::born::born;
use crate::error::errno;
use crate::{Error, Handle, LinkName, Mac, Result};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

/// A pair: one end here, a port of a bridge or alone; the other in the network namespace of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veth {
    /// Process in whose namespace the other end is born.
    pub pid: u32,
    /// Name of the end here.
    pub host_name: LinkName,
    /// Bridge that the end here joins.
    pub bridge: Option<LinkName>,
    /// Name of the other end, inside.
    pub guest_name: LinkName,
    /// Hardware address of the other end; the one here gets [`Mac::host_end`] of it.
    pub mac: Mac,
    /// Largest packet of both ends, bytes; `None` takes the bridge's, else 1500.
    pub mtu: Option<u32>,
}

/// Largest packet where nothing else says one.
const ETHERNET: u32 = 1500;

impl Handle {
    /// As [`Handle::create_veth`], from text.
    ///
    /// # Errors
    /// Those of `create_veth`; `InvalidName`, `InvalidMac`.
    pub async fn veth_into(
        &self,
        pid: u32,
        host_name: &str,
        bridge: &str,
        guest_name: &str,
        mac: &str,
        mtu: Option<u32>,
    ) -> Result<()> {
        let veth = Veth {
            pid,
            host_name: host_name.parse()?,
            bridge: Some(bridge.parse()?),
            guest_name: guest_name.parse()?,
            mac: mac.parse()?,
            mtu,
        };
        self.create_veth(&veth).await
    }

    /// Makes the pair, both ends up, the near end in its bridge if it has one: 1 ms, where making it here and
    /// moving one end waits 16 ms for an RCU grace period. On failure nothing is left.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Handle, Veth};
    /// # let pid = std::process::id();
    /// let veth = Veth {
    ///     pid,
    ///     host_name: "veth0".parse()?,
    ///     bridge: Some("br0".parse()?),
    ///     guest_name: "eth0".parse()?,
    ///     mac: "0a:00:00:00:00:02".parse()?,
    ///     mtu: None,
    /// };
    /// Handle::open()?.create_veth(&veth).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Exists` when either name is taken, `NoSuchLink` for the bridge, `NoSuchProcess`, `Kernel`.
    pub async fn create_veth(&self, veth: &Veth) -> Result<()> {
        let bridge = match &veth.bridge {
            Some(bridge) => Some(self.existing(bridge.as_str()).await?),
            None => None,
        };
        let mtu = veth.mtu.or(bridge.as_ref().map(|bridge| bridge.mtu)).unwrap_or(ETHERNET);
        match self.request_pair(veth, mtu, &veth.guest_name, Some(veth.pid)).await {
            Err(error) if error.errno() == Some(errno::EXISTS) => self.pair_born_here(veth, mtu).await?,
            Err(error) if error.errno() == Some(errno::NO_PROCESS) => return Err(Error::NoSuchProcess(veth.pid)),
            asked => asked?,
        }
        let near = LinkUnspec::new_with_name(veth.host_name.as_str()).up();
        let (near, what) = match &bridge {
            Some(bridge) => (near.controller(bridge.index), format!("add {} to bridge {}", veth.host_name, bridge.name)),
            None => (near, format!("set network interface {} up", veth.host_name)),
        };
        let joined = self.change(near.build(), what).await;
        if joined.is_err() {
            let _ = self.delete_link(veth.host_name.as_str()).await;
        }
        joined.map_err(|error| match (error, bridge) {
            (error, Some(bridge)) if error.errno() == Some(errno::FULL) => Error::BridgeFull(bridge.name),
            (error, _) => error,
        })
    }

    /// Asks for the two ends, the far one called `far`, in the namespace of a process (and up) or here.
    async fn request_pair(&self, veth: &Veth, mtu: u32, far: &LinkName, pid: Option<u32>) -> Result<()> {
        // The kernel opens the end that VETH_INFO_PEER describes before the two are tied together
        // (veth_open: ENOTCONN) and ignores IFLA_MASTER there. So the far end is the one the message
        // is about, and the near end is opened and joined by a second message.
        let near = LinkMessageBuilder::<LinkUnspec>::new()
            .name(veth.host_name.as_str())
            .address(veth.mac.host_end().bytes().to_vec())
            .mtu(mtu)
            .build();
        let far = LinkMessageBuilder::<LinkVeth>::new(far.as_str(), veth.host_name.as_str())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(near)))
            .address(veth.mac.bytes().to_vec())
            .mtu(mtu);
        let asked = self.requests()?.link().add(born(far, pid)).execute().await;
        let what = || format!("create network interface {} for process {}", veth.host_name, veth.pid);
        asked.map_err(|error| Error::from_request(what(), error))
    }

    /// The pair of which one name is taken, here or there.
    async fn pair_born_here(&self, veth: &Veth, mtu: u32) -> Result<()> {
        if self.link_exists(veth.host_name.as_str()).await? {
            return Err(Error::Exists(veth.host_name.to_string()));
        }
        let make = async |far: &LinkName| self.request_pair(veth, mtu, far, None).await;
        let made = self.born_here(&veth.guest_name, veth.pid, make).await;
        if made.is_err() {
            // Wherever the far end is now.
            let _ = self.delete_link(veth.host_name.as_str()).await;
        }
        made
    }
}
