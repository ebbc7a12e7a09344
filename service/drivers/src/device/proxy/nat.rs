//! Proxies by the kernel: a table of nftables for each, which gives packets the instance as their destination.
//! Nothing of it is in the table of the networks, so neither is written anew for the other.

use super::relay;
use crate::device::host_name;
use crate::network::firewall;
use crate::network::from_netlink;
use ipnet::IpNet;
use lxhost_engine::ports::{ProxyPlan, ProxyTarget};
use lxhost_model::{ObjectId, Result};
use lxhost_netlink::Handle;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use tokio::sync::Mutex;

/// How the names of our tables begin.
pub(crate) const PROXY_TABLES: &str = "lxhost_proxy_";

/// How the names of an instance's tables begin.
fn of_instance(instance: ObjectId) -> String {
    let digest = Sha256::new().chain_update(instance.bytes()).finalize();
    format!("{PROXY_TABLES}{}_", &hex::encode(digest)[..10])
}

/// Name of a proxy's table.
fn table(plan: &ProxyPlan) -> String {
    let digest = Sha256::new().chain_update(plan.device.as_str()).finalize();
    format!("{}{}", of_instance(plan.instance), &hex::encode(digest)[..8])
}

/// The tables that there may be, so that nobody has to look for those of an instance that never had one.
#[derive(Default)]
pub(super) struct Tables {
    /// `None` until it was looked once: an earlier daemon may have made some.
    known: Mutex<Option<BTreeSet<String>>>,
}

impl Tables {
    pub(super) async fn note(&self, plan: &ProxyPlan) {
        if let Some(known) = self.known.lock().await.as_mut() {
            known.insert(table(plan));
        }
    }

    /// Removes those of an instance.
    pub(super) async fn sweep(&self, instance: ObjectId) -> Result<()> {
        let mut known = self.known.lock().await;
        if known.is_none() {
            *known = Some(listed(&firewall::list(&["list", "tables", "inet"]).await?.unwrap_or_default()));
        }
        let (Some(known), prefix) = (known.as_mut(), of_instance(instance)) else { return Ok(()) };
        let its: Vec<String> = known.iter().filter(|table| table.starts_with(&prefix)).cloned().collect();
        for table in its {
            remove(&table).await?;
            known.remove(&table);
        }
        Ok(())
    }
}

/// Our tables in what `nft -j list tables` says.
fn listed(text: &str) -> BTreeSet<String> {
    let said: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let entries = said.get("nftables").and_then(serde_json::Value::as_array).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.get("table")?.get("name")?.as_str());
    names.filter(|name| name.starts_with(PROXY_TABLES)).map(str::to_owned).collect()
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
    remove(&table(plan)).await
}

async fn remove(table: &str) -> Result<()> {
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
    fn only_our_tables_are_swept() {
        let text = r#"{"nftables": [{"metainfo": {"version": "1"}}, {"table": {"family": "inet", "name": "lxhost"}},
            {"table": {"family": "inet", "name": "lxhost_proxy_0_1"}}, {"table": {"family": "inet", "name": "filter"}}]}"#;
        assert_eq!(listed(text).into_iter().collect::<Vec<_>>(), ["lxhost_proxy_0_1"]);
        assert!(listed("").is_empty() && listed("[]").is_empty());
        let one = plan_of(&[("listen", "tcp:192.0.2.1:80"), ("connect", "tcp:10.1.2.9:80"), ("nat", "true")], Some("10.1.2.9"));
        let other = ProxyPlan { device: "web2".parse().unwrap(), ..one.clone() };
        assert!(table(&one) != table(&other) && table(&one).starts_with(&of_instance(one.instance)));
        let stranger = ObjectId::from_random([8; 16]);
        assert!(!table(&one).starts_with(&of_instance(stranger)));
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
