//! Who has the port that a name server wants: read from /proc when the server cannot start. Called by `serve`.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Ports of DNS, DHCP and DHCPv6, with the protocols in which they are looked for.
const PORTS: [(u16, &str, &[&str]); 3] =
    [(53, "DNS", &["tcp", "tcp6", "udp", "udp6"]), (67, "DHCP", &["udp"]), (547, "DHCPv6", &["udp6"])];
/// State of a TCP socket that listens (`TCP_LISTEN`).
const LISTENS: &str = "0A";
/// Units of ours, which share ports with each other.
const OURS: &str = "lxhost-dnsmasq@";

/// A sentence about each process that has a port which a server at `addresses` needs.
pub(super) fn holders(proc: &Path, addresses: &[IpAddr]) -> Vec<String> {
    let mut said = Vec::new();
    for (port, name, protocols) in PORTS {
        let mut inodes = Vec::new();
        for protocol in protocols {
            let table = fs::read_to_string(proc.join("net").join(protocol)).unwrap_or_default();
            inodes.extend(table.lines().skip(1).filter_map(|line| taken(line, protocol, port, addresses)));
        }
        let theirs = |(_, pid): &(String, u32)| !is_ours(proc, *pid);
        if let Some((process, pid)) = inodes.iter().find_map(|inode| owner(proc, inode).filter(theirs)) {
            said.push(format!("port {port} ({name}) is taken by {process} (process {pid})"));
        }
    }
    said
}

/// The process that has a socket at `port` of an address in the way of `address`, in the network namespace of the
/// process whose directory is `view`; `protocol` is `tcp` or `udp`.
pub(crate) fn holder(proc: &Path, view: &str, protocol: &str, port: u16, address: IpAddr) -> Option<String> {
    let both = [protocol.to_owned(), format!("{protocol}6")];
    let tables = both.map(|table| fs::read_to_string(proc.join(view).join("net").join(table)).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let inodes: Vec<String> = if address.is_unspecified() {
        let at = |line: &str| local(line).and_then(|at| Some((!at.is_unspecified(), taken(line, protocol, port, &[at])?)));
        // Whoever has it everywhere is in the way for certain.
        lines.filter_map(at).collect::<BTreeSet<_>>().into_iter().map(|(_, inode)| inode).collect()
    } else {
        lines.filter_map(|line| taken(line, protocol, port, &[address])).collect()
    };
    let (process, pid) = inodes.iter().find_map(|inode| owner(proc, inode))?;
    let network = cgroup(proc, pid).and_then(|text| {
        let (_, rest) = text.split_once(OURS)?;
        Some(format!(" of network {}", rest.split_once(".service")?.0))
    });
    Some(format!("{process}{} (process {pid})", network.unwrap_or_default()))
}

/// The address in a line of /proc/net.
fn local(line: &str) -> Option<IpAddr> {
    parse(line.split_ascii_whitespace().nth(1)?.split_once(':')?.0)
}

/// The inode of a socket in a line of /proc/net, if it has the port at one of the addresses, or at all.
fn taken(line: &str, protocol: &str, port: u16, addresses: &[IpAddr]) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, number) = fields.get(1)?.split_once(':')?;
    if u16::from_str_radix(number, 16).ok()? != port || (protocol.starts_with("tcp") && fields.get(3) != Some(&LISTENS)) {
        return None;
    }
    let address = parse(address)?;
    let inode = fields.get(9)?;
    (address.is_unspecified() || addresses.contains(&address)).then(|| (*inode).to_owned())
}

/// An address as /proc/net has it: words of 32 bits in the machine's order.
fn parse(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)))
        }
        _ => None,
    }
}

fn cgroup(proc: &Path, pid: u32) -> Option<String> {
    fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).ok()
}

fn is_ours(proc: &Path, pid: u32) -> bool {
    cgroup(proc, pid).is_some_and(|text| text.contains(OURS))
}

/// Name and number of the process that has a socket open.
fn owner(proc: &Path, inode: &str) -> Option<(String, u32)> {
    let wanted = format!("socket:[{inode}]");
    let pids = fs::read_dir(proc).ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let dir = proc.join(pid.to_string());
        let mut open = fs::read_dir(dir.join("fd")).into_iter().flatten().flatten();
        if !open.any(|file| fs::read_link(file.path()).is_ok_and(|target| target.to_str() == Some(&wanted))) {
            continue;
        }
        let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
        return Some((name.trim().chars().filter(|c| !c.is_control()).take(32).collect(), pid));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in ["net", "41/fd", "42/fd"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let row = |address: &str, state: &str, inode: &str| {
            format!("   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 x\n")
        };
        let tcp = [row("0101007F:0035", "0A", "70"), row("0101010A:0035", "01", "71"), row("0101010A:0035", "0A", "72")].concat();
        fs::write(at("net/tcp"), format!("{head}{tcp}")).unwrap();
        fs::write(at("net/udp"), format!("{head}{}", row("00000000:0043", "07", "73"))).unwrap();
        for (pid, name, inode, cgroup) in [("41", "named\u{1b}", "72", "0::/x"), ("42", "dnsmasq", "73", "0::/lxhost-dnsmasq@a")]
        {
            std::os::unix::fs::symlink(format!("socket:[{inode}]"), at(&format!("{pid}/fd/5"))).unwrap();
            fs::write(at(&format!("{pid}/comm")), format!("{name}\n")).unwrap();
            fs::write(at(&format!("{pid}/cgroup")), cgroup).unwrap();
        }
        dir
    }

    #[test]
    fn the_process_that_listens_at_the_address_is_named_and_ours_are_not() {
        let dir = proc();
        let said = holders(dir.path(), &["10.1.1.1".parse().unwrap()]);
        assert_eq!(said, ["port 53 (DNS) is taken by named (process 41)"]);
        assert!(holders(dir.path(), &["10.1.1.2".parse().unwrap()]).is_empty());
    }

    #[test]
    fn who_has_a_port_is_named_ours_included() {
        let dir = proc();
        let view = dir.path().join("7");
        fs::create_dir(&view).unwrap();
        std::os::unix::fs::symlink(dir.path().join("net"), view.join("net")).unwrap();
        let of = |protocol, port, address: &str| holder(dir.path(), "7", protocol, port, address.parse().unwrap());
        assert_eq!(of("tcp", 53, "10.1.1.1").unwrap(), "named (process 41)");
        assert_eq!(of("tcp", 53, "0.0.0.0").unwrap(), "named (process 41)");
        assert_eq!(of("udp", 67, "10.1.1.9").unwrap(), "dnsmasq (process 42)");
        assert_eq!((of("tcp", 53, "10.1.1.2"), of("tcp", 54, "0.0.0.0")), (None, None));
    }

    #[test]
    fn lines_without_sense_name_nobody() {
        for line in [
            "",
            "x",
            "0: 0101010A 0 0A",
            "0: 0101010A:zz 0 0A 0 0 0 0 0 7",
            "0: 01:0035 0 0A 0 0 0 0 0 7",
            "0: 0101010A:0035 0 0A",
        ] {
            assert_eq!(taken(line, "tcp", 53, &["10.1.1.1".parse().unwrap()]), None, "{line}");
        }
    }
}
