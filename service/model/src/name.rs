//! Names people choose, each with the rules of its noun. A value of these types is valid.
//!
//! An instance's name becomes a host name, a unit name, a directory and a DNS label, so its
//! rules are the narrowest; the others allow what LXD allows.

use crate::{Error, Kind};
use std::fmt;
use std::str::FromStr;

/// Longest name of anything, in bytes.
pub const MAX: usize = 63;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Error;
            fn from_str(s: &str) -> Result<Self, Error> {
                match $check(s) {
                    Ok(()) => Ok($type(s.to_owned())),
                    Err(why) => Err(Error::new(Kind::InvalidName, format!("{} {}: {why}", $what, quoted(s)))),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(s: String) -> Result<Self, Error> {
                s.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(/// Name of an instance: a host name label.
    InstanceName, "instance name", label);
name!(/// Name of a network.
    NetworkName, "network name", plain);
name!(/// Name of a network ACL. It starts with a letter, so that no address is one.
    AclName, "ACL name", word);
name!(/// Name of a pool.
    PoolName, "pool name", plain);
name!(/// Name of a volume among those of its pool.
    VolumeName, "volume name", plain);
name!(/// Name of a profile.
    ProfileName, "profile name", plain);
name!(/// Name of a project.
    ProjectName, "project name", plain);
name!(/// Name of a device within an instance or profile.
    DeviceName, "device name", plain);
name!(/// Name of a snapshot among those of its instance.
    SnapshotName, "snapshot name", plain);
name!(/// Alias of an image: like a name, and `/` may separate parts.
    ImageAlias, "image alias", alias);

impl Default for ProjectName {
    fn default() -> Self {
        ProjectName("default".to_owned())
    }
}

/// RFC 1123 label that does not start with a digit or end in a dash, 1 to 63 bytes.
fn label(s: &str) -> Result<(), &'static str> {
    length(s, MAX)?;
    if !s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err("only letters, digits and dashes are allowed");
    }
    if !s.as_bytes()[0].is_ascii_alphabetic() {
        return Err("it has to start with a letter");
    }
    if s.ends_with('-') {
        return Err("it may not end with a dash");
    }
    Ok(())
}

fn plain(s: &str) -> Result<(), &'static str> {
    length(s, MAX)?;
    if !s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err("only letters, digits, dashes, dots and underscores are allowed");
    }
    if !s.as_bytes()[0].is_ascii_alphanumeric() {
        return Err("it has to start with a letter or a digit");
    }
    Ok(())
}

fn word(s: &str) -> Result<(), &'static str> {
    plain(s)?;
    if s.as_bytes()[0].is_ascii_alphabetic() { Ok(()) } else { Err("it has to start with a letter") }
}

fn alias(s: &str) -> Result<(), &'static str> {
    length(s, 255)?;
    if s.split('/').any(|part| plain(part).is_err()) {
        return Err("parts between slashes start with a letter or digit and hold letters, digits, dashes, dots and underscores");
    }
    Ok(())
}

fn length(s: &str, max: usize) -> Result<(), &'static str> {
    match s.len() {
        0 => Err("it is empty"),
        n if n > max => Err("it is too long"),
        _ => Ok(()),
    }
}

/// `s` in quotes with control characters escaped and cut after 64 characters: safe to show.
pub fn quoted(s: &str) -> String {
    let shown: String = s.chars().take(64).flat_map(char::escape_debug).collect();
    let more = if s.chars().nth(64).is_some() { "…" } else { "" };
    format!("\"{shown}{more}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_name_is_a_host_name_label() {
        for good in ["c1", "a", "Web-01", &"a".repeat(63)] {
            assert!(good.parse::<InstanceName>().is_ok(), "{good}");
        }
        let bad = ["", "../x", "-x", "x-", "1x", "a b", "a/b", "a\nb", "a\0b", "é", "a_b", "a.b", &"a".repeat(300)];
        for bad in bad {
            let error = bad.parse::<InstanceName>().unwrap_err();
            assert_eq!(error.kind, Kind::InvalidName, "{bad}");
            assert!(!error.message.contains('\n') && error.message.len() < 300);
        }
    }

    #[test]
    fn an_alias_may_have_parts_but_never_climbs() {
        assert!("debian/13/cloud".parse::<ImageAlias>().is_ok());
        for bad in ["/debian", "debian/", "a//b", "a/../b", "a/-b"] {
            assert!(bad.parse::<ImageAlias>().is_err(), "{bad}");
        }
    }
}
