//! Writes a file into a descriptor that a caller handed us. Whoever reads it may stop reading for ever, so
//! nothing here waits longer than a moment without looking whether it shall stop. Plain blocking code; called
//! by the store on a blocking thread.

use lxhost_model::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes at a time into a file.
const BLOCK: usize = 1 << 20;
/// `PIPE_BUF`: what a pipe that is ready takes at once (pipe(7)).
const PIPE: usize = 4096;
/// How long a reader's silence keeps us from looking at `stop`.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Writes `from` into `to`.
///
/// # Errors
/// `Canceled` when `stop` was set; `NoSpace`; `Failed`, also when the reader has gone.
pub(super) fn export(from: &Path, to: OwnedFd, stop: &AtomicBool) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(format!("export {}", from.display()), &e);
    let mut source = File::open(from).map_err(failed)?;
    let mut to = File::from(to);
    let kind = rustix::fs::fstat(&to).map(|stat| FileType::from_raw_mode(stat.st_mode)).map_err(|e| failed(e.into()))?;
    let mut buffer = vec![0; BLOCK];
    let most = if kind == FileType::RegularFile { BLOCK } else { PIPE };
    loop {
        let read = source.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        for chunk in buffer[..read].chunks(most) {
            await_room(&to, stop)?;
            to.write_all(chunk).map_err(failed)?;
        }
    }
}

/// Waits until something can be written.
fn await_room(to: &File, stop: &AtomicBool) -> Result<()> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Canceled, "writing the image was cancelled"));
        }
        match rustix::event::poll(&mut [PollFd::new(to, PollFlags::OUT)], Some(&MOMENT)) {
            Ok(0) | Err(Errno::INTR) => {}
            // What is wrong with the descriptor is told by the write.
            Ok(_) => return Ok(()),
            Err(errno) => return Err(Error::io("write the image", &errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_file_and_a_pipe_get_every_byte() {
        let place = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
        std::fs::write(place.path().join("image"), &bytes).unwrap();
        let stop = AtomicBool::new(false);
        let target = File::create(place.path().join("copy")).unwrap();
        export(&place.path().join("image"), target.into(), &stop).unwrap();
        assert_eq!(std::fs::read(place.path().join("copy")).unwrap(), bytes);
        let (mut reader, writer) = std::io::pipe().unwrap();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        export(&place.path().join("image"), writer.into(), &stop).unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), bytes);
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_waited_for_when_it_shall_stop() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("image"), vec![7; 3 << 20]).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (path, stopped) = (place.path().join("image"), stop.clone());
        let writing = std::thread::spawn(move || export(&path, writer.into(), &stopped));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(writing.join().unwrap().unwrap_err().kind, Kind::Canceled);
        drop(reader);
    }

    #[test]
    fn a_reader_that_has_gone_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("image"), vec![7; 3 << 20]).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert!(export(&place.path().join("image"), writer.into(), &AtomicBool::new(false)).is_err());
    }
}
