//! What dnsmasq is told about one interface of one instance: two small files, one that dhcp reads
//! (`dhcp-hostsdir`) and, where DHCP does not teach DNS the name, one that DNS reads (`hostsdir`).
//! dnsmasq sees new files by inotify. Pure; every part is checked again before it is written.

use super::settings::{Names, Settings};
use ipnet::IpNet;
use lxhost_engine::ports::{Inside, NicPlan};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_netlink::{LinkName, Mac};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One interface of an instance, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The instance.
    pub(crate) instance: ObjectId,
    /// Interface name inside.
    pub(crate) nic: LinkName,
    /// Hardware address.
    pub(crate) mac: Mac,
    /// Host name.
    pub(crate) hostname: String,
    /// Fixed IPv4 address.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// Fixed IPv6 address.
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// The IPv4 address was chosen here for the time of a run, so that no other can be used.
    pub(crate) chosen: bool,
}

/// Marks an address that was chosen here; to dnsmasq, a tag that no option asks for.
const CHOSEN: &str = "set:chosen";
/// Words that mean something else than a name in `dhcp-host=`.
const RESERVED: &[&str] = &["ignore", "infinite"];

impl Entry {
    /// The entry of `nic` in the network.
    ///
    /// # Errors
    /// `InvalidConfig` for a malformed name or address, and for a fixed address that the network
    /// does not give out.
    pub(crate) fn new(nic: &NicPlan, settings: &Settings) -> Result<Self> {
        let bad = |why: String| {
            Error::new(Kind::InvalidConfig, format!("interface {} of {}: {why}", quoted(&nic.name), quoted(&nic.hostname)))
        };
        let entry = Entry {
            instance: nic.instance,
            nic: nic.name.parse().map_err(|e: lxhost_netlink::Error| bad(e.to_string()))?,
            mac: nic.mac.parse().map_err(|e: lxhost_netlink::Error| bad(e.to_string()))?,
            hostname: label(&nic.hostname).ok_or_else(|| bad("the host name is not a DNS label".into()))?,
            ipv4: nic.ipv4,
            ipv6: nic.ipv6,
            chosen: false,
        };
        if let Some(address) = entry.ipv4 {
            let ipv4 = settings.ipv4.as_ref().ok_or_else(|| bad("the network has no IPv4".into()))?;
            let net = ipv4.address;
            let special = [net.network(), net.broadcast(), net.addr()].contains(&address);
            if !net.contains(&address) || special {
                return Err(bad(format!("{address} is not free for a guest in {}", net.trunc())));
            }
        }
        if let Some(address) = entry.ipv6 {
            let ipv6 = settings.ipv6.as_ref().filter(|v| v.stateful);
            let ipv6 = ipv6.ok_or_else(|| bad("a fixed IPv6 address needs ipv6.dhcp.stateful=true on the network".into()))?;
            let net = ipv6.address;
            if !net.contains(&address) || address == net.network() || address == net.addr() {
                return Err(bad(format!("{address} is not free for a guest in {}", net.trunc())));
            }
        }
        Ok(entry)
    }

    /// What it is given inside, because nobody there could ask for it: a fixed IPv4 address without DHCP.
    pub(crate) fn inside(&self, settings: &Settings) -> Inside {
        let Some((ipv4, address)) = settings.ipv4.as_ref().filter(|v| !v.dhcp).zip(self.ipv4) else { return Inside::default() };
        let net = IpNet::new(address.into(), ipv4.address.prefix_len()).into_iter().collect();
        Inside { addresses: net, gateways: vec![ipv4.address.addr().into()], ..Inside::default() }
    }

