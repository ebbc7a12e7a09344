//! dnsmasq's file of leases, read as hostile: guests choose names and client ids in it. Pure.

use lxhost_engine::ports::Lease;
use std::net::IpAddr;

/// Most leases read from one file.
const MAX: usize = 70_000;

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

fn line(text: &str) -> Option<Line> {
    let mut fields = text.split_ascii_whitespace();
    let expires = fields.next()?.parse().ok()?;
    let mut next = || Some(fields.next()?.chars().filter(|c| !c.is_control()).take(255).collect::<String>());
    let (holder, address, hostname, client) = (next()?, next()?, next()?, next()?);
    let unless_star = |s: String| if s == "*" { String::new() } else { s };
    Some(Line { expires, holder, address: address.parse().ok()?, hostname: unless_star(hostname), client: unless_star(client) })
}

impl Line {
    /// As the port wants it.
    pub(crate) fn lease(&self) -> Lease {
        let mac = if self.address.is_ipv4() { self.holder.clone() } else { String::new() };
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
        assert_eq!(lines[0].lease().mac, "00:16:3e:01:02:03");
        assert_eq!((lines[1].hostname.as_str(), lines[1].client.as_str()), ("", ""));
        assert_eq!((lines[2].lease().mac.as_str(), lines[2].address.is_ipv6()), ("", true));
    }

    #[test]
    fn what_is_no_lease_is_left_out() {
        let long = format!("1 a 10.1.2.3 {} *", "x".repeat(5000));
        assert_eq!(read(&long)[0].hostname.len(), 255);
        for text in
            ["", "1", "1 a b c d", "x 00:16:3e:01:02:03 10.1.2.3 c1 *", "1 a 10.1.2.3", "-1 a 10.1.2.3 c d", "\0\u{1b}[0m"]
        {
            assert_eq!(read(text), [], "{text:?}");
        }
    }
}
