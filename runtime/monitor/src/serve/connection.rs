//! One daemon that is connected. A daemon that does not read is let go: it connects again and asks.

use std::os::fd::BorrowedFd;

use lxhost_contract::Channel;

#[derive(Debug)]
pub(super) struct Connection {
    /// 0 once it is given up.
    pub(super) id: u64,
    pub(super) channel: Channel,
}

impl Connection {
    pub(super) fn send(&mut self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) {
        if self.id != 0 && self.channel.send(bytes, descriptor.as_slice()).is_err() {
            self.id = 0;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.id != 0
    }
}
