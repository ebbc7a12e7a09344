//! Bytes of a message: a head of eight bytes, then fields of (tag, length, bytes), all little-endian.
//!
//! Every length is checked before it is believed; unknown tags are skipped, so that either side may be newer.
//! Pure: depends on nothing. Used by `field`, `record` and `message`.

use thiserror::Error;

/// Most bytes of one message. A launch with a long environment has some ten thousand.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Most fields of one record, against messages that are all heads.
pub(crate) const MAX_FIELDS: usize = 16_384;

const MARK: u8 = b'L';
const LAYOUT: u8 = 1;
const HEAD: usize = 8;
const FIELD_HEAD: usize = 6;

/// Why bytes are not a message.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum WireError {
    /// Not even a head, or not ours.
    #[error("not a message of this contract")]
    NotAMessage,
    /// The layout of the bytes is of a later generation.
    #[error("message layout {found} is not understood")]
    Layout {
        /// The layout found.
        found: u8,
    },
    /// A field claims more bytes than there are.
    #[error("field {tag} claims {claimed} bytes where {left} are left")]
    Length {
        /// Tag of the field.
        tag: u16,
        /// Bytes it claims.
        claimed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Too many fields in one record, or a message over `MAX_MESSAGE`.
    #[error("a message of {size} bytes or fields is over the limit of {limit}")]
    TooLarge {
        /// What was found.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The bytes of a field are not what its type wants.
    #[error("{wanted} cannot be read from {found} bytes")]
    Value {
        /// Type that was wanted.
        wanted: &'static str,
        /// Number of bytes found.
        found: usize,
    },
    /// The number of the message is not known here.
    #[error("message {kind:#06x} is not known")]
    Kind {
        /// Number of the message.
        kind: u16,
    },
}

/// The first eight bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which message follows.
    pub kind: u16,
    /// Chosen by who asks, repeated by who replies; 0 in events.
    pub serial: u32,
}

impl Head {
    /// Starts a message with this head.
    pub fn begin(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&[MARK, LAYOUT]);
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.serial.to_le_bytes());
        out
    }

    /// Splits a message into its head and its fields.
    ///
    /// # Errors
    /// `NotAMessage` and `Layout`; `TooLarge` over `MAX_MESSAGE`.
    pub fn split(message: &[u8]) -> Result<(Self, &[u8]), WireError> {
        if message.len() > MAX_MESSAGE {
            return Err(WireError::TooLarge { size: message.len(), limit: MAX_MESSAGE });
        }
        let Some((&[mark, layout, k0, k1, s0, s1, s2, s3], body)) = message.split_first_chunk::<HEAD>() else {
            return Err(WireError::NotAMessage);
        };
        if mark != MARK {
            return Err(WireError::NotAMessage);
        }
        if layout != LAYOUT {
            return Err(WireError::Layout { found: layout });
        }
        let head = Self { kind: u16::from_le_bytes([k0, k1]), serial: u32::from_le_bytes([s0, s1, s2, s3]) };
        Ok((head, body))
    }
}

/// Writes the head of a field whose bytes `body` then appends, and puts the length in afterwards.
pub(crate) fn put(tag: u16, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&tag.to_le_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at - 4) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// The fields of a message or of a field that has fields itself; lengths are checked when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Checks the lengths of all fields.
    ///
    /// # Errors
    /// `Length` where one lies, `TooLarge` for too many fields.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut rest = bytes;
        let mut count = 0;
        while !rest.is_empty() {
            let (_, _, after) = Self::field(rest)?;
            rest = after;
            count += 1;
            if count > MAX_FIELDS {
                return Err(WireError::TooLarge { size: count, limit: MAX_FIELDS });
            }
        }
        Ok(Self { bytes })
    }

    fn field(bytes: &'a [u8]) -> Result<(u16, &'a [u8], &'a [u8]), WireError> {
        let Some((&[t0, t1, l0, l1, l2, l3], rest)) = bytes.split_first_chunk::<FIELD_HEAD>() else {
            return Err(WireError::Length { tag: 0, claimed: FIELD_HEAD, left: bytes.len() });
        };
        let tag = u16::from_le_bytes([t0, t1]);
        let claimed = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        match rest.split_at_checked(claimed) {
            Some((body, after)) => Ok((tag, body, after)),
            None => Err(WireError::Length { tag, claimed, left: rest.len() }),
        }
    }

    /// The bytes of every field with this tag, in the order of the message.
    pub fn all(self, tag: u16) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            loop {
                let (found, body, after) = Self::field(rest).ok()?;
                rest = after;
                if found == tag {
                    return Some(body);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_claims_more_than_there_is_is_refused() {
        let mut out = Vec::new();
        put(7, &mut out, |o| o.extend_from_slice(b"abc"));
        out[2] = 200;
        assert_eq!(Record::parse(&out).err(), Some(WireError::Length { tag: 7, claimed: 200, left: 3 }));
    }

    #[test]
    fn a_length_of_four_gigabytes_is_refused_without_an_allocation() {
        let bytes = [1, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Record::parse(&bytes).err(), Some(WireError::Length { tag: 1, claimed: 0xffff_ffff, left: 0 }));
    }

    #[test]
    fn a_message_cut_at_any_byte_is_refused_or_shorter_and_never_panics() {
        let mut out = Head { kind: 3, serial: 9 }.begin();
        put(1, &mut out, |o| o.extend_from_slice(b"one"));
        put(2, &mut out, |o| put(1, o, |o| o.extend_from_slice(b"nested")));
        for end in 0..out.len() {
            if let Ok((_, body)) = Head::split(&out[..end])
                && let Ok(record) = Record::parse(body)
            {
                assert!(record.all(2).next().is_none(), "a cut message kept its last field at {end}");
            }
        }
    }

    #[test]
    fn more_fields_than_the_limit_are_refused() {
        let mut out = Vec::new();
        for _ in 0..=MAX_FIELDS {
            put(1, &mut out, |_| ());
        }
        assert!(matches!(Record::parse(&out), Err(WireError::TooLarge { .. })));
    }

    #[test]
    fn unknown_tags_are_skipped() {
        let mut out = Vec::new();
        put(99, &mut out, |o| o.extend_from_slice(b"from the future"));
        put(1, &mut out, |o| o.extend_from_slice(b"known"));
        let record = Record::parse(&out).unwrap();
        assert_eq!(record.all(1).collect::<Vec<_>>(), [b"known"]);
    }

    #[test]
    fn another_layout_is_named() {
        assert_eq!(Head::split(&[b'L', 2, 0, 0, 0, 0, 0, 0]), Err(WireError::Layout { found: 2 }));
        assert_eq!(Head::split(b"GET / HTTP/1.1"), Err(WireError::NotAMessage));
        assert_eq!(Head::split(b""), Err(WireError::NotAMessage));
    }
}
