//! `network info` and `network list-allocations`: what is on the host now.

use crate::bus::Session;
use crate::failure::Failure;
use crate::pages;
use crate::render::{self, Format, Table};
use crate::values::{self, list, number, text};
use lxhost_dbus::Options;
use lxhost_dbus::wire::Values;
use serde_json::json;
use std::fmt::Write;

/// How a network stands.
pub(super) async fn info(session: &Session, name: &str, format: Format) -> Result<(), Failure> {
    let network = session.network(name).await?;
    let (state, until) = (network.get_state(&Options::new()).await?, network.rollback_at().await?);
    let name = crate::reference::local(name)?;
    let mut data = values::object(&state);
    data.insert("name".into(), name.into());
    if until > 0 {
        data.insert("rollback-at".into(), until.into());
    }
    render::show_one(format, || describe(name, &state, until), &data)
}

/// As LXD's `network info` says it, and who uses it.
fn describe(name: &str, state: &Values, until: u64) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{key}: {}", render::printable(value));
        }
    };
    line("Name", name);
    line("Interface", &text(state, "interface"));
    line("MAC address", &text(state, "hwaddr"));
    line("MTU", &number(state, "mtu").map(|mtu| mtu.to_string()).unwrap_or_default());
    let up = state.get("up").is_some_and(|up| values::json(up) == true);
    line("State", if up { "up" } else { "down" });
    let undone = format!("at {} unless confirmed: lxctl network confirm {name}", render::date(until));
    line("Last change undone", if until > 0 { &undone } else { "" });
    line("Used by", &list(state, "used-by").join(", "));
    let default = state.get("default-route").is_some_and(|carries| values::json(carries) == true);
    line("Default route", if default { "this host's leads through it" } else { "" });
    line("Ports", &list(state, "ports").join(", "));
    let addresses = list(state, "addresses");
    if !addresses.is_empty() {
        let _ = writeln!(out, "\nIP addresses:");
        for address in addresses {
            let family = if address.contains(':') { "inet6" } else { "inet" };
            let _ = writeln!(out, "  {family}\t{}", render::printable(&address));
        }
    }
    let bytes = |key| number(state, key).map(render::bytes).unwrap_or_default();
    let packets = |key| number(state, key).unwrap_or_default();
    let _ = writeln!(out, "\nNetwork usage:");
    let _ = writeln!(out, "  Bytes received: {}\n  Bytes sent: {}", bytes("received-bytes"), bytes("sent-bytes"));
    let _ = writeln!(out, "  Packets received: {}\n  Packets sent: {}", packets("received-packets"), packets("sent-packets"));
    let warnings = list(state, "warnings");
    if !warnings.is_empty() {
        let _ = writeln!(out, "\nWarnings:");
        for warning in &warnings {
            let _ = writeln!(out, "  {}", render::printable(warning));
        }
    }
    out
}

/// Subnets of all networks, and the addresses in them.
pub(super) async fn allocations(session: &Session, format: Format) -> Result<(), Failure> {
    let mut table = Table::new(["USED BY", "ADDRESS", "TYPE", "NAT", "HARDWARE ADDRESS"]).keyed(1);
    let mut data = Vec::new();
    let mut row = |used_by: &str, address: &str, kind: &str, nat: bool, mac: &str| {
        table.push([used_by, address, kind, if nat { "YES" } else { "NO" }, mac]);
        data.push(json!({ "used_by": used_by, "address": address, "type": kind, "nat": nat, "hwaddr": mac }));
    };
    for network in pages::networks(session, Some(&session.project)).await? {
        let proxy = session.network(&network.name).await?;
        let state = proxy.get_state(&Options::new()).await?;
        let families = list(&state, "nat");
        let nat = |address: &str| families.iter().any(|family| (family == "ipv6") == address.contains(':'));
        for subnet in &network.subnets {
            row(&network.name, subnet, "network", nat(subnet), &text(&state, "hwaddr"));
        }
        for lease in proxy.list_leases().await? {
            let length = if lease.address.contains(':') { 128 } else { 32 };
            let address = format!("{}/{length}", lease.address);
            row(&lease.hostname, &address, "instance", nat(&address), &lease.mac);
        }
    }
    render::show(format, session.quiet, &table, &data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::wire::{OwnedVariant, Variant};

    #[test]
    fn a_network_is_described_as_lxd_does_with_its_users_and_warnings() {
        let fields: [(&str, Variant<'static>); 8] = [
            ("up", true.into()),
            ("interface", "lxbr0".into()),
            ("mtu", 1500u32.into()),
            ("addresses", vec!["10.0.3.1/24"].into()),
            ("received-bytes", 2048u64.into()),
            ("sent-bytes", 0u64.into()),
            ("used-by", vec!["instance c1"].into()),
            ("warnings", vec!["10.0.3.0/24 overlaps 10.0.0.0/8\u{1b}"].into()),
        ];
        let state = fields.into_iter().map(|(k, v)| (k.to_owned(), OwnedVariant::try_from(v).unwrap())).collect();
        let text = describe("lxbr0", &state, 0);
        assert!(!text.contains("undone"), "{text}");
        let waiting = describe("lxbr0", &state, 1_700_000_000_000_000);
        assert!(waiting.contains("unless confirmed: lxctl network confirm lxbr0\n"), "{waiting}");
        for part in [
            "State: up\n",
            "Used by: instance c1\n",
            "  inet\t10.0.3.1/24\n",
            "Bytes received: 2.00KiB\n",
            "Warnings:\n  10.0.3.0/24",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
