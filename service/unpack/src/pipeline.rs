//! Reads a stream ahead in a thread of its own, so that decompressing and writing files overlap.
//! Plain std; called by `unpack`.

use crate::error::{Error, Result};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of one block.
const BLOCK: usize = 512 << 10;
/// Blocks read ahead.
const AHEAD: usize = 8;

/// The reading end.
pub(crate) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    used: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

/// Starts reading `source`; the thread ends with the stream or when the reading end is dropped.
///
/// # Errors
/// `Io` when no thread can be started.
pub(crate) fn ahead(mut source: Box<dyn Read + Send>) -> Result<Ahead> {
    let (send, blocks) = sync_channel(AHEAD);
    let (used, free) = sync_channel::<Vec<u8>>(AHEAD + 2);
    let read = move || {
        loop {
            let mut block = free.try_recv().unwrap_or_default();
            block.resize(BLOCK, 0);
            let filled = fill(&mut source, &mut block);
            let ended = !matches!(filled, Ok(n) if n > 0);
            let message = filled.map(|n| {
                block.truncate(n);
                block
            });
            if send.send(message).is_err() || ended {
                return;
            }
        }
    };
    std::thread::Builder::new().name("decompress".into()).spawn(read).map_err(|e| Error::io("start a thread", e))?;
    Ok(Ahead { blocks, used, block: Vec::new(), at: 0 })
}

/// Fills a block as far as the stream goes. An error after some bytes comes with the next block.
fn fill(source: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < block.len() {
        match source.read(&mut block[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let Ok(next) = self.blocks.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.block, next?);
            let _ = self.used.try_send(used);
            self.at = 0;
        }
        let n = buffer.len().min(self.block.len() - self.at);
        buffer[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_arrives_whole_and_its_error_too() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut whole = Vec::new();
        ahead(Box::new(io::Cursor::new(bytes.clone()))).unwrap().read_to_end(&mut whole).unwrap();
        assert!(whole == bytes);
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::FileTooLarge.into())
            }
        }
        let error = ahead(Box::new(Broken)).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
