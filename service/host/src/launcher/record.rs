//! What this daemon notes in an instance's runtime directory for the one after it: interfaces, and what of them is to
//! be removed or brought back when the run is over.

use std::path::Path;

use ipnet::IpNet;
use lxhost_engine::ports::{NicKind, NicSpec};
use lxhost_model::{Error, Result};
use lxhost_netlink::Link;

const NAME: &str = "links";
/// A thousand interfaces' names.
const MOST_BYTES: usize = 64 << 10;

/// An interface that was made, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    /// Name inside; empty in the notes of a daemon before 1.1, which knew pairs only.
    pub(super) name: String,
    /// What there is of it.
    pub(super) what: What,
}

/// What there is of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A pair, with its end here, and routes by the bridge that it is a port of.
    Pair {
        host: String,
        /// Hardware address inside; `-` where an older daemon has not noted it.
        mac: String,
        bridge: String,
        routes: Vec<(IpNet, Option<u32>)>,
    },
    /// A link inside that goes with its namespace.
    Inside,
    /// A link of the host's, as it was.
    Physical(Lent),
}

/// A link of the host that is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lent {
    pub(super) host: String,
    /// Its hardware address now; by that it is found again.
    pub(super) mac: String,
    /// Its hardware address before.
    pub(super) own_mac: String,
    pub(super) mtu: u32,
    pub(super) up: bool,
}

impl Made {
    /// What `nic` is going to be; `parent` is the link that goes inside.
    pub(super) fn of(nic: &NicSpec, parent: Option<&Link>) -> Self {
        let pair = |end: &lxhost_engine::ports::HostEnd, bridge: &str| What::Pair {
            host: end.name.clone(),
            mac: nic.mac.clone().unwrap_or_else(|| "-".to_owned()),
            bridge: bridge.to_owned(),
            routes: end.routes.clone(),
        };
        let what = match &nic.kind {
            NicKind::Bridged(port) => pair(&port.end, &port.bridge),
            // Its routes go with its end.
            NicKind::Pair(end) => pair(end, "-"),
            NicKind::Macvlan { .. } | NicKind::Ipvlan { .. } => What::Inside,
            NicKind::Physical { parent: name } => {
                let own_mac = parent.and_then(|link| link.mac).map(hex).unwrap_or_default();
                What::Physical(Lent {
                    host: name.clone(),
                    mac: nic.mac.clone().unwrap_or_else(|| own_mac.clone()),
                    own_mac,
                    mtu: parent.map_or(0, |link| link.mtu),
                    up: parent.is_some_and(|link| link.up),
                })
            }
        };
        Made { name: nic.name.clone(), what }
    }

    fn line(&self) -> String {
        match &self.what {
            What::Pair { host, mac, bridge, routes } => {
                let routes: Vec<String> = routes.iter().map(|(net, table)| format!(" {net}@{}", table.unwrap_or(0))).collect();
                format!("pair {host} {} {mac} {bridge}{}", self.name, routes.concat())
            }
            What::Inside => format!("inside {}", self.name),
            What::Physical(Lent { host, mac, own_mac, mtu, up }) => {
                format!("physical {host} {} {mac} {own_mac} {mtu} {up}", self.name)
            }
        }
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let made = |name: &str, what| Some(Made { name: name.to_owned(), what });
        let text = |word: &str| word.to_owned();
        match words.as_slice() {
            [host] => made("", What::Pair { host: text(host), mac: text("-"), bridge: text("-"), routes: vec![] }),
            ["pair", host, name, mac, bridge, routes @ ..] => {
                let routes = routes.iter().filter_map(|route| {
                    let (net, table) = route.split_once('@')?;
                    Some((net.parse().ok()?, table.parse().ok().filter(|table| *table > 0)))
                });
                made(name, What::Pair { host: text(host), mac: text(mac), bridge: text(bridge), routes: routes.collect() })
            }
            ["inside", name] => made(name, What::Inside),
            ["physical", host, name, mac, own_mac, mtu, up] => {
                let (mac, own_mac, mtu) = (text(mac), text(own_mac), mtu.parse().ok()?);
                made(name, What::Physical(Lent { host: text(host), mac, own_mac, mtu, up: *up == "true" }))
            }
            _ => None,
        }
    }
}

fn hex(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// Notes interfaces, before they are made.
pub(super) fn write(dir: &Path, made: &[Made]) -> Result<()> {
    let lines: Vec<String> = made.iter().map(Made::line).collect();
    let (path, staged) = (dir.join(NAME), dir.join(".links.new"));
    let written = std::fs::write(&staged, lines.join("\n")).and_then(|()| std::fs::rename(&staged, &path));
    written.map_err(|error| Error::io(format!("write {}", path.display()), &error))
}

/// The interfaces noted; none where there is no note.
pub(super) fn read(dir: &Path) -> Vec<Made> {
    let text = std::fs::read_to_string(dir.join(NAME)).unwrap_or_default();
    if text.len() > MOST_BYTES {
        return Vec::new();
    }
    text.lines().filter_map(Made::read).collect()
}

/// Routes that lead through a bridge, and so do not go with the pair.
pub(super) fn routes_by_bridge(made: &Made) -> Vec<(String, IpNet, Option<u32>)> {
    match &made.what {
        What::Pair { bridge, routes, .. } if bridge != "-" => {
            routes.iter().map(|(net, table)| (bridge.clone(), *net, *table)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_reads_back_also_from_an_older_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let route = ("10.9.0.0/24".parse().unwrap(), Some(100));
        let made = [
            (
                "eth0",
                What::Pair { host: "vetha".into(), mac: "02:00:00:00:00:07".into(), bridge: "lxbr0".into(), routes: vec![route] },
            ),
            ("eth1", What::Inside),
            (
                "wan",
                What::Physical(Lent {
                    host: "enp3s0".into(),
                    mac: "02:00:00:00:00:01".into(),
                    own_mac: "00:16:3e:00:00:01".into(),
                    mtu: 1500,
                    up: true,
                }),
            ),
        ];
        let made: Vec<Made> = made.into_iter().map(|(name, what)| Made { name: name.into(), what }).collect();
        write(dir.path(), &made).unwrap();
        assert_eq!(read(dir.path()), made);
        std::fs::write(dir.path().join(NAME), "vetha\nvethb").unwrap();
        let hosts: Vec<What> = read(dir.path()).into_iter().map(|made| made.what).collect();
        assert!(matches!(&hosts[1], What::Pair { host, .. } if host == "vethb"), "{hosts:?}");
        std::fs::write(dir.path().join(NAME), "physical a b\npair\n\n").unwrap();
        assert!(read(dir.path()).iter().all(|made| made.name.is_empty()));
    }
}
