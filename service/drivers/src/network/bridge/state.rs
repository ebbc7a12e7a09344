//! How a bridge stands on the host, and what of it is not as it has to be. Changes nothing.

use super::choose::Use;
use super::settings::Settings;
use super::{BridgeNetworks, link, outside, subnet};
use crate::network::{described, footing, from_netlink};
use ipnet::IpNet;
use lxhost_engine::ports::NetworkState;
use lxhost_model::{Network, ObjectId, Result};
use lxhost_netlink::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl BridgeNetworks {
    /// The state of a network, in words of the port.
    pub(super) async fn look(&self, network: &Network, others: &[Arc<Network>]) -> Result<NetworkState> {
        let settings = Settings::read(network)?;
        let interface = settings.interface.to_string();
        let link = match self.our_link(network).await {
            Ok(Some(link)) => link,
            Ok(None) => {
                let warnings = vec![format!("interface {interface} is gone; systemctl reload lxhostd brings it back")];
                return Ok(NetworkState { interface, warnings, ..NetworkState::default() });
            }
            Err(theirs) => {
                return Ok(NetworkState { interface, warnings: vec![theirs.message], ..NetworkState::default() });
            }
        };
        let links = self.on.links.links().await.map_err(from_netlink)?;
        let addresses = self.on.links.addresses().await.map_err(from_netlink)?;
        let outside = outside::names(network);
        let through: BTreeSet<String> = outside.iter().chain([&interface]).cloned().collect();
        let default_route = footing::carries_default(&self.on.links, &through).await?;
        let ports = links.iter().filter(|port| port.controller == Some(link.index)).map(|port| port.name.clone()).collect();
        let mut warnings = self.overlaps(network, &settings, others).await?;
        warnings.extend(self.unjoined(&settings, &link).await?);
        if settings.serves() && !self.is_serving(&settings).await? {
            warnings.push(format!("DHCP and DNS do not answer: systemctl status lxhost-dnsmasq@{interface} says why"));
        }
        let up = self.is_up_as(&settings, &link).await?;
        Ok(NetworkState { up, ports, warnings, outside, default_route, ..described(&link, &addresses) })
    }

    /// Whether the link and what belongs to it are as the record says.
    pub(super) async fn is_up_as(&self, settings: &Settings, link: &Link) -> Result<bool> {
        let served = !settings.serves() || self.is_serving(settings).await?;
        let addresses = self.on.links.addresses().await.map_err(from_netlink)?;
        let has = |net: IpNet| addresses.iter().any(|address| address.link == link.index && address.net == net);
        let whole = link::addresses(settings).into_iter().all(has);
        Ok(link.up && whole && served && self.has_outside(settings, link).await?)
    }

    /// Subnets of the network that somebody else uses by now, such as a VPN that came later.
    pub(in crate::network) async fn overlaps(
        &self,
        network: &Network,
        settings: &Settings,
        others: &[Arc<Network>],
    ) -> Result<Vec<String>> {
        let own = self.our_link(network).await?.map(|link| link.index);
        Ok(overlapping(network, settings, own, &self.uses(others).await?))
    }

    /// The same of all bridges among the networks; the host is looked at once.
    pub(in crate::network) async fn all_overlaps(&self, networks: &[Arc<Network>]) -> Result<BTreeMap<ObjectId, Vec<String>>> {
        let uses = self.uses(networks).await?;
        let mut found = BTreeMap::new();
        for network in networks.iter().filter(|network| super::KINDS.contains(&network.kind.as_str())) {
            // What is wrong with one that cannot be read, or has no link of its own, is said elsewhere.
            if let (Ok(settings), Ok(link)) = (Settings::read(network), self.our_link(network).await) {
                found.insert(network.id, overlapping(network, &settings, link.map(|link| link.index), &uses));
            }
        }
        Ok(found)
    }
}

/// Sentences about those subnets of a network that others use.
fn overlapping(network: &Network, settings: &Settings, own: Option<u32>, uses: &[Use]) -> Vec<String> {
    let given = settings.ipv4.iter().map(|v| IpNet::V4(v.address));
    let nets = given.chain(settings.ipv6.iter().map(|v| IpNet::V6(v.address))).chain(settings.routes());
    let clash = |net| subnet::check_given(net, Use::in_the_way(uses, network.id, own)).err();
    nets.filter_map(clash).map(|error| error.message).collect()
}
