//! Macros that say once what a record, a word or a set of messages is.

/// A struct whose fields have tags. Fields of a record are never re-used: a removed one leaves its tag behind.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident {
        $( $(#[$fmeta:meta])* $tag:literal => $field:ident : $type:ty ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name { $( $(#[$fmeta])* pub $field: $type, )* }

        impl $crate::Value for $name {
            #[allow(unused_variables, reason = "a record may have no fields")]
            fn encode(&self, out: &mut Vec<u8>) {
                $( $crate::Field::put(&self.$field, $tag, out); )*
            }
            #[allow(unused_variables, reason = "a record may have no fields")]
            fn decode(bytes: &[u8]) -> Result<Self, $crate::WireError> {
                let record = $crate::Record::parse(bytes)?;
                Ok(Self { $( $field: $crate::Field::take($tag, record)?, )* })
            }
        }
    };
}

/// An enum of plain words, each with a number; a number that is not known becomes the first word.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident {
        $(#[$fmeta:meta])* $first:ident = $fnumber:literal,
        $( $(#[$wmeta:meta])* $word:ident = $number:literal ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $name {
            $(#[$fmeta])* #[default] $first = $fnumber,
            $( $(#[$wmeta])* $word = $number, )*
        }

        impl $crate::Value for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                (*self as u16).encode(out);
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::WireError> {
                Ok(match u16::decode(bytes)? { $( $number => Self::$word, )* _ => Self::$first })
            }
        }
    };
}

/// An enum of messages, each with its number and a record.
macro_rules! messages {
    ($(#[$meta:meta])* pub enum $name:ident { $( $(#[$mmeta:meta])* $kind:literal => $message:ident ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant, reason = "a launch comes once in a monitor's life")]
        pub enum $name { $( $(#[$mmeta])* $message($message), )* }

        impl $name {
            /// The whole message as bytes.
            pub fn to_bytes(&self, serial: u32) -> Vec<u8> {
                let mut out;
                match self { $( Self::$message(record) => {
                    out = $crate::Head { kind: $kind, serial }.begin();
                    $crate::Value::encode(record, &mut out);
                } )* }
                out
            }

            /// The message behind a head.
            ///
            /// # Errors
            /// `WireError::Kind` for one not in this set; else what the fields say.
            pub fn from_body(kind: u16, body: &[u8]) -> Result<Self, $crate::WireError> {
                match kind {
                    $( $kind => Ok(Self::$message($crate::Value::decode(body)?)), )*
                    _ => Err($crate::WireError::Kind { kind }),
                }
            }
        }

        $( impl From<$message> for $name {
            fn from(record: $message) -> Self { Self::$message(record) }
        } )*
    };
}

pub(crate) use {messages, record, words};
