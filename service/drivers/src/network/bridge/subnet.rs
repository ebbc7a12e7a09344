//! Which part of the address space a network takes: free ones for those that ask for none, and
//! whether a given one collides. Pure; who uses what, and chance, are handed in.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lxhost_model::{Error, Kind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A part of the address space that somebody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// Which part.
    pub(super) net: IpNet,
    /// Who, for people.
    pub(super) by: String,
    /// Whether addresses in it can be reached directly or belong to a network of ours, so that
    /// nobody else may have one; a mere route to somewhere may be overruled by a longer prefix.
    pub(super) firm: bool,
}

/// A route shorter than this leads to most of the world: a default route in one or two pieces.
const WORLD: u8 = 4;
/// Random tries per block of private addresses.
const TRIES: usize = 400;

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn is_free(net: IpNet, taken: &[Taken]) -> bool {
    taken.iter().filter(|t| t.net.prefix_len() >= WORLD).all(|t| !overlap(&t.net, &net))
}

/// A free /22 of the private blocks (RFC 1918), 10.0.0.0/8 first, with the bridge's address in it: as many addresses
/// as Linux gives a bridge ports.
///
/// # Errors
/// `Conflict` when nothing free was found.
pub(super) fn free_ipv4(taken: &[Taken], chance: &mut dyn FnMut() -> u64) -> Result<Ipv4Net> {
    for (base, bits) in [([10, 0], 14), ([172, 16], 10), ([192, 168], 6)] {
        for _ in 0..TRIES {
            let pick = (chance() & ((1 << bits) - 1)) as u32;
            let address = Ipv4Addr::from(u32::from_be_bytes([base[0], base[1], 0, 0]) + (pick << 10) + 1);
            let Ok(net) = Ipv4Net::new(address, 22) else { continue };
            if is_free(IpNet::V4(net), taken) {
                return Ok(net);
            }
        }
    }
    Err(Error::new(Kind::Conflict, "every private IPv4 subnet that was tried is in use on this host; set ipv4.address"))
}

/// A free /64 of the unique local addresses (RFC 4193), with the bridge's address in it.
///
/// # Errors
/// `Conflict` when nothing free was found.
pub(super) fn free_ipv6(taken: &[Taken], chance: &mut dyn FnMut() -> u64) -> Result<Ipv6Net> {
    for _ in 0..TRIES {
        let [a, b, c, ..] =
            chance().to_be_bytes().chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let Ok(net) = Ipv6Net::new(Ipv6Addr::new(0xfd42, a, b, c, 0, 0, 0, 1), 64) else { continue };
        if is_free(IpNet::V6(net), taken) {
            return Ok(net);
        }
    }
    Err(Error::new(Kind::Conflict, "every local IPv6 subnet that was tried is in use on this host; set ipv6.address"))
}

/// Checks that a subnet somebody chose takes nothing away: it may lie inside a wider route, but
/// overlaps no network of ours and no subnet this host is on, and holds no narrower route.
///
/// # Errors
/// `Conflict`, naming who uses it.
pub(super) fn check_given<'a>(net: IpNet, taken: impl IntoIterator<Item = &'a Taken>) -> Result<()> {
    let mut taken = taken.into_iter().filter(|t| t.net.prefix_len() >= WORLD);
    match taken.find(|t| net.contains(&t.net) || (t.firm && overlap(&t.net, &net))) {
        None => Ok(()),
        Some(t) => Err(Error::new(Kind::Conflict, format!("{} overlaps {}, which {} uses", net.trunc(), t.net, t.by))),
    }
}

/// Addresses of the name servers in a `resolv.conf(5)`: usually reached over the default route, so
/// that no route says they are in use.
pub(in crate::network) fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let servers = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|rest| rest.split_whitespace().next()?.split('%').next()?.parse().ok()).take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(net: &str, firm: bool) -> Taken {
        Taken { net: net.parse().unwrap(), by: "route".into(), firm }
    }

    fn counter() -> impl FnMut() -> u64 {
        let mut n = 0;
        move || {
            n += 1;
            n
        }
    }

    #[test]
    fn the_first_free_subnet_is_taken() {
        let used = [taken("10.0.5.0/24", true), taken("10.0.8.128/25", false)];
        assert_eq!(free_ipv4(&used, &mut counter()).unwrap().to_string(), "10.0.12.1/22");
    }

    #[test]
    fn default_routes_in_pieces_use_nothing_but_a_vpn_to_ten_uses_all_of_ten() {
        let used = [taken("0.0.0.0/0", false), taken("0.0.0.0/1", false), taken("128.0.0.0/1", false)];
        assert_eq!(free_ipv4(&used, &mut counter()).unwrap().to_string(), "10.0.4.1/22");
        let vpn = free_ipv4(&[taken("10.0.0.0/8", false)], &mut counter()).unwrap();
        assert!("172.16.0.0/12".parse::<Ipv4Net>().unwrap().contains(&vpn), "{vpn}");
    }

    #[test]
    fn every_pick_stays_in_its_private_block() {
        let mut ones = || u64::MAX;
        assert_eq!(free_ipv4(&[], &mut ones).unwrap().to_string(), "10.255.252.1/22");
        assert_eq!(free_ipv4(&[taken("10.0.0.0/8", true)], &mut ones).unwrap().to_string(), "172.31.252.1/22");
        let used = [taken("10.0.0.0/8", true), taken("172.16.0.0/12", true)];
        assert_eq!(free_ipv4(&used, &mut ones).unwrap().to_string(), "192.168.252.1/22");
    }

    #[test]
    fn a_full_address_space_is_said_instead_of_overlapped() {
        let used = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(|n| taken(n, false));
        assert_eq!(free_ipv4(&used, &mut counter()).unwrap_err().kind, Kind::Conflict);
        assert_eq!(free_ipv6(&[taken("fd00::/8", false)], &mut counter()).unwrap_err().kind, Kind::Conflict);
    }

    #[test]
    fn a_local_ipv6_prefix_is_free_and_holds_the_bridge() {
        let net = free_ipv6(&[], &mut || 0x1122_3344_5566_7788).unwrap();
        assert_eq!(net.to_string(), "fd42:1122:3344:5566::1/64");
    }

    #[test]
    fn a_given_subnet_may_lie_in_a_wide_route_but_takes_nothing_from_others() {
        let net: IpNet = "10.5.5.1/24".parse().unwrap();
        assert!(check_given(net, &[taken("10.0.0.0/8", false), taken("0.0.0.0/0", false)]).is_ok());
        for used in
            [taken("10.5.5.0/24", false), taken("10.5.5.128/25", false), taken("10.5.0.0/16", true), taken("10.5.5.7/32", false)]
        {
            let error = check_given(net, std::slice::from_ref(&used)).unwrap_err();
            assert_eq!(error.kind, Kind::Conflict);
            assert!(error.message.contains(&used.net.to_string()), "{error}");
        }
    }

    #[test]
    fn name_servers_are_read_and_anything_else_is_not() {
        let text =
            "# x\nnameserver 10.255.255.53\nnameserver fe80::1%eth0\n nameserver ::1 \nnameserver\nnameserver x\nsearch a\n";
        let servers: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.255.255.53", "fe80::1", "::1"]);
    }
}
