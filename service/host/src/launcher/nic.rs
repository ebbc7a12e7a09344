//! Interfaces of containers: made where they are used, adapted, and removed or brought back.

use lxhost_engine::ports::{HostEnd, NicKind, NicSpec, Port};
use lxhost_model::device::nic::{Untagged, Vlans};
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_netlink::{Handle, Link, LinkName, Mac, PortVlans, Shared, Sharing, StaticRoute, Veth, VlanId};

use super::live::Live;
use super::record::{self, Lent, Made, What};
use super::{HostLauncher, inside};

/// How long the kernel may take to bring a link back whose namespace is gone.
const RETURN: std::time::Duration = std::time::Duration::from_secs(2);
/// Time between two looks whether it has let go of one.
const STEP: std::time::Duration = std::time::Duration::from_millis(5);

/// An error of netlink, which names the link.
pub(super) fn link_error(error: lxhost_netlink::Error) -> Error {
    use lxhost_netlink::Error as Said;
    let kind = match &error {
        Said::Exists(_) | Said::NoSuchLink(_) | Said::WrongKind { .. } | Said::Differs { .. } => Kind::Conflict,
        Said::InvalidName(_) | Said::InvalidMac(_) | Said::InvalidVlan(_) => Kind::InvalidConfig,
        Said::NoSuchProcess(_) => Kind::NotRunning,
        // EOPNOTSUPP: this kernel has no such links, or not with these properties.
        other if other.errno() == Some(95) => Kind::Unsupported,
        _ => Kind::Failed,
    };
    Error::new(kind, error.to_string())
}

fn parsed<T: std::str::FromStr<Err = lxhost_netlink::Error>>(text: &str) -> Result<T> {
    text.parse().map_err(link_error)
}

/// What `nic` is going to be, for the record.
pub(super) async fn about(netlink: &Handle, nic: &NicSpec) -> Result<Made> {
    let parent = match &nic.kind {
        NicKind::Physical { parent } => netlink.link(parent).await.map_err(link_error)?,
        _ => None,
    };
    Ok(Made::of(nic, parent.as_ref()))
}

/// Makes the interface for the process `pid`. On failure nothing is left.
pub(super) async fn make(netlink: &Handle, pid: u32, nic: &NicSpec) -> Result<()> {
    match &nic.kind {
        NicKind::Bridged(port) => {
            netlink.create_veth(&veth(pid, nic, &port.end, Some(&port.bridge))?).await.map_err(link_error)?;
            undo_unless(dress_port(netlink, port, true).await, netlink, &port.end).await
        }
        NicKind::Pair(end) => {
            netlink.create_veth(&veth(pid, nic, end, None)?).await.map_err(link_error)?;
            undo_unless(dress_end(netlink, end, &end.name, true).await, netlink, end).await
        }
        NicKind::Macvlan { parent, mode } => {
            let sharing = match mode.as_str() {
                "private" => Sharing::Private,
                "vepa" => Sharing::Vepa,
                "passthru" => Sharing::Passthrough,
                _ => Sharing::Bridge,
            };
            share(netlink, pid, &shared(nic, parent, sharing)?).await
        }
        NicKind::Ipvlan { parent, mode } => {
            let sharing = if mode == "l2" { Sharing::L2 } else { Sharing::L3Symmetric };
            share(netlink, pid, &shared(nic, parent, sharing)?).await
        }
        NicKind::Physical { parent } => {
            let mac = nic.mac.as_deref().map(parsed::<Mac>).transpose()?;
            let _ = netlink.ensure_looks(parent, mac, nic.mtu).await.map_err(link_error)?;
            netlink.hand_over(parent, pid, &parsed(&nic.name)?, true).await.map_err(link_error)
        }
    }
}

fn veth(pid: u32, nic: &NicSpec, end: &HostEnd, bridge: Option<&String>) -> Result<Veth> {
    Ok(Veth {
        pid,
        host_name: parsed(&end.name)?,
        bridge: bridge.map(|name| parsed(name)).transpose()?,
        guest_name: parsed(&nic.name)?,
        mac: parsed(nic.mac.as_deref().unwrap_or_default())?,
        mtu: nic.mtu,
    })
}

fn shared(nic: &NicSpec, parent: &str, sharing: Sharing) -> Result<Shared> {
    let mac = nic.mac.as_deref().map(parsed).transpose()?;
    Ok(Shared { name: parsed(&nic.name)?, parent: parsed(parent)?, sharing, mac, mtu: nic.mtu })
}

/// Makes the interface once the kernel has let go of that of a run before: it goes some time after its namespace, and
/// keeps its address from others until then.
async fn share(netlink: &Handle, pid: u32, shared: &Shared) -> Result<()> {
    let begin = tokio::time::Instant::now();
    loop {
        match netlink.create_shared_in(pid, shared).await {
            // EADDRINUSE
            Err(error) if error.errno() == Some(98) && begin.elapsed() < RETURN => tokio::time::sleep(STEP).await,
            made => return made.map_err(link_error),
        }
    }
}

