//! The records of lxhost in SQLite: the engine's `Store` port on a file.
//!
//! Everything is read once, at open, into memory; afterwards the database is only written, by one
//! thread, one transaction and one fdatasync per group of waiting commits. Depends on the engine's
//! ports and on rusqlite; opened by `lxhostd`.

mod error;
mod lock;
mod migrate;
mod open;
mod reserve;
mod rows;
mod sqlite;
mod writer;

pub use error::StoreError;
pub use sqlite::SqliteStore;

/// Name of the database within the state directory.
pub const FILE: &str = "state.db";

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
