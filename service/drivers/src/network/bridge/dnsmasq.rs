//! The configuration of a bridge's dnsmasq, written from typed settings only (dnsmasq(8), 2.90).
//! Pure. The program runs in the templated unit `lxhost-dnsmasq@INTERFACE.service`.

use super::settings::{Ipv4, Ipv6, Names, Settings};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How long what has no lease is told to be valid.
const VALID: &str = "1h";
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
        ipv4_lines(ipv4, settings, &mut line);
    }
    if let Some(ipv6) = &settings.ipv6 {
        ipv6_lines(ipv6, settings, &mut line);
    }
    text
}

fn ipv4_lines(ipv4: &Ipv4, settings: &Settings, line: &mut dyn FnMut(&str)) {
    line(&format!("rev-server={}", ipv4.address.trunc()));
    if !ipv4.dhcp {
        return;
    }
    for (first, last) in &ipv4.ranges {
        line(&format!("dhcp-range={first},{last},{},{}", ipv4.address.netmask(), ipv4.expiry));
    }
    if let Some(mtu) = settings.mtu {
        line(&format!("dhcp-option-force=option:mtu,{mtu}"));
    }
    match ipv4.gateway {
        Some(gateway) if gateway == ipv4.address.addr() => {}
        Some(gateway) => line(&format!("dhcp-option-force=option:router,{gateway}")),
        // Without a value it is not told at all.
        None => line("dhcp-option-force=option:router"),
    }
    if !ipv4.told.is_empty() {
        // Who knows this option ignores the router, so it is said here too (RFC 3442).
        let default = ipv4.gateway.filter(|_| ipv4.told.iter().all(|(to, _)| to.prefix_len() > 0));
        let told = ipv4.told.iter().map(|(to, by)| format!("{to},{by}"));
        let told: Vec<String> = told.chain(default.map(|by| format!("0.0.0.0/0,{by}"))).collect();
        line(&format!("dhcp-option-force=option:classless-static-route,{}", told.join(",")));
    }
    let servers = settings.dns.servers.iter().filter(|server| server.is_ipv4()).map(ToString::to_string);
    option("option:dns-server", servers.collect(), line);
    option("option:domain-search", settings.dns.search.clone(), line);
}

fn ipv6_lines(ipv6: &Ipv6, settings: &Settings, line: &mut dyn FnMut(&str)) {
    let (net, length, interface) = (ipv6.address.trunc(), ipv6.address.prefix_len(), &settings.interface);
    line(&format!("rev-server={net}"));
    line("enable-ra");
    if !ipv6.routing {
        // The usual interval, and no router.
        line(&format!("ra-param={interface},0,0"));
    }
    if ipv6.stateful {
        for (first, last) in &ipv6.ranges {
            line(&format!("dhcp-range={first},{last},{length},{}", ipv6.expiry));
        }
    } else {
        let mode = if ipv6.dhcp { "ra-stateless" } else { "ra-only" };
        line(&format!("dhcp-range=::,constructor:{interface},{mode},ra-names,{length},{VALID}"));
    }
    // Told by DHCPv6 and in router advertisements.
    let servers = settings.dns.servers.iter().filter(|server| server.is_ipv6()).map(|server| format!("[{server}]"));
    option("option6:dns-server", servers.collect(), line);
    option("option6:domain-search", settings.dns.search.clone(), line);
}

/// What guests are told, if anything.
fn option(name: &str, values: Vec<String>, line: &mut dyn FnMut(&str)) {
    if !values.is_empty() {
        line(&format!("dhcp-option-force={name},{}", values.join(",")));
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
            ("dns.nameservers", "10.1.2.53, fd42:1:2:3::53,10.1.2.54"),
            ("dns.search", "office.example,Example"),
            ("ipv4.dhcp.expiry", "12h"),
            ("ipv4.dhcp.gateway", "10.1.2.9"),
            ("ipv4.dhcp.ranges", "10.1.2.10-10.1.2.19, 10.1.2.30-10.1.2.30"),
            ("ipv4.dhcp.routes", "10.8.0.0/16,10.1.2.7"),
            ("ipv6.dhcp.expiry", "infinite"),
            ("ipv6.dhcp.ranges", "fd42:1:2:3::100-fd42:1:2:3::1ff"),
            ("ipv6.dhcp.stateful", "true"),
            ("ipv6.routing", "false"),
        ];
        assert_eq!(rendered(&keys), include_str!("../golden/dnsmasq-every-key.conf"));
    }

    #[test]
    fn a_network_that_does_not_route_announces_no_router() {
        let text = rendered(&[("ipv4.routing", "false"), ("ipv6.routing", "off")]);
        assert!(text.contains("\ndhcp-option-force=option:router\n") && text.contains("\nra-param=lxbr0,0,0\n"), "{text}");
        let own = rendered(&[("ipv4.dhcp.routes", "0.0.0.0/0,10.1.2.7")]);
        assert!(own.contains("classless-static-route,0.0.0.0/0,10.1.2.7\n"), "{own}");
    }

    #[test]
    fn without_dhcp_there_is_no_range() {
        let text = rendered(&[("ipv4.dhcp", "false"), ("ipv6.address", "none"), ("dns.mode", "dynamic")]);
        assert!(!text.contains("dhcp-range") && !text.contains("enable-ra") && !text.contains("dhcp-ignore-names"), "{text}");
    }
}
