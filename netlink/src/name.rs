//! Names and hardware addresses of links. A value of these types is valid, and safe to put into a
//! path below /proc/sys or a line of a configuration file.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Name of a network interface: 1 to 15 bytes (`IFNAMSIZ`), letters, digits, `-`, `_` and `.`;
/// narrower than `dev_valid_name` of the kernel, which also takes control characters.
///
/// ```
/// use lxhost_netlink::LinkName;
/// assert_eq!("eth0.100".parse::<LinkName>()?.as_str(), "eth0.100");
/// assert!("../eth0".parse::<LinkName>().is_err() && "sixteen-is-many-".parse::<LinkName>().is_err());
/// # Ok::<(), lxhost_netlink::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName(String);

impl LinkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkName {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let fine = (1..=15).contains(&s.len())
            && s != "."
            && s != ".."
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !s.starts_with('-');
        if fine { Ok(LinkName(s.to_owned())) } else { Err(Error::InvalidName(s.chars().take(32).collect())) }
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hardware address of one station: 48 bits, neither a group's address nor zero.
///
/// ```
/// use lxhost_netlink::Mac;
/// let mac: Mac = "0A:00:00:00:00:02".parse()?;
/// assert_eq!(mac.to_string(), "0a:00:00:00:00:02");
/// assert_eq!(mac.host_end().to_string(), "fe:00:00:00:00:02");
/// assert!("ff:ff:ff:ff:ff:ff".parse::<Mac>().is_err(), "everybody is no station");
/// # Ok::<(), lxhost_netlink::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address of those bytes.
    ///
    /// # Errors
    /// `InvalidMac` for a multicast address and for zero.
    pub fn new(bytes: [u8; 6]) -> Result<Self> {
        let mac = Mac(bytes);
        if bytes[0] & 1 == 1 || bytes == [0; 6] { Err(Error::InvalidMac(mac.to_string())) } else { Ok(mac) }
    }

    /// The six bytes.
    pub fn bytes(&self) -> [u8; 6] {
        self.0
    }

    /// The same address with the first byte `fe`: what the host's end of a pair has, so that a
    /// bridge never takes it for its own (it takes the lowest) and the two ends differ.
    pub fn host_end(&self) -> Mac {
        let mut bytes = self.0;
        // Somebody may have chosen fe for the guest.
        bytes[0] = if bytes[0] == 0xfe { 0xfa } else { 0xfe };
        Mac(bytes)
    }
}

impl FromStr for Mac {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let bad = || Error::InvalidMac(s.chars().take(32).collect());
        let mut bytes = [0; 6];
        let mut parts = s.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() {
            return Err(bad());
        }
        Mac::new(bytes)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_file_name_or_too_long_is_refused() {
        for good in ["lxbr0", "a", "eth0.100", "a-b_c", "123456789012345"] {
            assert!(good.parse::<LinkName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "a\nb", "a\0b", "-x", "é", "1234567890123456", &"x".repeat(300)] {
            let error = bad.parse::<LinkName>().unwrap_err();
            assert!(matches!(error, Error::InvalidName(_)), "{bad}");
            assert!(!error.to_string().contains(['\n', '\0']) && error.to_string().len() < 300);
        }
    }

    #[test]
    fn a_hardware_address_reads_back_as_it_prints() {
        let mac: Mac = "00:16:3E:0a:0b:0c".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:0a:0b:0c");
        assert_eq!(mac.host_end().to_string(), "fe:16:3e:0a:0b:0c");
        assert_ne!(mac.host_end().host_end(), mac.host_end());
    }

    #[test]
    fn addresses_of_groups_and_other_texts_are_refused() {
        let bad = [
            "",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:16:3e:0a:0b",
            "00:16:3e:0a:0b:0c:0d",
            "0:16:3e:0a:0b:0c",
            "00:16:3e:0a:0b:+c",
            "00:16:3e:0a:0b:0c\n",
            "00-16-3e-0a-0b-0c",
        ];
        for bad in bad {
            assert!(matches!(bad.parse::<Mac>(), Err(Error::InvalidMac(_))), "{bad}");
        }
    }
}
