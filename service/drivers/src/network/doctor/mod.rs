//! `lxctl doctor network`: whether a bridge does for guests what it is there for, and what is in the way, each finding
//! with its remedy. Looks, asks servers and sends one question as a guest would; changes nothing that stays. Called by
//! the driver of bridges.

mod packet;
mod probe;
mod question;

use super::bridge::BridgeNetworks;
use super::bridge::Settings;
use super::from_netlink;
use super::{chains, firewall};
use ipnet::{IpNet, Ipv4Net};
use lxhost_engine::ports::{Check, NetworkRecords};
use lxhost_model::{Network, Result};
use lxhost_netlink::Link;
use packet::{Eaten, Packet, Ruleset};
use probe::Probe;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// What repairs most of what is ours.
pub(super) const RELOAD: &str = "systemctl reload lxhostd";
/// Somebody outside, for whom the way out is looked at.
const OUTSIDE: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// Hooks on the way into the host, and through it.
const IN: &[&str] = &["prerouting", "input"];
const THROUGH: &[&str] = &["prerouting", "forward", "postrouting"];

impl BridgeNetworks {
    /// Examines a network.
    pub(super) async fn examine(&self, network: &Network, all: &NetworkRecords) -> Result<Vec<Check>> {
        let settings = Settings::read(network)?;
        let link = match self.our_link(network).await {
            Ok(Some(link)) => link,
            Ok(None) => return Ok(vec![Check::fail("link", format!("interface {} is gone", settings.interface), RELOAD)]),
            Err(theirs) => return Ok(vec![Check::fail("link", theirs.message, "rename or delete that interface")]),
        };
        let mut checks = vec![up(&link)];
        checks.extend(self.addresses(&settings, &link).await?);
        checks.extend(self.server(&settings).await?);
        checks.extend(forwarding(&settings, Path::new("/proc/sys/net")));
        let listed = firewall::list(&["list", "ruleset"]).await;
        let rules = match listed.and_then(|text| Ruleset::read(&text.unwrap_or_default())) {
            Ok(rules) => rules,
            Err(error) => {
                checks.push(Check::fail("firewall", error.message, "install nftables, and load its kernel modules"));
                Ruleset::default()
            }
        };
        checks.extend(table(&settings, &rules));
        checks.extend(self.beside(&network.name, &settings).await);
        checks.extend(self.way_out(&settings, &rules).await?);
        checks.extend(self.dhcp(&settings, &rules).await);
        checks.extend(self.names(&settings, &link, &rules).await);
        let others: Vec<_> = all.networks.iter().filter(|other| other.id != network.id).cloned().collect();
        let overlaps = self.overlaps(network, &settings, &others).await?;
        checks.extend(overlaps.into_iter().map(|overlap| {
            Check::warn("subnet", overlap, format!("lxctl network set {} ipv4.address=auto chooses another", network.name))
        }));
        checks.extend(upstream(&settings).await);
        Ok(checks)
    }

