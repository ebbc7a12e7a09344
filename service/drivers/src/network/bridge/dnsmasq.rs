//! The configuration of a bridge's dnsmasq, written from typed settings only (dnsmasq(8), 2.90).
//! Pure. The program runs in the templated unit `lxhost-dnsmasq@INTERFACE.service`.

use super::settings::{Ipv4, Ipv6, Names, Settings};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How long an address is given for.
const LEASE: &str = "1h";
/// Most leases of one family; what a guest that asks for many can make dnsmasq remember.
const MAX_LEASES: u32 = 65_536;

/// Files of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// `/run/lxhost/networks/INTERFACE`, the daemon's.
    pub(crate) dir: PathBuf,
    /// `/var/lib/lxhost/dnsmasq/INTERFACE`, dnsmasq's own (`StateDirectory=` of its unit).
    pub(crate) state: PathBuf,
    /// Name of the unit.
    pub(crate) unit: String,
}

impl Files {
    /// Where the files of the network with that interface are.
    pub(crate) fn new(run_dir: &Path, state_dir: &Path, interface: &str) -> Self {
        Files {
            dir: run_dir.join("networks").join(interface),
            state: state_dir.join("dnsmasq").join(interface),
            unit: format!("lxhost-dnsmasq@{interface}.service"),
        }
    }

    /// The configuration that the unit names.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("dnsmasq.conf")
    }

    /// Copy of the configuration that the running dnsmasq was started with.
    pub(crate) fn applied(&self) -> PathBuf {
        self.dir.join("dnsmasq.applied")
    }

    /// One file per interface for DHCP.
    pub(crate) fn dhcp_hosts(&self) -> PathBuf {
        self.dir.join("dhcp-hosts")
    }

    /// One file per interface for DNS.
    pub(crate) fn dns_hosts(&self) -> PathBuf {
        self.dir.join("dns-hosts")
    }

    /// Leases, as dnsmasq keeps them.
    pub(crate) fn leases(&self) -> PathBuf {
        self.state.join("leases")
    }
}

/// The configuration file.
pub(crate) fn render(settings: &Settings, files: &Files) -> String {
    let mut text = String::new();
    let mut line = |option: &str| {
        let _ = writeln!(text, "{option}");
    };
    let (interface, domain) = (&settings.interface, &settings.domain);
    line(&format!("# DHCP and DNS of {interface}. Written by lxhostd; changes are lost."));
    // bind-dynamic listens on this bridge alone, and again when it was removed and came back.
    for option in ["bind-dynamic", "except-interface=lo", "pid-file", "no-hosts", "domain-needed", "strict-order", "no-ping"] {
        line(option);
    }
    line(&format!("interface={interface}"));
    line(&format!("dhcp-leasefile={}", files.leases().display()));
    line(&format!("dhcp-hostsdir={}", files.dhcp_hosts().display()));
    line(&format!("hostsdir={}", files.dns_hosts().display()));
    line("expand-hosts");
    line(&format!("domain={domain}"));
    // Answered here or not at all: names and addresses of instances are nobody else's business.
    line(&format!("local=/{domain}/"));
    for option in ["dhcp-authoritative", "dhcp-rapid-commit", "dhcp-no-override", "quiet-dhcp", "quiet-dhcp6", "quiet-ra"] {
        line(option);
    }
    line(&format!("dhcp-lease-max={}", most_leases(settings)));
    match settings.names {
        // A guest that nobody announced gets an address, but not the name of another.
        Names::Managed => line("dhcp-ignore-names=tag:!known"),
        Names::None => line("dhcp-ignore-names"),
        Names::Dynamic => {}
    }
    if let Some(ipv4) = &settings.ipv4 {
        ipv4_lines(ipv4, settings.mtu, &mut line);
    }
    if let Some(ipv6) = &settings.ipv6 {
        ipv6_lines(ipv6, interface.as_str(), &mut line);
    }
    text
}

fn ipv4_lines(ipv4: &Ipv4, mtu: Option<u32>, line: &mut dyn FnMut(&str)) {
    line(&format!("rev-server={}", ipv4.address.trunc()));
    if !ipv4.dhcp {
        return;
    }
    for (first, last) in &ipv4.ranges {
        line(&format!("dhcp-range={first},{last},{},{LEASE}", ipv4.address.netmask()));
    }
    if let Some(mtu) = mtu {
        line(&format!("dhcp-option-force=option:mtu,{mtu}"));
    }
}

fn ipv6_lines(ipv6: &Ipv6, interface: &str, line: &mut dyn FnMut(&str)) {
    let (net, length) = (ipv6.address.trunc(), ipv6.address.prefix_len());
    line(&format!("rev-server={net}"));
    line("enable-ra");
    if ipv6.stateful {
        let first = u128::from(net.network()) + 2;
        line(&format!("dhcp-range={},{},{length},{LEASE}", std::net::Ipv6Addr::from(first), net.broadcast()));
    } else {
        let mode = if ipv6.dhcp { "ra-stateless" } else { "ra-only" };
        line(&format!("dhcp-range=::,constructor:{interface},{mode},ra-names,{length},{LEASE}"));
    }
}

/// As many as there are IPv4 addresses to give, and at least 1,000 for IPv6.
fn most_leases(settings: &Settings) -> u32 {
    let ranges = settings.ipv4.iter().flat_map(|v| &v.ranges);
    let ipv4 = ranges.fold(0u32, |sum, (first, last)| sum.saturating_add(u32::from(*last) - u32::from(*first) + 1));
    let ipv6 = if settings.ipv6.as_ref().is_some_and(|v| v.stateful) { 1000 } else { 0 };
    ipv4.saturating_add(ipv6).clamp(1, MAX_LEASES)
}

#[cfg(test)]
mod tests {
    use super::super::settings_of;
    use super::*;

    fn rendered(keys: &[(&str, &str)]) -> String {
        render(&settings_of(keys), &Files::new(Path::new("/run/lxhost"), Path::new("/var/lib/lxhost"), "lxbr0"))
    }

    #[test]
    fn the_usual_network_is_as_in_the_golden_file() {
        assert_eq!(rendered(&[("ipv4.nat", "true")]), include_str!("../golden/dnsmasq-usual.conf"));
    }

    #[test]
    fn a_network_with_every_key_is_as_in_the_golden_file() {
        let keys = [
            ("bridge.mtu", "1400"),
            ("dns.domain", "Office.Example"),
            ("dns.mode", "none"),
            ("ipv4.dhcp.ranges", "10.1.2.10-10.1.2.19, 10.1.2.30-10.1.2.30"),
            ("ipv6.dhcp.stateful", "true"),
        ];
        assert_eq!(rendered(&keys), include_str!("../golden/dnsmasq-every-key.conf"));
    }

    #[test]
    fn without_dhcp_there_is_no_range() {
        let text = rendered(&[("ipv4.dhcp", "false"), ("ipv6.address", "none"), ("dns.mode", "dynamic")]);
        assert!(!text.contains("dhcp-range") && !text.contains("enable-ra") && !text.contains("dhcp-ignore-names"), "{text}");
    }
}
