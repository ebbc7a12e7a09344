//! Why an image was refused. One line each, naming the entry. Depends on nothing of ours; the exit
//! status tells the daemon whose fault it was.

use std::io;

/// Result of reading an image.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The archive as a whole is malformed.
    #[error("malformed archive: {0}")]
    Archive(String),
    /// One entry is malformed or hostile.
    #[error("entry {entry}: {why}")]
    Entry {
        /// Its name, safe to show.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// A cap was reached.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// What says what the archive is says nothing that can be used; the name of it first.
    #[error("{0}")]
    Metadata(String),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Its answer.
        source: io::Error,
    },
    /// The caller's arguments are wrong.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// An error about the entry called `name`.
    pub(crate) fn entry(name: &[u8], why: impl Into<String>) -> Error {
        Error::Entry { entry: shown(name), why: why.into() }
    }

    /// An answer of the operating system met while doing `what`.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Io { what: what.into(), source: source.into() }
    }

    /// The same, about the entry called `name`.
    pub(crate) fn at(name: &[u8], source: impl Into<io::Error>) -> Error {
        Error::io(format!("entry {}", shown(name)), source)
    }

    /// Status the program exits with.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Error::Archive(_) | Error::Entry { .. } | Error::Metadata(_) | Error::Limit(_) => 2,
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => 3,
                _ => 1,
            },
            Error::Usage(_) => 64,
        }
    }
}

/// A name from an archive, in quotes, escaped and cut: safe on a terminal and in a journal.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(512)]);
    let cut: String = text.chars().take(160).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(160).is_some() { "…" } else { "" };
    format!("\"{cut}{more}\"")
}
