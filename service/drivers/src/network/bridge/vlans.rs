//! VLANs on a managed bridge. The network itself is in the first, where the host is, and where DHCP and the other
//! guests are. A bridge tells VLANs apart from the first guest on that asks for one; then ports that lead outside go on
//! to carry the frames of all. Of another VLAN nothing is known here. Called by the driver; depends on netlink.

use super::BridgeNetworks;
use super::settings::Settings;
use crate::device;
use crate::network::from_netlink;
use crate::network::spoof::{Guard, Senders};
use ipnet::IpNet;
use lxhost_engine::ports::{Inside, NicPlan};
use lxhost_model::{Error, Kind, Network, Result};
use lxhost_netlink::{Bridge, PortVlans, VlanId};

/// The network's own VLAN: the one that the kernel's bridges begin with.
const OWN: u16 = 1;
/// The last there is.
const LAST: u16 = 4094;

impl BridgeNetworks {
    /// Has the bridge tell VLANs apart.
    ///
    /// # Errors
    /// `Unsupported` where the kernel's bridges know no VLANs.
    pub(super) async fn tell_apart(&self, network: &Network, settings: &Settings) -> Result<()> {
        let _alone = self.changes.lock().await;
        let Some(link) = self.our_link(network).await? else { return Ok(()) };
        if link.filters_vlans() {
            return Ok(());
        }
        self.carry_all(settings).await?;
        let bridge = Bridge::new(settings.interface.clone(), settings.mac);
        let bridge = Bridge { mtu: settings.mtu, vlan_filtering: true, ..bridge };
        let _ = self.on.links.ensure_bridge(&bridge).await.map_err(from_netlink)?;
        Ok(())
    }

    /// Has the ports that lead outside carry the frames of every VLAN, as they do on a bridge that looks at no tags.
    pub(super) async fn carry_all(&self, settings: &Settings) -> Result<()> {
        let id = |number| VlanId::new(number).map_err(from_netlink);
        let tagged = (OWN + 1..=LAST).map(id).collect::<Result<_>>()?;
        let all = PortVlans { untagged: Some(id(OWN)?), tagged };
        let links = self.on.links.links().await.map_err(from_netlink)?;
        let bridge = links.iter().find(|link| link.name == settings.interface.as_str()).map(|link| link.index);
        let outside = settings.externals.iter().map(|e| &e.name).chain(settings.tunnels.iter().map(|t| &t.name));
        for name in outside {
            let joined = links.iter().any(|l| l.name == name.as_str() && l.controller.is_some() && l.controller == bridge);
            if joined {
                let _ = self.on.links.ensure_port_vlans(name.as_str(), &all).await.map_err(from_netlink)?;
            }
        }
        Ok(())
    }
}

/// What an interface in another VLAN has inside: the addresses of its keys, for the network gives out none there.
pub(super) fn inside(nic: &NicPlan) -> Result<Inside> {
    let addresses: Vec<IpNet> = nic.nic.ipv4.addresses.iter().chain(&nic.nic.ipv6.addresses).copied().collect();
    match addresses.iter().find(|net| net.prefix_len() == net.max_prefix_len()) {
        None => Ok(Inside { addresses, ..Inside::default() }),
        Some(bare) => {
            let address = bare.addr();
            let what = format!("{address}: the network is not in that VLAN; give it a prefix, such as {address}/24");
            Err(Error::new(Kind::InvalidConfig, what))
        }
    }
}

/// The guard of an interface in another VLAN: its own hardware address, no answers of a DHCP server or router, and
/// any IP address unless its keys say so.
pub(super) fn guard(nic: &NicPlan) -> Guard {
    let (bare, filter) = (device::bare_guard(nic), nic.nic.filter);
    let mac = filter.mac.unwrap_or(true);
    let usual = |senders: Senders, wanted: Option<bool>| match senders {
        Senders::Any if mac && wanted != Some(false) => Senders::But(vec![]),
        senders => senders,
    };
    Guard { mac: mac.then(|| nic.mac.clone()), ipv4: usual(bare.ipv4, filter.ipv4), ipv6: usual(bare.ipv6, filter.ipv6), ..bare }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::plan_of;

    fn in_vlan(keys: &[(&str, &str)]) -> NicPlan {
        plan_of(&[&[("network", "lxbr0"), ("vlan", "100")], keys].concat())
    }

    #[test]
    fn in_another_vlan_a_guest_has_one_mac_and_any_address_and_gives_out_none() {
        let guard = guard(&in_vlan(&[("vlan.tagged", "200-202")]));
        assert_eq!(guard.mac.as_deref(), Some("00:16:3e:01:02:03"));
        assert_eq!((guard.ipv4, guard.ipv6), (Senders::But(vec![]), Senders::But(vec![])));
        assert_eq!(guard.vlans, [200, 201, 202]);
    }

    #[test]
    fn its_filters_are_opened_and_tightened_by_their_keys() {
        assert!(guard(&in_vlan(&[("security.mac_filtering", "false")])).is_open());
        let strict = guard(&in_vlan(&[("security.ipv4_filtering", "true"), ("ipv4.address", "10.9.0.5/24")]));
        assert_eq!(strict.ipv4, Senders::Only(vec!["10.9.0.5/32".parse().unwrap()]));
    }

    #[test]
    fn an_address_in_another_vlan_says_its_net() {
        let given = inside(&in_vlan(&[("ipv4.address", "10.9.0.5/24")])).unwrap();
        assert_eq!(given.addresses, ["10.9.0.5/24".parse::<IpNet>().unwrap()]);
        let error = inside(&in_vlan(&[("ipv4.address", "10.9.0.5")])).unwrap_err();
        assert!(error.kind == Kind::InvalidConfig && error.message.contains("10.9.0.5/24"), "{error}");
    }

    #[test]
    fn the_first_vlan_is_the_networks_own() {
        for (word, elsewhere) in [("1", false), ("2", true), ("none", true), ("", false)] {
            let plan = plan_of(&[("network", "lxbr0"), ("vlan", word)]);
            assert_eq!(plan.nic.vlans.elsewhere(), elsewhere, "{word}");
        }
    }
}