async fn undo_unless(done: Result<()>, netlink: &Handle, end: &HostEnd) -> Result<()> {
    if done.is_err() {
        let _ = netlink.delete_link(&end.name).await;
    }
    done
}

/// What a port has beside being one. `new` ones have nothing yet.
async fn dress_port(netlink: &Handle, port: &Port, new: bool) -> Result<()> {
    let name = &port.end.name;
    if port.isolated || !new {
        let _ = netlink.ensure_isolation(name, port.isolated).await.map_err(link_error)?;
    }
    if port.vlans != Vlans::default() || !new {
        let bridge = netlink.link(&port.bridge).await.map_err(link_error)?;
        if let Some(bridge) = bridge.filter(Link::filters_vlans) {
            let _ = netlink.ensure_port_vlans(name, &port_vlans(&port.vlans, &bridge)?).await.map_err(link_error)?;
        }
    }
    dress_end(netlink, &port.end, &port.bridge, new).await
}

fn port_vlans(vlans: &Vlans, bridge: &Link) -> Result<PortVlans> {
    let id = |number: u16| VlanId::new(number).map_err(link_error);
    let untagged = match vlans.untagged {
        Untagged::Usual => bridge.default_vlan(),
        Untagged::None => None,
        Untagged::Is(number) => Some(id(number)?),
    };
    Ok(PortVlans { untagged, tagged: vlans.tagged.iter().map(|number| id(*number)).collect::<Result<_>>()? })
}

/// Addresses, and routes by the link `by`.
async fn dress_end(netlink: &Handle, end: &HostEnd, by: &str, new: bool) -> Result<()> {
    if !end.addresses.is_empty() {
        let _ = netlink.ensure_addresses(&end.name, &end.addresses).await.map_err(link_error)?;
    }
    for (net, table) in &end.routes {
        let route = StaticRoute { table: *table, ..StaticRoute::new(*net, parsed(by)?) };
        let _ = netlink.ensure_route(&route).await.map_err(link_error)?;
    }
    super::rates::apply(end, new).await
}

/// Has an interface that is there be as `nic` says.
async fn adapt(netlink: &Handle, nic: &NicSpec) -> Result<()> {
    match &nic.kind {
        NicKind::Bridged(port) => {
            let _ = netlink.ensure_port(&port.end.name, &port.bridge).await.map_err(link_error)?;
            let _ = netlink.set_up(&port.end.name).await.map_err(link_error)?;
            dress_port(netlink, port, false).await
        }
        NicKind::Pair(end) => {
            let _ = netlink.set_up(&end.name).await.map_err(link_error)?;
            dress_end(netlink, end, &end.name, false).await
        }
        NicKind::Macvlan { .. } | NicKind::Ipvlan { .. } | NicKind::Physical { .. } => Ok(()),
    }
}

/// Whether a link of the host is the end of this interface.
fn is_end(link: &Link, nic: &NicSpec) -> bool {
    let mac = nic.mac.as_deref().and_then(|mac| mac.parse::<Mac>().ok());
    link.kind.as_deref() == Some("veth") && mac.is_some_and(|mac| link.has_mac(mac.host_end()))
}

impl HostLauncher {
    /// Gives a running container an interface.
    pub(super) async fn plug_in(&self, id: ObjectId, nic: &NicSpec) -> Result<()> {
        let live = self.table.get(id)?;
        let dir = self.runtime_dir(id);
        let mut made = record::read(&dir);
        let known = made.iter().position(|made| made.name == nic.name);
        let there = match (known, nic.host_end()) {
            (None, _) => false,
            (Some(_), Some(end)) => {
                self.netlink.link(&end.name).await.map_err(link_error)?.is_some_and(|link| is_end(&link, nic))
            }
            (Some(_), None) => live.guest().await?.link_exists(&nic.name).await.map_err(link_error)?,
        };
        if !there && self.is_taken(&live, &nic.name).await? {
            return Err(Error::new(Kind::Conflict, format!("the guest has an interface {} of its own", nic.name)));
        }
        let new = about(&self.netlink, nic).await?;
        match known.and_then(|at| made.get_mut(at)) {
            // How a lent link was before is not to be seen any more.
            Some(noted) if there && matches!(noted.what, What::Physical(_)) => {}
            Some(noted) => {
                remove_old_routes(&self.netlink, noted, &new).await?;
                *noted = new;
            }
            None => made.push(new),
        }
        record::write(&dir, &made)?;
        let done = async {
            if there {
                adapt(&self.netlink, nic).await?
            } else {
                make(&self.netlink, live.leader, nic).await?
            }
            inside::configure(&live, nic).await
        };
        let done = done.await;
        if done.is_err() && !there {
            // It was not there before.
            if let Err(error) = self.unplug_from(id, &nic.name).await {
                tracing::warn!(LXHOST_INSTANCE = %live.machine, "after a failed plug: {error}");
            }
        }
        done
    }

