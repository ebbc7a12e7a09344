//! How the types of the contract become bytes of fields.
//!
//! A `Value` is one field; a `Field` is zero or more of them: an `Option` is absent or one, a `Vec` is repeated.
//! A value that is absent is its default, so that a field added later reads as "not said" in an old message.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::wire::{Record, WireError, put};

/// Something that fits into one field.
pub trait Value: Sized {
    /// Appends the bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads them back.
    ///
    /// # Errors
    /// `WireError::Value` when the bytes are not of this type.
    fn decode(bytes: &[u8]) -> Result<Self, WireError>;
}

/// Something that a record can have under a tag.
pub trait Field: Sized {
    /// Appends zero or more fields with this tag.
    fn put(&self, tag: u16, out: &mut Vec<u8>);
    /// Takes them from a record.
    ///
    /// # Errors
    /// As `Value::decode`.
    fn take(tag: u16, record: Record<'_>) -> Result<Self, WireError>;
}

impl<T: Value + Default + PartialEq> Field for T {
    fn put(&self, tag: u16, out: &mut Vec<u8>) {
        if *self != T::default() {
            put(tag, out, |out| self.encode(out));
        }
    }
    fn take(tag: u16, record: Record<'_>) -> Result<Self, WireError> {
        record.all(tag).next().map_or_else(|| Ok(T::default()), T::decode)
    }
}

impl<T: Value> Field for Option<T> {
    fn put(&self, tag: u16, out: &mut Vec<u8>) {
        if let Some(value) = self {
            put(tag, out, |out| value.encode(out));
        }
    }
    fn take(tag: u16, record: Record<'_>) -> Result<Self, WireError> {
        record.all(tag).next().map(T::decode).transpose()
    }
}

impl<T: Value> Field for Vec<T> {
    fn put(&self, tag: u16, out: &mut Vec<u8>) {
        for value in self {
            put(tag, out, |out| value.encode(out));
        }
    }
    fn take(tag: u16, record: Record<'_>) -> Result<Self, WireError> {
        record.all(tag).map(T::decode).collect()
    }
}

macro_rules! number {
    ($($name:ident),*) => { $(
        impl Value for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                bytes.try_into().map(Self::from_le_bytes)
                    .map_err(|_| WireError::Value { wanted: stringify!($name), found: bytes.len() })
            }
        }
    )* };
}
number!(u16, u32, u64, i32);

impl Value for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(WireError::Value { wanted: "bool", found: bytes.len() }),
        }
    }
}

impl Value for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Value { wanted: "UTF-8 text", found: bytes.len() })
    }
}

impl Value for OsString {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.contains(&0) {
            return Err(WireError::Value { wanted: "text without NUL", found: bytes.len() });
        }
        Ok(Self::from_vec(bytes.to_vec()))
    }
}

impl Value for PathBuf {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_os_str().as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        OsString::decode(bytes).map(Self::from)
    }
}

/// Bytes as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Value for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Ok(Self(bytes.to_vec()))
    }
}
