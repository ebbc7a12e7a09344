//! `bridged`: a pair of which the host's end is a port of any bridge of the host.

use super::{from_netlink, host_end, parent};
use crate::network::spoof::{Guard, Guards, Senders};
use async_trait::async_trait;
use ipnet::IpNet;
use lxhost_engine::ports::{Inside, NicDriver, NicKind, NicPlan, NicSpec, Port};
use lxhost_model::device::nic::Family;
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::{Handle, Link};

/// Interfaces on bridges that are not managed here.
pub(super) struct Bridged {
    links: Handle,
    guards: Guards,
}

impl Bridged {
    pub(super) fn new(links: Handle, guards: Guards) -> Self {
        Bridged { links, guards }
    }

    /// Fixed addresses with the prefix that the key gives, else that of the bridge's own net. No DHCP server of ours is
    /// there to give them.
    async fn addresses(&self, plan: &NicPlan, bridge: &Link) -> Result<Vec<IpNet>> {
        let wanted: Vec<IpNet> = plan.nic.ipv4.addresses.iter().chain(&plan.nic.ipv6.addresses).copied().collect();
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let known = self.links.addresses().await.map_err(from_netlink)?;
        let complete = |net: IpNet| {
            if net.prefix_len() < net.max_prefix_len() {
                return Ok(net);
            }
            let own = known.iter().filter(|known| known.link == bridge.index && known.net.contains(&net.addr()));
            let found = own.map(|known| known.net.prefix_len()).next().and_then(|length| IpNet::new(net.addr(), length).ok());
            let why =
                || format!("{}: {} has no net with it; give it a prefix, such as {}/24", net.addr(), bridge.name, net.addr());
            found.ok_or_else(|| Error::new(Kind::InvalidConfig, why()))
        };
        wanted.into_iter().map(complete).collect()
    }
}

#[async_trait]
impl NicDriver for Bridged {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        let bridge = parent::link(&self.links, plan).await?;
        if bridge.kind.as_deref() != Some("bridge") {
            let what = bridge.kind.as_deref().unwrap_or("physical interface");
            let hint = "nictype macvlan shares a link that is none";
            return Err(Error::new(Kind::Conflict, format!("parent: {} is a {what}, not a bridge; {hint}", bridge.name)));
        }
        refuse_vlans(plan, &bridge)?;
        let port =
            Port { end: host_end(plan), bridge: bridge.name.clone(), isolated: plan.nic.isolated, vlans: plan.nic.vlans.clone() };
        let addresses = self.addresses(plan, &bridge).await?;
        Ok(NicSpec { inside: Inside { addresses, ..Inside::default() }, ..NicSpec::new(plan, NicKind::Bridged(port)) })
    }

    async fn guard(&self, plan: &NicPlan) -> Result<()> {
        self.guards.put(&file_name(plan), &guard(plan)).await
    }

    async fn detach(&self, plan: &NicPlan) -> Result<()> {
        self.guards.remove(&file_name(plan)).await
    }
}

fn file_name(plan: &NicPlan) -> String {
    format!("{}.{}", plan.instance, plan.name)
}

/// Nothing is known of such a bridge: a guest is kept from what is asked for, and has the addresses that its keys give.
pub(crate) fn guard(plan: &NicPlan) -> Guard {
    let filter = plan.nic.filter;
    let senders = |wanted: Option<bool>, family: &Family| match wanted {
        Some(true) => {
            let own = family.addresses.iter().map(|net| IpNet::from(net.addr())).chain(family.routes.iter().copied());
            Senders::Only(own.collect())
        }
        _ => Senders::Any,
    };
    let mac = filter.mac.unwrap_or(filter.ipv4 == Some(true) || filter.ipv6 == Some(true));
    Guard {
        port: host_end(plan).name,
        mac: mac.then(|| plan.mac.clone()),
        vlans: plan.nic.vlans.tagged.clone(),
        ipv4: senders(filter.ipv4, &plan.nic.ipv4),
        ipv6: senders(filter.ipv6, &plan.nic.ipv6),
    }
}

/// VLANs need a bridge that tells them apart. This one is not ours to change.
fn refuse_vlans(plan: &NicPlan, bridge: &Link) -> Result<()> {
    if plan.nic.vlans == lxhost_model::device::nic::Vlans::default() || bridge.filters_vlans() {
        return Ok(());
    }
    let what = format!("vlan: bridge {} does not tell VLANs apart; ip link set {0} type bridge vlan_filtering 1", bridge.name);
    Err(Error::new(Kind::Conflict, what))
}
