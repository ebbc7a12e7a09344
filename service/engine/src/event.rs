//! What happened, for skins to translate. Broadcast after it is true: rows after their commit.

use crate::ports::{RowKey, State};
use lxhost_model::ObjectId;
use lxhost_model::job::JobId;
use std::net::IpAddr;
use std::sync::Arc;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Records changed.
    Committed {
        /// The records before.
        before: Arc<State>,
        /// The records after.
        after: Arc<State>,
        /// Which changed.
        keys: Vec<RowKey>,
    },
    /// Sub-state, leader or addresses of an instance changed.
    Live(ObjectId),
    /// A network's server gave, renewed or dropped a lease.
    Lease(LeaseEvent),
    /// A job was opened.
    JobNew(JobId),
    /// A job's phase or progress changed.
    JobProgress(JobId),
    /// A job ended.
    JobEnded(JobId),
    /// An old job was forgotten.
    JobForgotten(JobId),
    /// A command was started inside an instance.
    ExecNew(u32),
    /// A command ended.
    ExecEnded(u32),
    /// An ended command was forgotten.
    ExecForgotten(u32),
}

/// What became of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseEvent {
    /// The network.
    pub network: ObjectId,
    /// Hardware address of the holder; empty where it is not known.
    pub mac: String,
    /// The address.
    pub address: IpAddr,
    /// `added`, `renewed` or `removed`.
    pub what: &'static str,
}
