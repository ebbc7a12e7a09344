//! Proxies by the kernel: a table of nftables for each, which gives packets the instance as their destination.
//! Nothing of it is in the table of the networks, so neither is written anew for the other.

use super::relay;
use crate::device::host_name;
use crate::network::firewall;
use crate::network::from_netlink;
use ipnet::IpNet;
use lxhost_engine::ports::{ProxyPlan, ProxyTarget};
use lxhost_model::Result;
use lxhost_netlink::Handle;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::Path;

/// How the names of our tables begin.
pub(crate) const PROXY_TABLES: &str = "lxhost_proxy_";

/// Name of a proxy's table.
fn table(plan: &ProxyPlan) -> String {
    let digest = Sha256::new().chain_update(plan.instance.bytes()).chain_update(plan.device.as_str()).finalize();
    format!("{PROXY_TABLES}{}", &hex::encode(digest)[..10])
}

pub(super) async fn open(links: &Handle, proc: &Path, plan: &ProxyPlan, to: &ProxyTarget) -> Result<()> {
    relay::refuse_taken(proc, &plan.proxy)?;
    let target = to.address;
    let known = links.addresses().await.map_err(from_netlink)?;
    let near = known.iter().map(|address| address.net).find(|net| net.contains(&target)).unwrap_or(IpNet::from(target));
    if are_bridges_filtered(proc, target) {
        // What an instance sends to itself goes back by its port then, instead of through the host.
        let port = to.host_name.clone().unwrap_or_else(|| host_name(plan.instance, &to.nic));
        match links.ensure_hairpin(&port, true).await {
            Ok(_) => {}
            // A routed interface is no port.
            Err(error) => tracing::info!(LXHOST_INSTANCE = %plan.machine, "device {}: {error}", plan.device),
        }
    }
    firewall::apply(&render(plan, target, near.trunc())).await
}

/// Whether packets pass the rules for the host's own on bridges, too (br_netfilter).
fn are_bridges_filtered(proc: &Path, target: IpAddr) -> bool {
    let file = if target.is_ipv4() { "bridge-nf-call-iptables" } else { "bridge-nf-call-ip6tables" };
    std::fs::read_to_string(proc.join("sys/net/bridge").join(file)).is_ok_and(|text| text.trim() == "1")
}

pub(super) async fn close(plan: &ProxyPlan) -> Result<()> {
    let table = table(plan);
    // Naming the table first makes the deletion valid when there is none.
    firewall::apply(&format!("table inet {table}\ndelete table inet {table}\n")).await
}

pub(super) async fn is_open(plan: &ProxyPlan) -> Result<bool> {
    // Flushed, it has its chains and no rules.
    Ok(firewall::list(&["list", "table", "inet", &table(plan)]).await?.is_some_and(|listed| listed.contains("\"dnat\"")))
}

/// The transaction that makes the table. `near` is the net of the host in which the instance is.
fn render(plan: &ProxyPlan, target: IpAddr, near: IpNet) -> String {
    let (table, protocol) = (table(plan), plan.proxy.listen.protocol());
    let Some((ports, listen)) = plan.proxy.listen.ports() else { return String::new() };
    let targets = plan.proxy.connect.ports().map(|(ports, _)| ports).unwrap_or_default();
    let (family, loopback) = if target.is_ipv4() { ("ip", "127.0.0.0/8") } else { ("ip6", "::1") };
    let list = |ports: &[u16]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let to = |at: usize| targets.get(at).or(targets.first()).copied().unwrap_or_default();
    let pairs: Vec<String> = ports.iter().enumerate().map(|(at, port)| format!("{port} : {}", to(at))).collect();
    let (from, pairs, targets) = (list(ports), pairs.join(", "), list(targets));
    let place = if listen.is_unspecified() {
        // What is for the host itself, and not all that passes it.
        format!("{family} daddr != {loopback} fib daddr type local")
    } else {
        format!("{family} daddr {listen}")
    };
    let translate =
        format!("{place} {protocol} dport {{ {from} }} dnat {family} to {target} : {protocol} dport map {{ {pairs} }}");
    // An answer that did not pass here would not be known to whoever is in the instance's own net.
    let back =
        format!("ct status dnat {family} saddr {near} {family} daddr {target} {protocol} dport {{ {targets} }} masquerade");
    let chain = |name: &str, hook: &str, rule: &str| {
        format!("\tchain {name} {{\n\t\ttype nat hook {hook}; policy accept;\n\t\t{rule}\n\t}}\n")
    };
    [
        format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n"),
        chain("prerouting", "prerouting priority dstnat", &translate),
        chain("output", "output priority -100", &translate),
        chain("postrouting", "postrouting priority srcnat - 1", &back),
        "}\n".to_owned(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::super::plan_of;
    use super::*;

    fn rendered(listen: &str, connect: &str, target: &str, near: &str) -> String {
        let plan = plan_of(&[("listen", listen), ("connect", connect), ("nat", "true")], Some(target));
        render(&plan, target.parse().unwrap(), near.parse().unwrap())
    }

    #[test]
    fn the_tables_are_as_in_the_golden_file() {
        let text = [
            rendered("tcp:192.0.2.1:8080,8443", "tcp:0.0.0.0:80,443", "10.1.2.9", "10.1.2.0/24"),
            rendered("udp:0.0.0.0:5000-5002", "udp:10.1.2.9:53", "10.1.2.9", "10.1.2.0/24"),
            rendered("tcp:[::]:80", "tcp:[fd42::9]:80", "fd42::9", "fd42::/64"),
        ]
        .concat();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/network/golden/proxy-nat.nft");
        if std::env::var_os("LXHOST_BLESS").is_some() {
            std::fs::write(golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(golden).unwrap_or_default());
    }
}