    /// Name of its file in either directory.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}", self.instance, self.nic)
    }

    /// Its lines for `dhcp-hostsdir`. `id:*` has the hardware address alone decide, so that an
    /// instance keeps its address when its machine id or DHCP client changes. dnsmasq takes a line with
    /// an address for that family alone, so the other one has a line too.
    pub(crate) fn dhcp_lines(&self, settings: &Settings) -> String {
        let mut line = self.dhcp_line(settings, self.chosen.then_some(CHOSEN), self.ipv4, self.ipv6);
        let (dhcp, dhcp6) = (settings.ipv4.as_ref().is_some_and(|v| v.dhcp), settings.ipv6.as_ref().is_some_and(|v| v.stateful));
        match (self.ipv4, self.ipv6) {
            (Some(_), None) if dhcp6 => line.push_str(&self.dhcp_line(settings, Some("tag:dhcpv6"), None, None)),
            (None, Some(_)) if dhcp => line.push_str(&self.dhcp_line(settings, Some("tag:!dhcpv6"), None, None)),
            _ => {}
        }
        line
    }

    fn dhcp_line(&self, settings: &Settings, tag: Option<&str>, ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>) -> String {
        let mut parts = vec![self.mac.to_string(), "id:*".to_owned()];
        parts.extend(tag.map(str::to_owned));
        parts.extend(ipv4.map(|address| address.to_string()));
        parts.extend(ipv6.map(|address| format!("[{address}]")));
        if settings.names == Names::Managed {
            parts.push(self.hostname.clone());
        }
        parts.join(",") + "\n"
    }

    /// Its line for `hostsdir`, when no DHCP teaches DNS the name: the address that SLAAC makes of
    /// the hardware address (RFC 4291, appendix A). With DHCPv4, dnsmasq's `ra-names` does that, and
    /// asks the address first.
    pub(crate) fn dns_line(&self, settings: &Settings) -> Option<String> {
        let dhcp = settings.ipv4.as_ref().is_some_and(|v| v.dhcp) || settings.ipv6.as_ref().is_some_and(|v| v.stateful);
        let ipv6 = settings.ipv6.as_ref().filter(|v| v.address.prefix_len() == 64)?;
        if dhcp || settings.names != Names::Managed {
            return None;
        }
        Some(format!("{} {}\n", slaac(ipv6.address.network(), self.mac), self.hostname))
    }

    /// Reads back what `dhcp_lines` wrote into the file `name`, of which the first line says all; `None` for anything else.
    pub(crate) fn read(name: &str, lines: &str) -> Option<Self> {
        let (instance, nic) = name.split_once('.')?;
        let mut fields = lines.lines().next()?.split(',');
        let mac = fields.next()?.parse().ok()?;
        let mut entry = Entry {
            instance: instance.parse().ok()?,
            nic: nic.parse().ok()?,
            mac,
            hostname: String::new(),
            ipv4: None,
            ipv6: None,
            chosen: false,
        };
        for field in fields.filter(|f| *f != "id:*") {
            if field == CHOSEN {
                entry.chosen = true;
                continue;
            }
            let inner = field.strip_prefix('[').and_then(|f| f.strip_suffix(']')).unwrap_or(field);
            match inner.parse() {
                Ok(IpAddr::V4(address)) => entry.ipv4 = Some(address),
                Ok(IpAddr::V6(address)) => entry.ipv6 = Some(address),
                Err(_) => entry.hostname = label(field)?,
            }
        }
        Some(entry)
    }
}

/// The text in lower case, if it is a DNS label that `dhcp-host=` takes for a name.
fn label(s: &str) -> Option<String> {
    let lower = s.to_ascii_lowercase();
    let fine = (1..=63).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && s.as_bytes()[0].is_ascii_alphabetic()
        && !s.ends_with('-')
        && !RESERVED.contains(&lower.as_str());
    fine.then_some(lower)
}

