//! What a guest of a managed bridge may send: by default its own hardware address, the IPv4 address that is chosen for
//! it here, and no IPv6 address of the host's. Depends on `spoof`, which knows how that is made so.

use super::entry::{Entry, slaac};
use super::serve::{MAX_ENTRY, MAX_LEASES, entries, read_small};
use super::settings::Settings;
use super::{BridgeNetworks, leases, vlans};
use crate::device;
use crate::network::spoof::{Guard, Senders};
use ipnet::IpNet;
use lxhost_engine::ports::NicPlan;
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::Mac;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where addresses are that hold on one link.
pub(super) const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// IPv4 addresses that are kept for somebody, by network interface and file.
pub(super) type Kept = BTreeMap<String, BTreeMap<String, Ipv4Addr>>;

/// Name of an interface's guard: as `Entry::file_name`.
fn file_name(nic: &NicPlan) -> String {
    format!("{}.{}", nic.instance, nic.name)
}

/// Whether hardware and IPv4 addresses are filtered, and IPv6 addresses strictly (`None`: as far as all guests bear it).
fn wanted(nic: &NicPlan) -> (bool, bool, Option<bool>) {
    let filter = nic.nic.filter;
    let mac = filter.mac.unwrap_or(true);
    (mac, filter.ipv4.unwrap_or(mac), filter.ipv6.or((!mac).then_some(false)))
}

impl BridgeNetworks {
    /// Announces an interface with an address that is chosen now, where one is needed to tell right from wrong.
    pub(super) async fn announce_guarded(&self, settings: &Settings, entry: &mut Entry, nic: &NicPlan) -> Result<()> {
        let ranges = settings.ipv4.as_ref().filter(|v| v.dhcp).map(|v| v.ranges.clone());
        let interface = settings.interface.as_str();
        let mut kept = self.kept.lock().await;
        if !kept.contains_key(interface) {
            let known = entries(&self.files(interface))?;
            let known = known.iter().filter_map(|entry| Some((entry.file_name(), entry.ipv4?)));
            kept.insert(interface.to_owned(), known.collect());
        }
        let kept = kept.entry(interface.to_owned()).or_default();
        let (_, ipv4, _) = wanted(nic);
        if let Some(ranges) = ranges.filter(|_| ipv4 && entry.ipv4.is_none() && !nic.nic.ipv4.none) {
            entry.ipv4 = Some(self.choose_address(settings, &ranges, entry, kept)?);
            entry.chosen = true;
        }
        self.announce(settings, entry).await?;
        match entry.ipv4 {
            Some(address) => kept.insert(entry.file_name(), address),
            None => kept.remove(&entry.file_name()),
        };
        Ok(())
    }

    /// The address that the guest has, had, or would be given by chance: a place in the ranges that its hardware address
    /// says, so that it is the same at the next start.
    fn choose_address(
        &self,
        settings: &Settings,
        ranges: &[(Ipv4Addr, Ipv4Addr)],
        entry: &Entry,
        kept: &BTreeMap<String, Ipv4Addr>,
    ) -> Result<Ipv4Addr> {
        let (interface, name) = (settings.interface.as_str(), entry.file_name());
        if let Some(address) = kept.get(&name) {
            return Ok(*address);
        }
        let leased = leases::read(&read_small(&self.files(interface).leases(), MAX_LEASES)?.unwrap_or_default());
        let own = entry.mac.to_string();
        let mut taken: std::collections::BTreeSet<Ipv4Addr> = kept.values().copied().collect();
        taken.extend(settings.ipv4.as_ref().map(|v| v.address.addr()));
        let mut had = None;
        for line in &leased {
            match line.address {
                IpAddr::V4(address) if line.holder == own => had = Some(address),
                IpAddr::V4(address) => drop(taken.insert(address)),
                IpAddr::V6(_) => {}
            }
        }
        let within = |address: &Ipv4Addr| ranges.iter().any(|(first, last)| first <= address && address <= last);
        if let Some(had) = had.filter(|had| !taken.contains(had) && within(had)) {
            return Ok(had);
        }
        free(ranges, entry.mac, &taken).ok_or_else(|| {
            Error::new(
                Kind::Conflict,
                format!("all addresses of its DHCP are taken; make ipv4.dhcp.ranges or the subnet of {interface} larger"),
            )
        })
    }

    /// Addresses of interfaces that are gone may be chosen again.
    pub(super) async fn give_back(&self, interface: &str, gone: &[&Entry]) {
        let mut kept = self.kept.lock().await;
        let Some(kept) = kept.get_mut(interface) else { return };
        for entry in gone {
            kept.remove(&entry.file_name());
        }
    }

    /// Puts up the guard of an interface that has joined.
    pub(super) async fn put_guard(&self, settings: &Settings, nic: &NicPlan) -> Result<()> {
        if nic.nic.vlans.elsewhere() {
            return self.guards.put(&file_name(nic), &vlans::guard(nic)).await;
        }
        let mut entry = Entry::new(nic, settings)?;
        let file = self.files(settings.interface.as_str()).dhcp_hosts().join(entry.file_name());
        if let Some(told) = read_small(&file, MAX_ENTRY)?.and_then(|line| Entry::read(&entry.file_name(), &line)) {
            entry.ipv4 = told.ipv4;
        }
        self.guards.put(&entry.file_name(), &guard(settings, &entry, nic)).await
    }
}