    async fn addresses(&self, settings: &Settings, link: &Link) -> Result<Option<Check>> {
        let known = self.links().addresses().await.map_err(from_netlink)?;
        let wanted = settings.ipv4.iter().map(|v| IpNet::V4(v.address)).chain(settings.ipv6.iter().map(|v| IpNet::V6(v.address)));
        let wanted: Vec<IpNet> = wanted.collect();
        let missing = wanted.iter().find(|net| !known.iter().any(|address| address.link == link.index && address.net == **net));
        Ok(match missing {
            Some(net) => Some(Check::fail("address", format!("{net} is not on {}", link.name), RELOAD)),
            None if wanted.is_empty() => None,
            None => Some(Check::ok("address", wanted.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", "))),
        })
    }

    /// The server for DHCP and DNS, and who else has its ports.
    async fn server(&self, settings: &Settings) -> Result<Option<Check>> {
        if !settings.serves() {
            return Ok(None);
        }
        let unit = self.unit(settings);
        if self.is_serving(settings).await? {
            return Ok(Some(Check::ok("dnsmasq", format!("{unit} runs"))));
        }
        let holders = self.port_holders(settings);
        Ok(Some(match holders.as_slice() {
            [] => Check::fail(
                "dnsmasq",
                format!("{unit} does not run as it should"),
                format!("{RELOAD}; journalctl -u {unit} says why"),
            ),
            holders => Check::fail(
                "dnsmasq",
                format!("{unit} does not run: {}", holders.join("; ")),
                format!("stop that, or have it listen elsewhere; then {RELOAD}"),
            ),
        }))
    }

    /// Whether a connection of a guest passes through the host, and what comes back.
    async fn way_out(&self, settings: &Settings, rules: &Ruleset) -> Result<Vec<Check>> {
        let links = self.links().links().await.map_err(from_netlink)?;
        let routes = self.links().routes().await.map_err(from_netlink)?;
        let name = settings.interface.as_str();
        let mut checks = Vec::new();
        for (guest, outside, what) in [
            (settings.ipv4.as_ref().filter(|v| v.routing).map(|v| IpAddr::V4(last(v.address))), IpAddr::V4(OUTSIDE.0), "IPv4"),
            (
                settings.ipv6.as_ref().filter(|v| v.routing).map(|v| IpAddr::V6(v.address.broadcast())),
                IpAddr::V6(OUTSIDE.1),
                "IPv6",
            ),
        ] {
            let Some(guest) = guest else { continue };
            let default = routes.iter().find(|route| route.destination.prefix_len() == 0 && route.destination.contains(&outside));
            let Some(out) = default.and_then(|route| links.iter().find(|link| Some(link.index) == route.link)) else {
                if what == "IPv4" {
                    let hint = "give this host a default route: ip route add default via GATEWAY";
                    checks.push(Check::warn("forward", format!("this host has no {what} route to the outside"), hint));
                }
                continue;
            };
            let going = Packet {
                input: name.to_owned(),
                port: name.to_owned(),
                output: Some(out.name.clone()),
                source: guest,
                destination: outside,
                protocol: "tcp",
                ports: (40_000, 443),
                state: "new",
            };
            let coming = Packet {
                input: out.name.clone(),
                port: out.name.clone(),
                output: Some(name.to_owned()),
                source: outside,
                destination: guest,
                ports: (443, 40_000),
                state: "established",
                ..going.clone()
            };
            let eaten = [(going, "from"), (coming, "to")]
                .into_iter()
                .find_map(|(packet, way)| Some((rules.fate(&packet, THROUGH)?, way)));
            checks.push(match eaten {
                None => Check::ok("forward", format!("{what} passes between {name} and {}", out.name)),
                Some((eaten, way)) => {
                    found("forward", &format!("{what} {way} guests"), &eaten, remedy(&eaten, rules, name, None))
                }
            });
        }
        Ok(checks)
    }

    /// Whether a guest is offered an address.
    async fn dhcp(&self, settings: &Settings, rules: &Ruleset) -> Option<Check> {
        let ipv4 = settings.ipv4.as_ref().filter(|v| v.dhcp)?;
        let name = settings.interface.as_str();
        let asked = async {
            let probe = Probe::new()?;
            Ok::<_, lxhost_model::Error>((probe.ask(self.links(), name).await?, probe.port))
        };
        let port = match asked.await {
            Err(error) => return Some(Check::warn("dhcp", error.message, "lxctl doctor looks at the rest of this host")),
            Ok((Some(offer), _)) if offer.server.is_some_and(|server| server != ipv4.address.addr()) => {
                let server = offer.server.map(|server| server.to_string()).unwrap_or_default();
                let hint = format!("find who has {server} on this network, and end it");
                return Some(Check::fail("dhcp", format!("a server that is not ours, {server}, offers {}", offer.address), hint));
            }
            Ok((Some(offer), _)) => return Some(Check::ok("dhcp", format!("a guest was offered {}", offer.address))),
            Ok((None, port)) => port,
        };
        let question = Packet {
            input: name.to_owned(),
            port,
            output: None,
            source: Ipv4Addr::UNSPECIFIED.into(),
            destination: Ipv4Addr::BROADCAST.into(),
            protocol: "udp",
            ports: (68, 67),
            state: "new",
        };
        let said = "a guest that asks for an address";
        Some(match rules.fate(&question, IN) {
            Some(eaten) => found("dhcp", said, &eaten, remedy(&eaten, rules, name, Some(67))),
            None if !self.is_serving(settings).await.unwrap_or(false) => {
                Check::fail("dhcp", format!("{said} is not answered: dnsmasq does not run as it should"), RELOAD)
            }
            None => {
                let unit = self.unit(settings);
                let hint = format!("journalctl -u {unit}; iptables-legacy -S INPUT; lxctl network list-leases {name}");
                Check::fail("dhcp", format!("{said} is not answered, and no rule of nftables is in the way"), hint)
            }
        })
    }

    /// Whether the server answers for names, and this host asks it.
    async fn names(&self, settings: &Settings, link: &Link, rules: &Ruleset) -> Vec<Check> {
        let Some(server) = self.served_addresses(settings).first().copied() else { return vec![] };
        let name = settings.interface.as_str();
        let guest = settings.ipv4.as_ref().map(|v| IpAddr::V4(last(v.address)));
        let question = Packet {
            input: name.to_owned(),
            port: name.to_owned(),
            output: None,
            source: guest.filter(|_| server.is_ipv4()).unwrap_or(IpAddr::V6(OUTSIDE.1)),
            destination: server,
            protocol: "udp",
            ports: (40_000, 53),
            state: "new",
        };
        let mut checks = vec![match rules.fate(&question, IN) {
            Some(eaten) => found("dns", "a guest that asks for a name", &eaten, remedy(&eaten, rules, name, Some(53))),
            None => match question::version(server).await {
                Ok(()) => Check::ok("dns", format!("{server} answers")),
                Err(why) => Check::fail("dns", format!("{server} does not answer: {why}"), RELOAD),
            },
        }];
        if self.wants_to_be_asked(settings) {
            checks.push(match self.resolver().asks(link.index, &settings.domain).await {
                Some(true) => Check::ok("resolved", format!("this host resolves names in {}", settings.domain)),
                Some(false) => {
                    Check::warn("resolved", format!("systemd-resolved does not know who answers for {}", settings.domain), RELOAD)
                }
                None => Check::ok("resolved", "systemd-resolved does not run: this host resolves no names of instances"),
            });
        }
        checks
    }
}