    /// Whether a container has a link of this name, asked for where the kernel does not tell its names from the host's.
    async fn is_taken(&self, live: &Live, name: &str) -> Result<bool> {
        let here = self.netlink.link_exists(name).await.map_err(link_error)?;
        Ok(here && live.guest().await?.link_exists(name).await.map_err(link_error)?)
    }

    /// Takes an interface away; its own error is kept from nobody.
    pub(super) async fn unplug_from(&self, id: ObjectId, name: &str) -> Result<()> {
        let dir = self.runtime_dir(id);
        let mut made = record::read(&dir);
        let Some(at) = made.iter().position(|made| made.name == name) else { return Ok(()) };
        let going = made.remove(at);
        let live = self.table.get(id).ok();
        let guest = match (&live, &going.what) {
            (Some(live), What::Inside | What::Physical(_)) => Some(live.guest().await?),
            _ => None,
        };
        match (&going.what, guest) {
            (What::Inside, Some(guest)) => drop(guest.delete_link(name).await.map_err(link_error)?),
            _ => cut_one(&self.netlink, &going, guest).await?,
        }
        record::write(&dir, &made)
    }
}

async fn remove_old_routes(netlink: &Handle, old: &Made, new: &Made) -> Result<()> {
    let kept = record::routes_by_bridge(new);
    for route in record::routes_by_bridge(old).into_iter().filter(|route| !kept.contains(route)) {
        remove_route(netlink, route).await?;
    }
    Ok(())
}

async fn remove_route(netlink: &Handle, (bridge, net, table): (String, ipnet::IpNet, Option<u32>)) -> Result<()> {
    let route = StaticRoute { table, ..StaticRoute::new(net, parsed(&bridge)?) };
    match netlink.remove_route(&route).await {
        // The bridge is gone, and its routes with it.
        Ok(_) | Err(lxhost_netlink::Error::NoSuchLink(_)) => Ok(()),
        Err(error) => Err(link_error(error)),
    }
}

/// Removes what of an interface is outside of the container; a lent link is brought back. `guest` is its namespace, if
/// that is still there.
pub(super) async fn cut_one(netlink: &Handle, made: &Made, guest: Option<&Handle>) -> Result<()> {
    match &made.what {
        What::Pair { host, mac, .. } => {
            for route in record::routes_by_bridge(made) {
                remove_route(netlink, route).await?;
            }
            delete_end(netlink, host, mac).await
        }
        What::Inside => Ok(()),
        What::Physical(lent) => bring_back(netlink, &made.name, lent, guest).await,
    }
}

/// Removes the host's end of a pair. A link of that name that is something else was there before.
async fn delete_end(netlink: &Handle, host: &str, mac: &str) -> Result<()> {
    let Some(link) = netlink.link(host).await.map_err(link_error)? else { return Ok(()) };
    let ours = mac.parse::<Mac>().map_or(mac == "-", |mac| link.has_mac(mac.host_end()));
    if link.kind.as_deref() != Some("veth") || !ours {
        return Ok(());
    }
    netlink.delete_link(host).await.map(drop).map_err(link_error)
}

/// A link of the host is the host's again, under its name and as it was.
async fn bring_back(netlink: &Handle, name: &str, lent: &Lent, guest: Option<&Handle>) -> Result<()> {
    let home: LinkName = parsed(&lent.host)?;
    if netlink.link_exists(home.as_str()).await.map_err(link_error)? {
        return Ok(());
    }
    let mac = lent.mac.parse::<Mac>().ok();
    if let Some(guest) = guest {
        // A guest may give its links other names.
        let links = guest.links().await.map_err(link_error)?;
        let by_mac = |link: &&Link| mac.is_some_and(|mac| link.has_mac(mac));
        if let Some(link) = links.iter().find(|link| link.name == name).or_else(|| links.iter().find(by_mac)) {
            guest.hand_over(&link.name, std::process::id(), &home, false).await.map_err(link_error)?;
        }
    } else {
        // The kernel gives hardware back when the namespace is gone, under the name it had there.
        let begin = tokio::time::Instant::now();
        while begin.elapsed() < RETURN {
            let links = netlink.links().await.map_err(link_error)?;
            let returned = links.iter().find(|link| link.kind.is_none() && mac.is_some_and(|mac| link.has_mac(mac)));
            if let Some(link) = returned {
                let _ = netlink.set_down(&link.name).await.map_err(link_error)?;
                let _ = netlink.rename_link(&link.name, &home).await.map_err(link_error)?;
                break;
            }
            tokio::time::sleep(RETURN / 40).await;
        }
    }
    let mtu = (lent.mtu > 0).then_some(lent.mtu);
    match netlink.ensure_looks(home.as_str(), lent.own_mac.parse().ok(), mtu).await {
        Ok(_) if lent.up => netlink.set_up(home.as_str()).await.map(drop).map_err(link_error),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::failed(format!("{home} did not come back: {error}"))),
    }
}