/// The address a guest gives itself in that /64.
pub(crate) fn slaac(prefix: Ipv6Addr, mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.bytes();
    let mut octets = prefix.octets();
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::super::settings_of;
    use super::*;

    fn plan() -> NicPlan {
        NicPlan {
            instance: ObjectId::from_random([9; 16]),
            hostname: "C1".into(),
            name: "eth0".into(),
            mac: "00:16:3e:01:02:03".into(),
            ipv4: None,
            ipv6: None,
            mtu: None,
            nic: lxhost_model::device::Nic::default(),
        }
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let settings = settings_of(&[("ipv6.dhcp.stateful", "true")]);
        let nic = NicPlan { ipv4: Some([10, 1, 2, 9].into()), ipv6: Some("fd42:1:2:3::9".parse().unwrap()), ..plan() };
        let entry = Entry::new(&nic, &settings).unwrap();
        let line = entry.dhcp_lines(&settings);
        assert_eq!(line, "00:16:3e:01:02:03,id:*,10.1.2.9,[fd42:1:2:3::9],c1\n");
        assert_eq!(Entry::read(&entry.file_name(), &line), Some(entry.clone()));
        let chosen = Entry { chosen: true, ipv6: None, ..entry.clone() };
        assert_eq!(chosen.dhcp_lines(&settings_of(&[])), "00:16:3e:01:02:03,id:*,set:chosen,10.1.2.9,c1\n");
        assert_eq!(Entry::read(&chosen.file_name(), &chosen.dhcp_lines(&settings)), Some(chosen));
        assert_eq!(Entry::read("x", "y"), None);
        assert_eq!(Entry::read(&entry.file_name(), ""), None);
    }

    #[test]
    fn an_address_of_one_family_leaves_the_other_its_name() {
        let settings = settings_of(&[("ipv6.dhcp.stateful", "true")]);
        let (four, six): (Ipv4Addr, Ipv6Addr) = ("10.1.2.9".parse().unwrap(), "fd42:1:2:3::9".parse().unwrap());
        let lines = |ipv4, ipv6| {
            let entry = Entry::new(&NicPlan { ipv4, ipv6, ..plan() }, &settings).unwrap();
            assert_eq!(Entry::read(&entry.file_name(), &entry.dhcp_lines(&settings)), Some(entry.clone()));
            entry.dhcp_lines(&settings).replace("00:16:3e:01:02:03,id:*", "-")
        };
        assert_eq!(lines(Some(four), None), "-,10.1.2.9,c1\n-,tag:dhcpv6,c1\n");
        assert_eq!(lines(None, Some(six)), "-,[fd42:1:2:3::9],c1\n-,tag:!dhcpv6,c1\n");
        assert_eq!(lines(None, None), "-,c1\n");
    }

    #[test]
    fn the_name_is_left_to_the_guest_or_out_as_the_mode_says() {
        for mode in ["dynamic", "none"] {
            let settings = settings_of(&[("dns.mode", mode)]);
            assert_eq!(Entry::new(&plan(), &settings).unwrap().dhcp_lines(&settings), "00:16:3e:01:02:03,id:*\n");
        }
    }

    #[test]
    fn without_dhcp_the_slaac_address_is_published() {
        let settings = settings_of(&[("ipv4.address", "none")]);
        let entry = Entry::new(&plan(), &settings).unwrap();
        assert_eq!(entry.dns_line(&settings).as_deref(), Some("fd42:1:2:3:216:3eff:fe01:203 c1\n"));
        assert_eq!(entry.dns_line(&settings_of(&[])), None, "dnsmasq finds it out itself");
    }

    #[test]
    fn hostile_names_and_addresses_reach_no_file() {
        let settings = settings_of(&[("ipv6.dhcp.stateful", "true")]);
        let long = "a".repeat(64);
        for (hostname, name, mac) in [
            ("c1\ndhcp-script=/x", "eth0", "00:16:3e:01:02:03"),
            ("c1,10.1.2.1", "eth0", "00:16:3e:01:02:03"),
            ("ignore", "eth0", "00:16:3e:01:02:03"),
            ("Infinite", "eth0", "00:16:3e:01:02:03"),
            ("1h", "eth0", "00:16:3e:01:02:03"),
            ("", "eth0", "00:16:3e:01:02:03"),
            (&long, "eth0", "00:16:3e:01:02:03"),
            ("c1", "../../x", "00:16:3e:01:02:03"),
            ("c1", "eth0\n", "00:16:3e:01:02:03"),
            ("c1", "", "00:16:3e:01:02:03"),
            ("c1", "eth0", "*:*:*:*:*:*"),
            ("c1", "eth0", "00:16:3e:01:02:03,ignore"),
            ("c1", "eth0", "ff:ff:ff:ff:ff:ff"),
        ] {
            let nic = NicPlan { hostname: hostname.into(), name: name.into(), mac: mac.into(), ..plan() };
            assert_eq!(Entry::new(&nic, &settings).unwrap_err().kind, Kind::InvalidConfig, "{hostname} {name} {mac}");
        }
    }

    #[test]
    fn a_fixed_address_has_to_be_one_the_network_can_give() {
        let settings = settings_of(&[("ipv6.dhcp.stateful", "true")]);
        for bad in ["10.1.2.1", "10.1.2.0", "10.1.2.255", "10.1.3.5"] {
            assert!(Entry::new(&NicPlan { ipv4: Some(bad.parse().unwrap()), ..plan() }, &settings).is_err(), "{bad}");
        }
        for bad in ["fd42:1:2:3::1", "fd42:1:2:3::", "fd42:1:2:4::9"] {
            assert!(Entry::new(&NicPlan { ipv6: Some(bad.parse().unwrap()), ..plan() }, &settings).is_err(), "{bad}");
        }
        let slaac_only = NicPlan { ipv6: Some("fd42:1:2:3::9".parse().unwrap()), ..plan() };
        assert!(Entry::new(&slaac_only, &settings_of(&[])).unwrap_err().message.contains("stateful"));
        let v4 = NicPlan { ipv4: Some([10, 1, 2, 9].into()), ..plan() };
        assert!(Entry::new(&v4, &settings_of(&[("ipv4.address", "none")])).is_err());
        let without_dhcp = settings_of(&[("ipv4.dhcp", "false")]);
        let inside = Entry::new(&v4, &without_dhcp).unwrap().inside(&without_dhcp);
        assert_eq!(
            (inside.addresses[0].to_string().as_str(), inside.gateways[0].to_string().as_str()),
            ("10.1.2.9/24", "10.1.2.1")
        );
        assert_eq!(Entry::new(&v4, &settings).unwrap().inside(&settings), Inside::default());
    }
}
