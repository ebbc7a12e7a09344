//! Identities: 128-bit object ids, image fingerprints, and ranges of user ids.

use crate::{Error, Kind};
use std::fmt;
use std::str::FromStr;

/// Immutable identity of an instance, network, profile, pool or volume: 32 hex digits.
/// An instance's id is also its `container_uuid` and machine id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId([u8; 16]);

impl ObjectId {
    /// The first in the order of ids.
    pub const MIN: ObjectId = ObjectId([0; 16]);
    /// The last in the order of ids.
    pub const MAX: ObjectId = ObjectId([0xff; 16]);

    /// An id from 16 random bytes; sets the bits that make it a version 4 UUID.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        ObjectId(bytes)
    }

    /// The sixteen bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// In UUID form, with dashes.
    pub fn uuid(&self) -> String {
        let s = self.to_string();
        format!("{}-{}-{}-{}-{}", &s[..8], &s[8..12], &s[12..16], &s[16..20], &s[20..])
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        let bad = || Error::new(Kind::InvalidArgs, "an id is 32 lower-case hexadecimal digits");
        if s.len() != 32 || !s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(bad());
        }
        let mut bytes = [0; 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[i * 2..i * 2 + 2], 16).map_err(|_| bad())?;
        }
        Ok(ObjectId(bytes))
    }
}

impl TryFrom<String> for ObjectId {
    type Error = Error;
    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> String {
        id.to_string()
    }
}

/// SHA-256 of an image's files as LXD computes it, 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

impl Fingerprint {
    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as lists show it and as the D-Bus path has it.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        if s.len() == 64 && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Fingerprint(s.to_owned()))
        } else {
            Err(Error::new(Kind::InvalidArgs, "a fingerprint is 64 lower-case hexadecimal digits"))
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;
    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.0
    }
}

/// A block of host user and group ids that one container owns: `base .. base + size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct IdRange {
    /// Host id of the container's root.
    pub base: u32,
    /// Number of ids.
    pub size: u32,
}

impl IdRange {
    /// Ids of one container.
    pub const SIZE: u32 = 65_536;

    /// Whether the two blocks share an id.
    pub fn overlaps(&self, other: &IdRange) -> bool {
        u64::from(self.base) < u64::from(other.base) + u64::from(other.size)
            && u64::from(other.base) < u64::from(self.base) + u64::from(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_prints_and_nothing_else_reads() {
        let id = ObjectId::from_random([0xab; 16]);
        assert_eq!(id.to_string().parse::<ObjectId>(), Ok(id));
        assert_eq!(id.uuid().len(), 36);
        for bad in ["", "ab", &"G".repeat(32), &"é".repeat(16), &id.uuid()] {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_that_only_touch_do_not_overlap() {
        let a = IdRange { base: 65_536, size: 65_536 };
        let b = IdRange { base: 131_072, size: 65_536 };
        assert!(!a.overlaps(&b) && !b.overlaps(&a) && a.overlaps(&a));
        let top = IdRange { base: u32::MAX - 1, size: 65_536 };
        assert!(!a.overlaps(&top));
    }
}