/// An address that a guest may have.
fn last(net: Ipv4Net) -> Ipv4Addr {
    net.hosts().next_back().unwrap_or_else(|| net.addr())
}

fn up(link: &Link) -> Check {
    match link.up {
        true => Check::ok("link", format!("{} is up", link.name)),
        false => Check::fail("link", format!("{} is down", link.name), format!("ip link set {} up", link.name)),
    }
}

/// Whether the kernel forwards, in /proc/sys/net or a stand-in.
fn forwarding(settings: &Settings, net: &Path) -> Vec<Check> {
    let name = settings.interface.as_str();
    let ipv4 = settings.ipv4.as_ref().is_some_and(|v| v.routing);
    let ipv6 = settings.ipv6.as_ref().is_some_and(|v| v.routing);
    let keys = [
        (ipv4, "ipv4/ip_forward".to_owned()),
        (ipv4, format!("ipv4/conf/{name}/forwarding")),
        (ipv6, "ipv6/conf/all/forwarding".to_owned()),
    ];
    let off = |key: &String| std::fs::read_to_string(net.join(key)).is_ok_and(|value| value.trim() == "0");
    let wanted: Vec<&String> = keys.iter().filter(|(wanted, _)| *wanted).map(|(_, key)| key).collect();
    if wanted.is_empty() {
        return vec![];
    }
    let found = wanted.into_iter().filter(|key| off(key)).map(|key| {
        let key = format!("net.{}", key.replace('/', "."));
        Check::fail("forwarding", format!("{key} is 0: this host forwards nothing"), format!("sysctl -w {key}=1"))
    });
    let found: Vec<Check> = found.collect();
    if found.is_empty() { vec![Check::ok("forwarding", "on")] } else { found }
}

