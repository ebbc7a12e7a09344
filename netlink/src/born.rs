//! Links that are born in the namespace of a process, and those that cannot be: before Linux 6.13 the kernel looks
//! for another link of their name in the namespace of whoever asks, not in theirs.

use crate::{Error, Handle, LinkName, Result};
use rtnetlink::LinkMessageBuilder;
use rtnetlink::packet_route::link::LinkMessage;
use std::sync::atomic::{AtomicU16, Ordering};

/// The request that makes a link here, or, up at once, in the namespace of a process.
pub(crate) fn born<T: std::fmt::Debug>(message: LinkMessageBuilder<T>, pid: Option<u32>) -> LinkMessage {
    match pid {
        Some(pid) => message.setns_by_pid(pid).up().build(),
        None => message.build(),
    }
}

impl Handle {
    /// For when a link could not be born because its name is taken: if it is taken here, has `make` make it here under
    /// another and moves it to the process, where it is up and called `name`; else says `Exists`. If it is taken there
    /// as well, the kernel moves it under the name it has, and then refuses to change that.
    pub(crate) async fn born_here(
        &self,
        name: &LinkName,
        pid: u32,
        make: impl AsyncFnOnce(&LinkName) -> Result<()>,
    ) -> Result<()> {
        if !self.link_exists(name.as_str()).await? {
            return Err(Error::Exists(format!("{name} in the namespace of process {pid}")));
        }
        let stand_in = stand_in()?;
        make(&stand_in).await?;
        let moved = self.hand_over(stand_in.as_str(), pid, name, true).await;
        if moved.is_err() {
            let _ = self.delete_link(stand_in.as_str()).await;
        }
        moved
    }
}

/// A name that no other link has.
fn stand_in() -> Result<LinkName> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    format!("new{:x}.{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)).parse()
}
