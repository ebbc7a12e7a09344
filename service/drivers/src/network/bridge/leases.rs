//! dnsmasq's file of leases, read as hostile: guests choose names and client ids in it. Pure.

use super::entry::Entry;
use lxhost_engine::ports::Lease;
use lxhost_netlink::Mac;
use std::net::IpAddr;

/// Most leases read from one file.
const MAX: usize = 70_000;
/// Most bytes of an identifier.
const MAX_IDENTIFIER: usize = 255;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// End, seconds since the epoch; 0 = never.
    pub(crate) expires: u64,
    /// Hardware address; for IPv6 the identity-association number, which says nothing.
    pub(crate) holder: String,
    /// Address.
    pub(crate) address: IpAddr,
    /// Name, empty when it has none.
    pub(crate) hostname: String,
    /// DHCP client identifier, colon-separated hex; empty when it sent none.
    pub(crate) client: String,
}

/// The leases in the file's text; lines that are none (such as `duid …`) are left out.
pub(crate) fn read(text: &str) -> Vec<Line> {
    text.lines().filter_map(line).take(MAX).collect()
}

/// The identifier (DUID) by which dnsmasq wants to be called in DHCPv6; it is among the leases of a network that has it.
pub(crate) fn server(text: &str) -> Option<Vec<u8>> {
    text.lines().find_map(|line| line.strip_prefix("duid ")).and_then(identifier)
}

/// The bytes of an identifier, which dnsmasq writes in hex between colons.
pub(crate) fn identifier(text: &str) -> Option<Vec<u8>> {
    let byte = |part: &str| {
        let hex = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
        if hex { u8::from_str_radix(part, 16).ok() } else { None }
    };
    let bytes: Option<Vec<u8>> = text.trim_end().split(':').take(MAX_IDENTIFIER + 1).map(byte).collect();
    bytes.filter(|bytes| bytes.len() <= MAX_IDENTIFIER)
}

fn line(text: &str) -> Option<Line> {
    let mut fields = text.split_ascii_whitespace();
    let expires = fields.next()?.parse().ok()?;
    let mut next = || Some(fields.next()?.chars().filter(|c| !c.is_control()).take(255).collect::<String>());
    let (holder, address, hostname, client) = (next()?, next()?, next()?, next()?);
    let unless_star = |s: String| if s == "*" { String::new() } else { s };
    Some(Line { expires, holder, address: address.parse().ok()?, hostname: unless_star(hostname), client: unless_star(client) })
}

impl Line {
    /// Who of those may hold it: who has its hardware address. DHCPv6 says none, so then it is who is kept the address, or
    /// else who has its name, which interfaces of one instance share.
    pub(crate) fn holders<'a>(&self, known: &'a [Entry]) -> Vec<&'a Entry> {
        let is = |test: &dyn Fn(&Entry) -> bool| known.iter().filter(|entry| test(entry)).collect::<Vec<_>>();
        let IpAddr::V6(address) = self.address else {
            let mac: Option<Mac> = self.holder.parse().ok();
            return is(&|entry| Some(entry.mac) == mac);
        };
        match is(&|entry| entry.ipv6 == Some(address)) {
            none if none.is_empty() => is(&|entry| !self.hostname.is_empty() && entry.hostname == self.hostname),
            kept => kept,
        }
    }

    /// As the port wants it.
    pub(crate) fn lease(&self, known: &[Entry]) -> Lease {
        let mac = match self.address {
            IpAddr::V4(_) => self.holder.clone(),
            IpAddr::V6(_) => match self.holders(known)[..] {
                [only] => only.mac.to_string(),
                _ => String::new(),
            },
        };
        Lease { mac, address: self.address, hostname: self.hostname.clone(), expires: self.expires }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_of_both_families_are_read() {
        let text = "1763800000 00:16:3e:01:02:03 10.1.2.50 c1 01:00:16:3e:01:02:03\n\
                    1763800001 00:16:3e:01:02:04 10.1.2.51 * *\n\
                    duid 00:01:00:01:2c:aa:bb:cc:00:16:3e:00:00:01\n\
                    1763800002 3187905 fd42:1:2:3::1a c1 00:02:00:00:ab:11\n";
        let lines = read(text);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].lease(&[]).mac, "00:16:3e:01:02:03");
        assert_eq!((lines[1].hostname.as_str(), lines[1].client.as_str()), ("", ""));
        assert_eq!((lines[2].lease(&[]).mac.as_str(), lines[2].address.is_ipv6()), ("", true));
        assert_eq!(server(text).unwrap(), [0, 1, 0, 1, 0x2c, 0xaa, 0xbb, 0xcc, 0, 0x16, 0x3e, 0, 0, 1]);
    }

    #[test]
    fn a_lease_of_ipv6_is_whose_the_address_is_kept_for_or_who_alone_has_its_name() {
        let entry = |nic: &str, line: &str| Entry::read(&format!("{}.{nic}", "09".repeat(16)), line).unwrap();
        let known = [
            entry("eth0", "00:16:3e:01:02:03,id:*,c1"),
            entry("eth0", "00:16:3e:01:02:04,id:*,[fd42::9],c2"),
            entry("eth0", "00:16:3e:01:02:05,id:*,c3"),
            entry("eth1", "00:16:3e:01:02:06,id:*,c3"),
            entry("eth0", "00:16:3e:01:02:07,id:*"),
        ];
        for (line, macs, mac) in [
            ("1 7 fd42::1 c1 00:01", &[3][..], "00:16:3e:01:02:03"),
            ("1 7 fd42::9 c1 00:01", &[4], "00:16:3e:01:02:04"),
            ("1 7 fd42::2 c2 00:01", &[4], "00:16:3e:01:02:04"),
            ("1 7 fd42::3 c3 00:01", &[5, 6], ""),
            ("1 7 fd42::4 * 00:01", &[], ""),
            ("1 00:16:3e:01:02:05 10.1.2.3 c1 *", &[5], "00:16:3e:01:02:05"),
            ("1 00:16:3e:01:02:99 10.1.2.4 c1 *", &[], "00:16:3e:01:02:99"),
        ] {
            let line = read(line).remove(0);
            let found: Vec<u8> = line.holders(&known).iter().map(|entry| entry.mac.bytes()[5]).collect();
            assert_eq!((&found[..], line.lease(&known).mac.as_str()), (macs, mac), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_lease_is_left_out() {
        for text in ["", "duid", "duid ", "duid 00:1", "duid 00:+1", "duid 00 01", &format!("duid 00{}", ":00".repeat(255))] {
            assert_eq!(server(text), None, "{text:?}");
        }
        let long = format!("1 a 10.1.2.3 {} *", "x".repeat(5000));
        assert_eq!(read(&long)[0].hostname.len(), 255);
        for text in
            ["", "1", "1 a b c d", "x 00:16:3e:01:02:03 10.1.2.3 c1 *", "1 a 10.1.2.3", "-1 a 10.1.2.3 c d", "\0\u{1b}[0m"]
        {
            assert_eq!(read(text), [], "{text:?}");
        }
    }
}
