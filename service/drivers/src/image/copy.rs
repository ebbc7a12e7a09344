//! Copies a file that somebody hands us into the staging directory and hashes it on the way. Bytes are
//! not looked at. Plain blocking code; called by the store on a blocking thread.

use lxhost_model::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes one file of an image may have.
pub(super) const FILE_CAP: u64 = 64 << 30;
/// Bytes copied at a time.
const BLOCK: usize = 1 << 20;

/// Seconds a sender may be silent.
const SILENCE: u32 = 60;

/// Copies `from` into the new file `to`, durably; returns its size. `done` counts along; setting
/// it beyond half of `u64` stops the copy.
///
/// # Errors
/// `Untrusted` above the cap, `Canceled`, `NoSpace`, `Failed`.
pub(super) fn copy(from: OwnedFd, to: &Path, hash: &mut Sha256, done: &AtomicU64) -> Result<u64> {
    let failed = |e: std::io::Error| Error::io("copy the image", &e);
    let mut from = File::from(from);
    if from.metadata().map_err(failed)?.is_dir() {
        return Err(Error::new(Kind::Untrusted, "the image is a directory, not a file"));
    }
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let mut buffer = vec![0; BLOCK];
    let mut size = 0;
    loop {
        await_bytes(&from, done)?;
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io("read the image", &e)),
        };
        size += n as u64;
        if size > FILE_CAP {
            return Err(Error::new(Kind::Untrusted, format!("the image has more than {FILE_CAP} bytes")));
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n]).map_err(failed)?;
        done.fetch_add(n as u64, Ordering::Relaxed);
    }
    to.sync_data().map_err(failed)?;
    Ok(size)
}

/// Waits until there is something to read: a pipe may stay silent for ever.
fn await_bytes(from: &File, done: &AtomicU64) -> Result<()> {
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    for _ in 0..SILENCE {
        if done.load(Ordering::Relaxed) > u64::MAX / 2 {
            return Err(Error::new(Kind::Canceled, "copying the image was cancelled"));
        }
        let mut fds = [PollFd::new(from, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&second)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(Error::io("read the image", &errno.into())),
        }
    }
    Err(Error::new(Kind::Timeout, format!("the image's sender has said nothing for {SILENCE} seconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_copied_and_hashed_in_order() {
        let place = tempfile::tempdir().unwrap();
        let (mut hash, done) = (Sha256::new(), AtomicU64::new(0));
        for (name, bytes) in [("meta", &b"ab"[..]), ("rootfs", b"c")] {
            std::fs::write(place.path().join("source"), bytes).unwrap();
            let source = File::open(place.path().join("source")).unwrap();
            assert_eq!(copy(source.into(), &place.path().join(name), &mut hash, &done).unwrap(), bytes.len() as u64);
        }
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((hex::encode(hash.finalize()).as_str(), done.into_inner()), (abc, 3));
    }

    #[test]
    fn a_directory_is_no_image_and_a_cancelled_copy_ends() {
        let place = tempfile::tempdir().unwrap();
        let done = AtomicU64::new(0);
        let directory = File::open(place.path()).unwrap();
        let error = copy(directory.into(), &place.path().join("x"), &mut Sha256::new(), &done).unwrap_err();
        assert_eq!(error.kind, Kind::Untrusted);
        done.store(u64::MAX - FILE_CAP, Ordering::Relaxed);
        std::fs::write(place.path().join("source"), "x").unwrap();
        let source = File::open(place.path().join("source")).unwrap();
        assert_eq!(copy(source.into(), &place.path().join("y"), &mut Sha256::new(), &done).unwrap_err().kind, Kind::Canceled);
    }
}