/// The first address from the place of `mac` on that nobody has.
fn free(ranges: &[(Ipv4Addr, Ipv4Addr)], mac: Mac, taken: &std::collections::BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let size = |(first, last): &(Ipv4Addr, Ipv4Addr)| u64::from(u32::from(*last) - u32::from(*first)) + 1;
    let total: u64 = ranges.iter().map(size).sum();
    // FNV-1a, as for hardware addresses: a spread is all that is needed.
    let hash = mac.bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    let at = |mut place: u64| {
        for range in ranges {
            if place < size(range) {
                return Some(Ipv4Addr::from(u32::from(range.0).wrapping_add(place as u32)));
            }
            place -= size(range);
        }
        None
    };
    let start = hash.checked_rem(total)?;
    (start..total).chain(0..start).filter_map(at).find(|address| !taken.contains(address))
}

fn guard(settings: &Settings, entry: &Entry, nic: &NicPlan) -> Guard {
    let (mac, ipv4, ipv6) = wanted(nic);
    let own_ipv4 = settings.ipv4.as_ref().map(|v| IpAddr::V4(v.address.addr()));
    let own_ipv6 = settings.ipv6.as_ref().map(|v| IpAddr::V6(v.address.addr()));
    let strict = nic.nic.filter.ipv4 == Some(true) || nic.nic.ipv4.none;
    let ipv4 = match entry.ipv4 {
        _ if !ipv4 => Senders::Any,
        Some(address) => Senders::Only(with_routes(vec![IpAddr::V4(address).into()], &nic.nic.ipv4.routes)),
        None if strict => Senders::Only(nic.nic.ipv4.routes.clone()),
        // Who gives addresses here is not known; the host's own is not given.
        None => Senders::But(own_ipv4.into_iter().collect()),
    };
    let ipv6 = match ipv6 {
        Some(false) => Senders::Any,
        Some(true) => {
            let prefix = settings.ipv6.as_ref().filter(|v| v.address.prefix_len() == 64).map(|v| v.address.network());
            let own = prefix.into_iter().chain([LINK_LOCAL]).map(|prefix| slaac(prefix, entry.mac)).chain(entry.ipv6);
            let own = if nic.nic.ipv6.none { vec![] } else { own.map(|address| IpAddr::V6(address).into()).collect() };
            Senders::Only(with_routes(own, &nic.nic.ipv6.routes))
        }
        None => Senders::But(own_ipv6.into_iter().chain([IpAddr::V6(slaac(LINK_LOCAL, settings.mac))]).collect()),
    };
    let mac = mac.then(|| entry.mac.to_string());
    Guard { port: device::host_end(nic).name, mac, vlans: nic.nic.vlans.tagged.clone(), ipv4, ipv6 }
}

fn with_routes(mut own: Vec<IpNet>, routes: &[IpNet]) -> Vec<IpNet> {
    own.extend(routes);
    own
}

#[cfg(test)]
mod tests {
    use super::super::settings_of;
    use super::*;
    use crate::device::plan_of;

    fn guard_of(keys: &[(&str, &str)], chosen: Option<&str>) -> Guard {
        let (settings, nic) = (settings_of(&[]), plan_of(&[&[("network", "lxbr0")], keys].concat()));
        let mut entry = Entry::new(&nic, &settings).unwrap();
        entry.ipv4 = entry.ipv4.or(chosen.map(|address| address.parse().unwrap()));
        guard(&settings, &entry, &nic)
    }

    #[test]
    fn by_default_a_guest_has_one_mac_and_one_ipv4_address_and_is_no_router() {
        let guard = guard_of(&[], Some("10.1.2.77"));
        assert_eq!(guard.mac.as_deref(), Some("00:16:3e:01:02:03"));
        assert_eq!(guard.ipv4, Senders::Only(vec!["10.1.2.77/32".parse().unwrap()]));
        assert!(matches!(&guard.ipv6, Senders::But(hosts) if hosts.len() == 2), "{guard:?}");
    }

    #[test]
    fn each_filter_is_opened_and_tightened_by_its_key() {
        assert!(guard_of(&[("security.mac_filtering", "false")], None).is_open());
        assert_eq!(guard_of(&[("security.ipv4_filtering", "false")], None).ipv4, Senders::Any);
        assert!(matches!(guard_of(&[("ipv4.address", "none")], None).ipv4, Senders::Only(nets) if nets.is_empty()));
        let strict = guard_of(&[("security.ipv6_filtering", "true"), ("ipv6.routes", "fd43:1::/48")], None).ipv6;
        let Senders::Only(nets) = strict else { panic!("{strict:?}") };
        let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["fd42:1:2:3:216:3eff:fe01:203/128", "fe80::216:3eff:fe01:203/128", "fd43:1::/48"]);
    }

    #[test]
    fn an_address_is_chosen_by_the_mac_and_never_twice() {
        let ranges = [([10, 0, 0, 2].into(), [10, 0, 0, 4].into()), ([10, 0, 0, 9].into(), [10, 0, 0, 9].into())];
        let mac = "02:00:00:00:00:07".parse().unwrap();
        let mut taken = std::collections::BTreeSet::new();
        while let Some(address) = free(&ranges, mac, &taken) {
            assert!(taken.insert(address));
        }
        assert_eq!(taken.len(), 4);
        assert_eq!(free(&[], mac, &taken), None);
    }
}