/// Whether our rules are there.
fn table(settings: &Settings, rules: &Ruleset) -> Option<Check> {
    let asked = settings.ipv4.as_ref().is_some_and(|v| v.firewall || v.nat)
        || settings.ipv6.as_ref().is_some_and(|v| v.firewall || v.nat);
    let there = rules.speaks_of("inet", firewall::TABLE, settings.interface.as_str());
    asked.then(|| match there {
        true => Check::ok("firewall", "the rules of this network are there"),
        false => Check::fail("firewall", "table inet lxhost has no rules of this network", RELOAD),
    })
}

/// A finding about what ends a packet.
fn found(name: &str, whose: &str, eaten: &Eaten, hint: String) -> Check {
    let by = match eaten.rule {
        Some(rule) => format!("rule {rule} of chain {}", eaten.chain),
        None => format!("the policy of chain {}", eaten.chain),
    };
    match eaten.certain {
        _ if policy(eaten) => Check::warn(name, format!("{whose}: the network's ACLs refuse it"), hint),
        true => Check::fail(name, format!("{whose}: {by} drops it"), hint),
        false => Check::warn(name, format!("{whose}: {by} may drop it"), hint),
    }
}

/// Whether it is an ACL of ours that ends a packet, as somebody wants it.
fn policy(eaten: &Eaten) -> bool {
    let ours = |way: &str| eaten.chain.strip_prefix("inet lxhost ").is_some_and(|chain| chain.starts_with(way));
    ours("ingress.") || ours("egress.")
}

/// What lets the packets of a bridge pass there: in words of the program that has made the chain, where it is known.
fn remedy(eaten: &Eaten, rules: &Ruleset, bridge: &str, port: Option<u16>) -> String {
    let chain = &eaten.chain;
    if policy(eaten) {
        return "lxctl network acl show ACL says why; lxctl network acl rule add ACL egress action=allow lets more out"
            .to_owned();
    }
    if chain.contains(" firewalld ") {
        return format!(
            "{RELOAD} puts {bridge} into firewalld's zone lxhost, unless firewall-cmd --get-zone-of-interface={bridge} names another"
        );
    }
    let iptables = !chain.starts_with("inet ") && !chain.starts_with("bridge ");
    if iptables && chain.contains("-user-") {
        return "ufw status numbered shows that rule, and ufw delete NUMBER takes it away".to_owned();
    }
    if iptables && rules.has_chain("ufw-user-input") {
        return format!("{RELOAD} lets {bridge} through the chains of ufw");
    }
    if rules.has_chain(chains::DOCKER) && port.is_none() && iptables {
        return format!("{RELOAD} lets {bridge} through Docker's chain DOCKER-USER");
    }
    match port {
        Some(port) if chain.starts_with("bridge ") => format!("nft insert rule {chain} udp dport {port} accept"),
        Some(port) => format!("nft insert rule {chain} iifname {bridge} udp dport {port} accept"),
        None => format!("nft insert rule {chain} iifname {bridge} accept; nft insert rule {chain} oifname {bridge} accept"),
    }
}

/// Whether anybody answers for names outside; dnsmasq asks whom this host asks.
async fn upstream(settings: &Settings) -> Option<Check> {
    if !settings.serves() {
        return None;
    }
    let text = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    let servers = super::bridge::name_servers(&text);
    let hint = "look at /etc/resolv.conf and resolvectl status: guests resolve no names outside";
    for server in servers.iter().take(3) {
        if question::root(*server).await.is_ok() {
            return Some(Check::ok("upstream", format!("name server {server} answers")));
        }
    }
    let named: Vec<String> = servers.iter().take(3).map(ToString::to_string).collect();
    Some(match named.is_empty() {
        true => Check::warn("upstream", "this host has no name server", hint),
        false => Check::warn("upstream", format!("no name server of this host answers: {}", named.join(", ")), hint),
    })
}

#[cfg(test)]
mod tests;
